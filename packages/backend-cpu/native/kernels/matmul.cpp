// matmul: [..., M, K] × [..., K, N] with any strides in the last two axes and broadcast batch axes.
// integerMatmul: i8 [..., M, K] × i8 [..., N, K] → i32 [..., M, N], exact.
#include "codes.hpp"
#include "gemm.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Products smaller than this run one per thread instead of all threads on one. */
constexpr double SMALL_PRODUCT_FLOPS = 4e6;

struct Batch {
  int rank;
  int64_t count;
  int64_t dims[MAX_RANK], a[MAX_RANK], b[MAX_RANK];
};

Batch batch_axes(const Tensor& a, const Tensor& b, const Tensor& c) {
  Batch batch{c.rank - 2, 1, {}, {}, {}};
  const auto stride = [&](const Tensor& t, int axis) {
    const int own = axis - (c.rank - t.rank);
    return own < 0 || t.dims[own] == 1 ? 0 : t.strides[own];
  };
  for (int axis = 0; axis < batch.rank; axis++) {
    batch.dims[axis] = c.dims[axis];
    batch.count *= c.dims[axis];
    batch.a[axis] = stride(a, axis);
    batch.b[axis] = stride(b, axis);
  }
  return batch;
}

/** When B is shared and the rows of all batches of A are evenly spaced, they are one long matrix. */
bool is_one_matrix(const Batch& batch, int64_t rows, int64_t row_stride) {
  int64_t expected = rows * row_stride;
  for (int axis = batch.rank - 1; axis >= 0; axis--) {
    if (batch.b[axis] != 0) return false;
    if (batch.dims[axis] != 1 && batch.a[axis] != expected) return false;
    expected *= batch.dims[axis];
  }
  return true;
}

/** Sums of the codes of A, times what was added to those of B, are taken off ahead: C starts below zero. */
template <class Product>
void start_sums(const Call& call, const Product& gemm) {
  parallel(call, ceil_div(gemm.m, 16), static_cast<double>(16 * (gemm.k + gemm.n)) * 0.1, [&](int64_t chunk) {
    for (int64_t i = chunk * 16; i < smaller(gemm.m, (chunk + 1) * 16); i++) {
      int32_t sum = 0;
      const int8_t* row = gemm.a.data + i * gemm.a.i_stride;
      for (int64_t k = 0; k < gemm.k; k++) sum += row[k * gemm.a.k_stride];
      int32_t* to = reinterpret_cast<int32_t*>(gemm.out.data) + i * gemm.out.ld;
      for (int64_t j = 0; j < gemm.n; j++) to[j] = -WEIGHT_OFFSET * sum;
    }
  });
}

/** A and B as readers want them; with SWAPPED the last two axes of B are [N, K]. */
template <class Left, class Right, bool SWAPPED>
void multiply(const Call& call) {
  using T = typename Left::Element;
  const Tensor &a = call.tensors[0], &c = call.tensors[2];
  Tensor b = call.tensors[1];
  if constexpr (SWAPPED) {
    const int last = b.rank - 1;
    const int64_t columns = b.dims[last - 1], step = b.strides[last - 1];
    b.dims[last - 1] = b.dims[last], b.strides[last - 1] = b.strides[last];
    b.dims[last] = columns, b.strides[last] = step;
  }
  const int64_t n = c.dims[c.rank - 1], k = a.dims[a.rank - 1];
  int64_t m = c.dims[c.rank - 2];
  Batch batch = batch_axes(a, b, c);
  const int64_t a_row = a.strides[a.rank - 2], a_depth = a.strides[a.rank - 1];
  const int64_t b_depth = b.strides[b.rank - 2], b_column = b.strides[b.rank - 1];
  if (batch.count == 0) return;
  if (is_one_matrix(batch, m, a_row)) {
    m *= batch.count;
    batch.count = 1;
    batch.rank = 0;
  }
  const auto product = [&](const Call& inner, int64_t index) {
    const T* a_data = reinterpret_cast<const T*>(a.data);
    const T* b_data = reinterpret_cast<const T*>(b.data);
    char* c_data = c.data + index * m * n * element_bytes(c.dtype);
    for (int axis = batch.rank - 1; axis >= 0; axis--) {
      const int64_t position = index % batch.dims[axis];
      index /= batch.dims[axis];
      a_data += position * batch.a[axis];
      b_data += position * batch.b[axis];
    }
    Gemm<Left, Right> gemm{m, n, k, {a_data, a_row, a_depth}, {b_data, b_column, b_depth}, {c_data, c.dtype, n}};
    if constexpr (SWAPPED && WEIGHT_OFFSET != 0) {
      start_sums(inner, gemm);
      gemm.accumulate = true;
    }
    gemm.run(inner);
  };
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  if (batch.count > 1 && flops < SMALL_PRODUCT_FLOPS) {
    Call serial = call;
    serial.threads = 1;
    parallel(call, batch.count, flops / FLOPS_PER_NANOSECOND + 100, [&](int64_t index) { product(serial, index); });
  } else {
    for (int64_t index = 0; index < batch.count; index++) product(call, index);
  }
}

void matmul(const Call& call) {
  switch (call.tensors[0].dtype) {
    case DType::bf16:
#if defined(__AVX512BF16__)
      return multiply<PairBf16, PairBf16, false>(call);
#else
      return multiply<AsF32<bf16>, AsF32<bf16>, false>(call);
#endif
    case DType::f16:
      return multiply<AsF32<f16>, AsF32<f16>, false>(call);
    default:
      return multiply<AsF32<float>, AsF32<float>, false>(call);
  }
}

void integer_matmul(const Call& call) { multiply<ActivationCodes, WeightCodes, true>(call); }

constexpr KernelEntry entries[] = {{"matmul", matmul}, {"integerMatmul", integer_matmul}};

} // namespace

extern const KernelTable matmul_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
