// Packed weights of the format int8-channel: codes i8 [rows, columns] and one f32 scale per row.
// Attributes: unpack [rowStart]; packedMatmul [rows, columns, transpose, activation: 0 none, 1 int8].
#include "codes.hpp"
#include "rows.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Codes to numbers, times the scale of their row. */
void unpack_row(const int8_t* codes, float scale, int64_t columns, float* out) {
  for_vectors(columns, [&](int64_t i, int64_t lanes) { store_first(out + i, load_f_first(codes + i, lanes) * set(scale), lanes); });
}

/** (codes, scales) → f32 [rowCount, columns] */
void unpack(const Call& call) {
  const Tensor& out = call.tensors[2];
  const int64_t first = static_cast<int64_t>(call.attributes[0]), columns = out.dims[1];
  for_each_row(call, Rows{out.dims[0], columns}, 0.2, [&](int64_t row) {
    unpack_row(data_of<int8_t>(call.tensors[0]) + (first + row) * columns, data_of<float>(call.tensors[1])[first + row], columns,
               data_of<float>(out) + row * columns);
  });
}

/** (indices, codes, scales) → f32 [...indices, columns] */
void packed_gather(const Call& call) {
  const int32_t* indices = data_of<int32_t>(call.tensors[0]);
  const int64_t columns = call.tensors[1].dims[1];
  for_each_row(call, Rows{size_of(call.tensors[0]), columns}, 0.2, [&](int64_t i) {
    unpack_row(data_of<int8_t>(call.tensors[1]) + indices[i] * columns, data_of<float>(call.tensors[2])[indices[i]], columns,
               data_of<float>(call.tensors[3]) + i * columns);
  });
}

/** One row as codes -127..127 times absmax / 127, ties to even; returns the scale. */
template <class T>
float quantize_row(const T* x, int64_t columns, int8_t* codes) {
  F largest = {};
  for_vectors(columns, [&](int64_t i, int64_t lanes) { largest = max(largest, abs(load_f_first(x + i, lanes))); });
  const float scale = reduce_max(largest) / 127.0f;
  const F divisor = set(scale > 0 ? scale : 1.0f), limit = set(127.0f);
  for_vectors(columns, [&](int64_t i, int64_t lanes) {
    const I code = to_int(min(limit, max(-limit, round(load_f_first(x + i, lanes) / divisor))));
    B narrow = __builtin_convertvector(code, B);
    if (lanes == LANES) store_as(codes + i, narrow);
    else for (int64_t l = 0; l < lanes; l++) codes[i + l] = narrow[l];
  });
  return scale;
}

struct Shape {
  int64_t count, rows, columns;
  bool transpose, int8;
};

/** x [count, columns] quantised per row, dot products of whole numbers. */
template <class T>
void multiply_int8(const Call& call, const Shape& s, const Tensor& codes, const Tensor& scales, const Tensor& out) {
  char* memory = static_cast<char*>(scratch(Scratch::shared, static_cast<size_t>(s.count * (s.columns + 4)) + 64));
  float* row_scales = reinterpret_cast<float*>(memory);
  int8_t* x_codes = reinterpret_cast<int8_t*>(row_scales + s.count);
  for_each_row(call, Rows{s.count, s.columns}, 0.4, [&](int64_t row) {
    row_scales[row] = quantize_row(data_of<T>(call.tensors[0]) + row * s.columns, s.columns, x_codes + row * s.columns);
  });
  const Output output{out.data, out.dtype, s.rows, data_of<float>(scales), row_scales, true};
  const Gemm<ActivationCodes, WeightCodes> gemm{s.count, s.rows, s.columns, {x_codes, s.columns, 1}, {data_of<int8_t>(codes), s.columns, 1}, output};
  gemm.run(call);
}

/** f32 activations over the weight: its scales belong to the outputs, or to the inputs when it is transposed. */
template <class T>
void multiply_f32(const Call& call, const Shape& s, const Tensor& codes, const Tensor& scales, const Tensor& out) {
  const T* x = data_of<T>(call.tensors[0]);
  if (!s.transpose) {
    const Output output{out.data, out.dtype, s.rows, data_of<float>(scales)};
    const Gemm<AsF32<T>, AsF32<int8_t>> gemm{s.count, s.rows, s.columns, {x, s.columns, 1}, {data_of<int8_t>(codes), s.columns, 1}, output};
    return gemm.run(call);
  }
  float* scaled = static_cast<float*>(scratch(Scratch::shared, static_cast<size_t>(s.count * s.rows) * 4 + 64));
  for_each_row(call, Rows{s.count, s.rows}, 0.3, [&](int64_t row) {
    for_vectors(s.rows, [&](int64_t i, int64_t lanes) {
      store_first(scaled + row * s.rows + i, load_f_first(x + row * s.rows + i, lanes) * load_first(data_of<float>(scales) + i, lanes), lanes);
    });
  });
  const Gemm<AsF32<float>, AsF32<int8_t>> gemm{s.count, s.columns, s.rows, {scaled, s.rows, 1}, {data_of<int8_t>(codes), 1, s.columns}, {out.data, out.dtype, s.columns}};
  gemm.run(call);
}

/** (x [..., inner], codes, scales) → x Wᵀ, or x W when transposed */
void packed_matmul(const Call& call) {
  const double* a = call.attributes;
  Shape s{1, static_cast<int64_t>(a[0]), static_cast<int64_t>(a[1]), a[2] != 0, a[3] != 0};
  s.count = rows_of(call.tensors[0]).rows;
  with_float_type(call.tensors[0].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    if (s.int8) multiply_int8<T>(call, s, call.tensors[1], call.tensors[2], call.tensors[3]);
    else multiply_f32<T>(call, s, call.tensors[1], call.tensors[2], call.tensors[3]);
  });
}

constexpr KernelEntry entries[] = {{"unpack", unpack}, {"packedMatmul", packed_matmul}, {"packedGather", packed_gather}};

} // namespace

extern const KernelTable packed_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
