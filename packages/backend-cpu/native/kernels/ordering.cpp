// topK and sort over the last axis → (values, indices). Attributes: topK [k]; sort [descending]. Equal values stay in
// ascending position; NaN is larger than everything.
#include "loops.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** A number's order as an unsigned word: larger is better. */
uint32_t key_of(const char* data, DType dtype, int64_t index, bool descending) {
  uint32_t key;
  if (is_float(dtype)) {
    const float x = read_number(data + index * element_bytes(dtype), dtype) + 0.0f; // -0 becomes 0
    uint32_t bits;
    __builtin_memcpy(&bits, &x, 4);
    key = x != x ? UINT32_MAX : bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  } else {
    int32_t number;
    const int32_t x = *read_int_tile(data + index * element_bytes(dtype), dtype, 1, 1, &number);
    key = static_cast<uint32_t>(x) ^ 0x80000000u;
  }
  return descending ? ~key : key;
}

/** Stable radix sort of `order` by keys, ascending, a byte at a time; `spare` has room for as many. */
void radix_sort(const uint32_t* keys, int32_t* order, int32_t* spare, int64_t count) {
  for (int shift = 0; shift < 32; shift += 8) {
    int64_t starts[257] = {};
    for (int64_t i = 0; i < count; i++) starts[(keys[i] >> shift & 255) + 1]++;
    for (int b = 0; b < 256; b++) starts[b + 1] += starts[b];
    for (int64_t i = 0; i < count; i++) spare[starts[keys[order[i]] >> shift & 255]++] = order[i];
    int32_t* const swap = order;
    order = spare;
    spare = swap;
  }
}

void copy_element(const Tensor& from, int64_t from_index, const Tensor& to, int64_t to_index) {
  const int bytes = element_bytes(from.dtype);
  __builtin_memcpy(to.data + to_index * bytes, from.data + from_index * bytes, static_cast<size_t>(bytes));
}

/** The first `keep` of `count` elements in order. */
void sorted_row(const Call& call, int64_t row, int64_t count, int64_t keep, bool descending) {
  const Tensor& x = call.tensors[0];
  uint32_t* keys = static_cast<uint32_t*>(scratch(Scratch::chunk, static_cast<size_t>(count) * 12 + 64));
  int32_t* order = reinterpret_cast<int32_t*>(keys + count);
  for (int64_t i = 0; i < count; i++) {
    keys[i] = key_of(x.data + row * count * element_bytes(x.dtype), x.dtype, i, descending);
    order[i] = static_cast<int32_t>(i);
  }
  radix_sort(keys, order, order + count, count);
  for (int64_t i = 0; i < keep; i++) {
    copy_element(x, row * count + order[i], call.tensors[1], row * keep + i);
    reinterpret_cast<int32_t*>(call.tensors[2].data)[row * keep + i] = order[i];
  }
}

/** The k largest by insertion into a short sorted list: most elements fail the first comparison. */
void top_row(const Call& call, int64_t row, int64_t count, int64_t k) {
  const Tensor& x = call.tensors[0];
  uint32_t* keys = static_cast<uint32_t*>(scratch(Scratch::chunk, static_cast<size_t>(k) * 8 + 64));
  int32_t* order = reinterpret_cast<int32_t*>(keys + k);
  const char* data = x.data + row * count * element_bytes(x.dtype);
  int64_t filled = 0;
  for (int64_t i = 0; i < count; i++) {
    const uint32_t key = key_of(data, x.dtype, i, false);
    if (filled == k && key <= keys[k - 1]) continue;
    int64_t at = filled < k ? filled++ : k - 1;
    for (; at > 0 && keys[at - 1] < key; at--) {
      keys[at] = keys[at - 1];
      order[at] = order[at - 1];
    }
    keys[at] = key;
    order[at] = static_cast<int32_t>(i);
  }
  for (int64_t i = 0; i < k; i++) {
    copy_element(x, row * count + order[i], call.tensors[1], row * k + i);
    reinterpret_cast<int32_t*>(call.tensors[2].data)[row * k + i] = order[i];
  }
}

int64_t row_count(const Tensor& x) {
  int64_t rows = 1;
  for (int i = 0; i + 1 < x.rank; i++) rows *= x.dims[i];
  return rows;
}

void top_k(const Call& call) {
  const Tensor& x = call.tensors[0];
  const int64_t count = x.dims[x.rank - 1], k = static_cast<int64_t>(call.attributes[0]);
  parallel(call, row_count(x), static_cast<double>(count) * 3, [&](int64_t row) {
    if (k <= 256) top_row(call, row, count, k);
    else sorted_row(call, row, count, k, true);
  });
}

void sort(const Call& call) {
  const Tensor& x = call.tensors[0];
  const int64_t count = x.dims[x.rank - 1];
  const bool descending = call.attributes[0] != 0;
  parallel(call, row_count(x), static_cast<double>(count) * 15, [&](int64_t row) { sorted_row(call, row, count, count, descending); });
}

constexpr KernelEntry entries[] = {{"topK", top_k}, {"sort", sort}};

} // namespace

extern const KernelTable ordering_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
