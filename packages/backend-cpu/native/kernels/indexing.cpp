// Rows and elements by index. Attributes: takeAlongAxis [axis]; scatterAddAlongAxis [axis].
#include "loops.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

int64_t size_of(const Tensor& t, int from = 0) {
  int64_t size = 1;
  for (int i = from; i < t.rank; i++) size *= t.dims[i];
  return size;
}

const int32_t* indices_of(const Tensor& t) { return reinterpret_cast<const int32_t*>(t.data); }

void gather_rows(const Call& call) {
  const Tensor &table = call.tensors[0], &output = call.tensors[2];
  const int32_t* indices = indices_of(call.tensors[1]);
  const int64_t count = size_of(call.tensors[1]), bytes = size_of(table, 1) * element_bytes(table.dtype);
  const int64_t group = 1 + CHUNK / (bytes + 1);
  parallel(call, (count + group - 1) / group, static_cast<double>(group) * (10 + static_cast<double>(bytes) * 0.1), [&](int64_t chunk) {
    for (int64_t i = chunk * group; i < count && i < (chunk + 1) * group; i++)
      __builtin_memcpy(output.data + i * bytes, table.data + indices[i] * bytes, static_cast<size_t>(bytes));
  });
}

/** Rows of another floating dtype than the target's, rounded once. */
void write_rounded_rows(const Call& call) {
  const Tensor &target = call.tensors[0], &rows = call.tensors[2];
  const int32_t* indices = indices_of(call.tensors[1]);
  const int64_t count = call.tensors[1].dims[0], width = size_of(target, 1);
  with_float_type(target.dtype, [&](auto* to_type) {
    with_float_type(rows.dtype, [&](auto* from_type) {
      using To = ElementOf<decltype(to_type)>;
      using From = ElementOf<decltype(from_type)>;
      for (int64_t i = 0; i < count; i++) {
        To* to = reinterpret_cast<To*>(target.data) + indices[i] * width;
        const From* from = reinterpret_cast<const From*>(rows.data) + i * width;
        for (int64_t c = 0; c < width; c += LANES) {
          const int64_t lanes = width - c < LANES ? width - c : LANES;
          store_f_first(to + c, load_f_first(from + c, lanes), lanes);
        }
      }
    });
  });
}

/** Codes of one vector of D numbers; returns its scale. Magnitudes are compared as integers, so that NaN is the largest. */
template <class T>
float quantize_vector(const T* x, int64_t D, int8_t* codes) {
  I best = {};
  for (int64_t d = 0; d < D; d += LANES) {
    const I magnitude = (I)abs(load_f_first(x + d, D - d < LANES ? D - d : LANES));
    best = magnitude > best ? magnitude : best;
  }
  int32_t bits = 0;
  for (int l = 0; l < LANES; l++) bits = best[l] > bits ? best[l] : bits;
  float largest;
  __builtin_memcpy(&largest, &bits, 4);
  if (largest < 1e-30f) largest = 0;
  const F inverse = set(largest == 0 ? 0.0f : 127.0f / largest);
  for (int64_t d = 0; d < D; d += LANES) {
    const int64_t lanes = D - d < LANES ? D - d : LANES;
    const I code = to_int(round(load_f_first(x + d, lanes) * inverse));
    const B narrow = __builtin_convertvector(code, B);
    __builtin_memcpy(codes + d, &narrow, static_cast<size_t>(lanes));
  }
  return largest / 127.0f;
}

/** (codes, scales, indices, rows): see the op. In order: the last of equal indices wins. */
void write_quantized_rows(const Call& call) {
  const Tensor &codes = call.tensors[0], &rows = call.tensors[3];
  const int32_t* indices = indices_of(call.tensors[2]);
  const int64_t count = call.tensors[2].dims[0], D = codes.dims[codes.rank - 1], vectors = size_of(codes, 1) / (D > 0 ? D : 1);
  with_float_type(rows.dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    for (int64_t i = 0; i < count; i++) {
      for (int64_t n = 0; n < vectors; n++) {
        const int64_t to = indices[i] * vectors + n;
        const T* x = reinterpret_cast<const T*>(rows.data) + (i * vectors + n) * D;
        reinterpret_cast<float*>(call.tensors[1].data)[to] = quantize_vector(x, D, reinterpret_cast<int8_t*>(codes.data) + to * D);
      }
    }
  });
}

