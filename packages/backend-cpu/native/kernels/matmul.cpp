// matmul: [..., M, K] × [..., K, N] with any strides in the last two axes and broadcast batch axes.
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

template <class Reader>
void multiply(const Call& call) {
  using T = typename Reader::Element;
  const Tensor &a = call.tensors[0], &b = call.tensors[1], &c = call.tensors[2];
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
    char* c_data = c.data + index * m * n * (c.dtype == DType::f32 ? 4 : 2);
    for (int axis = batch.rank - 1; axis >= 0; axis--) {
      const int64_t position = index % batch.dims[axis];
      index /= batch.dims[axis];
      a_data += position * batch.a[axis];
      b_data += position * batch.b[axis];
    }
    const Gemm<Reader, Reader> gemm{m, n, k, {a_data, a_row, a_depth}, {b_data, b_column, b_depth}, {c_data, c.dtype, n}};
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
      return multiply<PairBf16>(call);
#else
      return multiply<AsF32<bf16>>(call);
#endif
    case DType::f16:
      return multiply<AsF32<f16>>(call);
    default:
      return multiply<AsF32<float>>(call);
  }
}

constexpr KernelEntry entries[] = {{"matmul", matmul}};

} // namespace

extern const KernelTable matmul_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
