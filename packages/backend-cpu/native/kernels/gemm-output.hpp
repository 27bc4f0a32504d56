#pragma once
// What becomes of the sums of a matrix product: scales of codes, or bias, activation, factor and residual, on the way
// into the output.
#include "../simd/convert.hpp"
#include "activations.hpp"

namespace frugal::FRUGAL_ISA {

/** Where finished rows go: f32 in place, other dtypes from an f32 tile. */
struct Output {
  char* data;
  DType dtype;
  int64_t ld; // elements from row to row
  const float* column_scale = nullptr;
  const float* row_scale = nullptr;
  bool whole_numbers = false; // sums are i32
  // factor · activation(sum + bias) + residual
  const float* bias = nullptr;
  const char* residual = nullptr; // as the output lies
  float factor = 1;
  Activation activation = Activation::none;

  /** Sums lie in the output as they are: f32, or whole numbers in i32. */
  bool is_in_place() const { return dtype == DType::f32 || dtype == DType::i32; }
  bool has_epilogue() const { return bias || residual || factor != 1 || activation != Activation::none; }
  bool is_plain() const { return is_in_place() && !column_scale && !has_epilogue(); }
  /** The same place for sums that are not finished yet. */
  Output sums() const { return {data, dtype, ld}; }
};

/** LANES sums as numbers. */
FRUGAL_INLINE F scaled(const Output& out, F sum, int64_t row, int64_t column, int64_t lanes) {
  if (!out.column_scale) return sum;
  F scale = load_first(out.column_scale + column, lanes);
  if (out.row_scale) scale *= set(out.row_scale[row]);
  return (out.whole_numbers ? to_float((I)sum) : sum) * scale;
}

/** factor · activation(value + bias) + residual */
template <class T>
FRUGAL_INLINE F finish(const Output& out, F value, const T* residual, int64_t column, int64_t lanes) {
  if (out.bias) value += load_first(out.bias + column, lanes);
  value = activate(out.activation, value);
  if (out.factor != 1) value *= set(out.factor);
  return residual ? value + load_f_first(residual, lanes) : value;
}

template <class T>
FRUGAL_INLINE void store_output(T* to, F value, int64_t lanes) {
  store_f_first(to, value, lanes);
}
#if defined(__AVX512BF16__)
/** The same bits by one instruction, unless there are denormals, which it would flush. */
FRUGAL_INLINE void store_output(bf16* to, F value, int64_t lanes) {
  constexpr int DENORMAL = 0x20;
  if (lanes < LANES || _mm512_fpclass_ps_mask((__m512)value, DENORMAL) != 0) return store_f_first(to, value, lanes);
  store_as(to, (H)_mm512_cvtneps_pbh((__m512)value));
}
#endif

/** Converts finished rows of sums into the output; they may lie there already. */
static void store_rows(const Output& out, int64_t row, int64_t column, const float* from, int64_t ld, int64_t rows, int64_t columns) {
  const bool has_epilogue = out.has_epilogue();
  with_float_type(out.dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    for (int64_t i = 0; i < rows; i++) {
      const int64_t first = (row + i) * out.ld + column;
      T* to = reinterpret_cast<T*>(out.data) + first;
      const T* residual = out.residual ? reinterpret_cast<const T*>(out.residual) + first : nullptr;
      const auto store = [&](int64_t j, int64_t lanes) __attribute__((always_inline)) {
        const F value = scaled(out, load_first(from + i * ld + j, lanes), row + i, column + j, lanes);
        store_output(to + j, has_epilogue ? finish(out, value, residual ? residual + j : nullptr, column + j, lanes) : value, lanes);
      };
      int64_t j = 0;
      for (; j + LANES <= columns; j += LANES) store(j, LANES);
      if (j < columns) store(j, columns - j);
    }
  });
}

} // namespace frugal::FRUGAL_ISA