void write_rows(const Call& call) {
  const Tensor &target = call.tensors[0], &rows = call.tensors[2];
  if (target.dtype != rows.dtype) return write_rounded_rows(call);
  const int32_t* indices = indices_of(call.tensors[1]);
  const int64_t count = call.tensors[1].dims[0], bytes = size_of(target, 1) * element_bytes(target.dtype);
  // In order: the last of equal indices wins.
  for (int64_t i = 0; i < count; i++)
    __builtin_memcpy(target.data + indices[i] * bytes, rows.data + i * bytes, static_cast<size_t>(bytes));
}

/** Positions grouped by the row they add to, ascending inside a row: `order` holds them, `starts` where rows begin. */
void bucket(const int32_t* indices, int64_t count, int64_t rows, int32_t* starts, int32_t* order) {
  __builtin_memset(starts, 0, static_cast<size_t>(rows + 1) * 4);
  for (int64_t i = 0; i < count; i++) starts[indices[i] + 1]++;
  for (int64_t r = 0; r < rows; r++) starts[r + 1] += starts[r];
  for (int64_t i = 0; i < count; i++) order[starts[indices[i]]++] = static_cast<int32_t>(i);
  for (int64_t r = rows; r > 0; r--) starts[r] = starts[r - 1];
  starts[0] = 0;
}

/** Adds the rows of one target in ascending position. */
void add_rows(const Tensor& values, const int32_t* order, int64_t count, int64_t width, const Tensor& output, int64_t row) {
  alignas(64) float memory[TILE], sums[TILE];
  const int64_t bytes = element_bytes(values.dtype);
  for (int64_t c = 0; c < width; c += TILE) {
    const int64_t n = width - c < TILE ? width - c : TILE;
    for (int64_t i = 0; i < TILE; i += LANES) store(sums + i, F{});
    for (int64_t k = 0; k < count; k++) {
      const float* x = read_tile(values.data + (order[k] * width + c) * bytes, values.dtype, 1, n, memory);
      int64_t i = 0;
      for (; i + LANES <= n; i += LANES) store(sums + i, load(sums + i) + load(x + i));
      if (i < n) store(sums + i, load(sums + i) + load_first(x + i, n - i));
    }
    write_tile(output.data + (row * width + c) * bytes, output.dtype, sums, n);
  }
}

void add_int_rows(const Tensor& values, const int32_t* order, int64_t count, int64_t width, const Tensor& output, int64_t row) {
  const int64_t bytes = element_bytes(values.dtype);
  for (int64_t c = 0; c < width; c++) {
    uint32_t sum = 0;
    for (int64_t k = 0; k < count; k++) {
      int32_t memory;
      sum += static_cast<uint32_t>(*read_int_tile(values.data + (order[k] * width + c) * bytes, values.dtype, 1, 1, &memory));
    }
    const int32_t result = static_cast<int32_t>(sum);
    write_int_tile(output.data + (row * width + c) * bytes, output.dtype, &result, 1);
  }
}

void scatter_add_rows(const Call& call) {
  const Tensor &indices = call.tensors[0], &values = call.tensors[1], &output = call.tensors[2];
  const int64_t count = indices.dims[0], rows = output.dims[0], width = size_of(output, 1);
  int32_t* starts = static_cast<int32_t*>(scratch(Scratch::shared, static_cast<size_t>(rows + 1 + count) * 4));
  int32_t* order = starts + rows + 1;
  bucket(indices_of(indices), count, rows, starts, order);
  const int64_t group = 1 + CHUNK / (width + 1);
  const double cost = static_cast<double>(width) * (static_cast<double>(group) * 0.1 + 0.3 * static_cast<double>(count * group) / static_cast<double>(rows + 1));
  parallel(call, (rows + group - 1) / group, cost, [&](int64_t chunk) {
    for (int64_t r = chunk * group; r < rows && r < (chunk + 1) * group; r++) {
      const int32_t* mine = order + starts[r];
      const int64_t n = starts[r + 1] - starts[r];
      if (n == 0) { // most rows of a vocabulary
        const int64_t bytes = width * element_bytes(output.dtype);
        __builtin_memset(output.data + r * bytes, 0, static_cast<size_t>(bytes));
        continue;
      }
      if (is_float(values.dtype)) add_rows(values, mine, n, width, output, r);
      else add_int_rows(values, mine, n, width, output, r);
    }
  });
}

