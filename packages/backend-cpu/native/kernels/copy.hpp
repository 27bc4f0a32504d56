#pragma once
// Copies elements of any size from any strides into a contiguous place.
#include "loops.hpp"

namespace frugal::FRUGAL_ISA {

template <class T>
static void copy_elements(const Call& call, const Loop& loop) {
  for_rows(call, loop, 0.5, [&](const Row& row, int64_t first, int64_t count) {
    const int64_t stride = loop.inner_stride(1), to_stride = loop.inner_stride(0);
    T* out = reinterpret_cast<T*>(row.data[0]) + first * to_stride;
    const T* in = reinterpret_cast<const T*>(row.data[1]) + first * stride;
    if (stride == 1 && to_stride == 1) {
      __builtin_memcpy(out, in, static_cast<size_t>(count) * sizeof(T));
    } else {
      for (int64_t i = 0; i < count; i++) out[i * to_stride] = in[i * stride];
    }
  });
}

/** Transposed matrices of dwords, [rows, columns] ← columns contiguous in the input, through tiles in registers. */
static void copy_transposed(const Call& call, const float* in, int64_t in_stride, float* out, int64_t out_stride, int64_t rows,
                            int64_t columns) {
  // out[r · out_stride + c] = in[c · in_stride + r]
  const int64_t bands = (rows + LANES - 1) / LANES;
  parallel(call, bands, static_cast<double>(columns) * LANES * 0.4, [&](int64_t band) {
    const int64_t r = band * LANES, height = rows - r < LANES ? rows - r : LANES;
    for (int64_t c = 0; c < columns; c += LANES) {
      const int64_t width = columns - c < LANES ? columns - c : LANES;
      F v[LANES];
      for (int i = 0; i < LANES; i++) v[i] = i < width ? load_first(in + (c + i) * in_stride + r, height) : F{};
      transpose(v);
      for (int64_t i = 0; i < height; i++) store_first(out + (r + i) * out_stride + c, v[i], width);
    }
  });
}

/** Fills `output` (of any strides) with the elements of `input`, which broadcasts to it. */
static void copy_tensor(const Call& call, const Tensor& output, const Tensor& input) {
  const Tensor* inputs[] = {&input};
  const Loop loop = make_loop(output, inputs, 1);
  const int bytes = element_bytes(output.dtype);
  const int last = loop.rank - 1;
  if (bytes == 4 && last >= 1 && loop.strides[0][last] == 1 && loop.strides[1][last - 1] == 1 && loop.strides[1][last] > 1) {
    int64_t matrices = 1;
    for (int i = 0; i < last - 1; i++) matrices *= loop.dims[i];
    for (int64_t m = 0; m < matrices; m++) {
      int64_t index = m, from = 0, to = 0;
      for (int axis = last - 2; axis >= 0; axis--) {
        from += index % loop.dims[axis] * loop.strides[1][axis];
        to += index % loop.dims[axis] * loop.strides[0][axis];
        index /= loop.dims[axis];
      }
      copy_transposed(call, reinterpret_cast<const float*>(input.data) + from, loop.strides[1][last],
                      reinterpret_cast<float*>(output.data) + to, loop.strides[0][last - 1], loop.dims[last - 1], loop.dims[last]);
    }
    return;
  }
  if (bytes == 4) copy_elements<uint32_t>(call, loop);
  else if (bytes == 2) copy_elements<uint16_t>(call, loop);
  else copy_elements<uint8_t>(call, loop);
}

} // namespace frugal::FRUGAL_ISA
