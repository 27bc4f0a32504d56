// matmul: [..., M, K] × [..., K, N] with any strides in the last two axes and broadcast batch axes.
// integerMatmul: i8 [..., M, K] × i8 [..., N, K] → i32 [..., M, N], exact.
// linear: (x [..., K], weight [N, K], copy?, bias? [N], residual? [..., N]) → factor · activation(x · weightᵀ + bias) +
// residual; bias and residual contiguous. Attributes: [has copy, has bias, has residual, activation or -1, factor].
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

/** The last two axes change places. */
Tensor swapped(Tensor t) {
  const int last = t.rank - 1;
  const int64_t columns = t.dims[last - 1], step = t.strides[last - 1];
  t.dims[last - 1] = t.dims[last], t.strides[last - 1] = t.strides[last];
  t.dims[last] = columns, t.strides[last] = step;
  return t;
}

/** A [..., M, K] · B [..., K, N] as readers want them; `finish` says what becomes of the sums. */
template <class Left, class Right>
void multiply(const Call& call, const Tensor& a, const Tensor& b, const Tensor& c, const Output& finish = {}) {
  using T = typename Left::Element;
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
    const int64_t start = index * m * n * element_bytes(c.dtype);
    Output out = finish;
    out.data = c.data + start;
    out.dtype = c.dtype;
    out.ld = n;
    if (out.residual) out.residual += start;
    for (int axis = batch.rank - 1; axis >= 0; axis--) {
      const int64_t position = index % batch.dims[axis];
      index /= batch.dims[axis];
      a_data += position * batch.a[axis];
      b_data += position * batch.b[axis];
    }
    const Gemm<Left, Right> gemm{m, n, k, {a_data, a_row, a_depth}, {b_data, b_column, b_depth}, out};
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

/** The same for operands of floating dtypes. */
void multiply_floats(const Call& call, const Tensor& a, const Tensor& b, const Tensor& c, const Output& finish = {}) {
  switch (a.dtype) {
    case DType::bf16:
#if defined(__AVX512BF16__)
      return multiply<PairBf16, PairBf16>(call, a, b, c, finish);
#else
      return multiply<AsF32<bf16>, AsF32<bf16>>(call, a, b, c, finish);
#endif
    case DType::f16:
      return multiply<AsF32<f16>, AsF32<f16>>(call, a, b, c, finish);
    default:
      return multiply<AsF32<float>, AsF32<float>>(call, a, b, c, finish);
  }
}

void matmul(const Call& call) { multiply_floats(call, call.tensors[0], call.tensors[1], call.tensors[2]); }

void integer_matmul(const Call& call) {
  multiply<ActivationCodes, WeightCodes>(call, call.tensors[0], swapped(call.tensors[1]), call.tensors[2]);
}

/** A vector as a matrix of one row. */
Tensor with_rows(Tensor t) {
  if (t.rank > 1) return t;
  t.dims[1] = t.dims[0], t.strides[1] = t.strides[0];
  t.dims[0] = 1, t.strides[0] = 0;
  t.rank = 2;
  return t;
}

const float* as_f32(const Tensor& vector) {
  if (vector.dtype == DType::f32) return reinterpret_cast<const float*>(vector.data);
  const int64_t size = vector.dims[0];
  float* wide = static_cast<float*>(scratch(Scratch::shared, static_cast<size_t>(size) * 4 + 64));
  with_float_type(vector.dtype, [&](auto* type) {
    const auto* from = reinterpret_cast<const ElementOf<decltype(type)>*>(vector.data);
    for (int64_t i = 0; i < size; i++) wide[i] = to_f32(from[i]);
  });
  return wide;
}

void linear(const Call& call) {
  const Tensor* next = call.tensors + 1;
  const Tensor* weight = next++;
  if (call.attributes[0] != 0) weight = next++;
  Output finish{};
  if (call.attributes[1] != 0) finish.bias = as_f32(*next++);
  if (call.attributes[2] != 0) finish.residual = (next++)->data;
  finish.activation = static_cast<Activation>(static_cast<int>(call.attributes[3]));
  finish.factor = static_cast<float>(call.attributes[4]);
  multiply_floats(call, with_rows(call.tensors[0]), swapped(*weight), with_rows(*next), finish);
}

constexpr KernelEntry entries[] = {{"matmul", matmul}, {"integerMatmul", integer_matmul}, {"linear", linear}};

} // namespace

extern const KernelTable matmul_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