struct Split {
  int64_t outer, length, inner;
};

Split split_at(const Tensor& t, int axis) {
  Split s{1, t.dims[axis], size_of(t, axis + 1)};
  for (int i = 0; i < axis; i++) s.outer *= t.dims[i];
  return s;
}

template <class T>
void take(const Tensor& x, const int32_t* indices, const Tensor& output, int axis) {
  const Split s = split_at(output, axis);
  const int64_t source = x.dims[axis];
  const T* from = reinterpret_cast<const T*>(x.data);
  T* to = reinterpret_cast<T*>(output.data);
  for (int64_t o = 0, at = 0; o < s.outer; o++)
    for (int64_t i = 0; i < s.length; i++)
      for (int64_t n = 0; n < s.inner; n++, at++) to[at] = from[(o * source + indices[at]) * s.inner + n];
}

void take_along_axis(const Call& call) {
  const Tensor &x = call.tensors[0], &output = call.tensors[2];
  const int32_t* indices = indices_of(call.tensors[1]);
  const int axis = static_cast<int>(call.attributes[0]);
  switch (element_bytes(x.dtype)) {
    case 4:
      return take<uint32_t>(x, indices, output, axis);
    case 2:
      return take<uint16_t>(x, indices, output, axis);
    default:
      return take<uint8_t>(x, indices, output, axis);
  }
}

/** Sums in f64, which also holds every i32, one line along the axis at a time. */
void scatter_add_along_axis(const Call& call) {
  const Tensor &values = call.tensors[1], &output = call.tensors[2];
  const int32_t* indices = indices_of(call.tensors[0]);
  const int axis = static_cast<int>(call.attributes[0]);
  const Split s = split_at(values, axis);
  const int64_t size = output.dims[axis], bytes = element_bytes(values.dtype);
  const bool floating = is_float(values.dtype);
  double* sums = static_cast<double*>(scratch(Scratch::chunk, static_cast<size_t>(size + 1) * 8));
  for (int64_t line = 0; line < s.outer * s.inner; line++) {
    const int64_t o = line / s.inner, n = line % s.inner;
    for (int64_t i = 0; i < size; i++) sums[i] = 0;
    for (int64_t i = 0; i < s.length; i++) {
      const int64_t at = (o * s.length + i) * s.inner + n;
      int32_t whole;
      sums[indices[at]] += floating ? static_cast<double>(read_number(values.data + at * bytes, values.dtype))
                                    : static_cast<double>(*read_int_tile(values.data + at * bytes, values.dtype, 1, 1, &whole));
    }
    for (int64_t i = 0; i < size; i++) {
      char* to = output.data + ((o * size + i) * s.inner + n) * bytes;
      const float tile[LANES] = {static_cast<float>(sums[i])};
      const int32_t whole = static_cast<int32_t>(static_cast<int64_t>(sums[i]));
      if (floating) write_tile(to, output.dtype, tile, 1);
      else write_int_tile(to, output.dtype, &whole, 1);
    }
  }
}

constexpr KernelEntry entries[] = {
    {"gatherRows", gather_rows},         {"writeRows", write_rows},
    {"writeQuantizedRows", write_quantized_rows},
    {"scatterAddRows", scatter_add_rows}, {"takeAlongAxis", take_along_axis},
    {"scatterAddAlongAxis", scatter_add_along_axis},
};

} // namespace

extern const KernelTable indexing_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
