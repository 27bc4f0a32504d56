#pragma once
// Numbers of JavaScript in the lanes of vectors, and one by one: the operations with which block formats are packed, to the bit.
#include "../simd/vector.hpp"

namespace frugal::FRUGAL_ISA {

typedef double D __attribute__((vector_size(LANES * 4)));
constexpr int WIDE = LANES / 2;

FRUGAL_INLINE D set_wide(double x) {
  D v;
  for (int i = 0; i < WIDE; i++) v[i] = x;
  return v;
}

/** a > b ? a : b, and a < b ? a : b: b where one is NaN. */
FRUGAL_INLINE D larger(D a, D b) {
#if defined(FRUGAL_AVX512)
  return (D)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif defined(FRUGAL_AVX2)
  return (D)_mm256_max_pd((__m256d)a, (__m256d)b);
#elif defined(__SSE2__)
  return (D)_mm_max_pd((__m128d)a, (__m128d)b);
#else
  return a > b ? a : b;
#endif
}
FRUGAL_INLINE D smaller(D a, D b) {
#if defined(FRUGAL_AVX512)
  return (D)_mm512_min_pd((__m512d)a, (__m512d)b);
#elif defined(FRUGAL_AVX2)
  return (D)_mm256_min_pd((__m256d)a, (__m256d)b);
#elif defined(__SSE2__)
  return (D)_mm_min_pd((__m128d)a, (__m128d)b);
#else
  return a < b ? a : b;
#endif
}

/** JavaScript's Math.round: ties go up. */
FRUGAL_INLINE D round_up_ties(D x) {
#if defined(FRUGAL_AVX512)
  const __m512d r = _mm512_roundscale_pd((__m512d)x, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC), one = _mm512_set1_pd(1.0);
  const __mmask8 over = _mm512_cmp_pd_mask(_mm512_sub_pd(r, _mm512_set1_pd(0.5)), (__m512d)x, _CMP_GT_OQ);
  return (D)_mm512_mask_sub_pd(r, over, r, one);
#else
  D r;
#if defined(FRUGAL_AVX2)
  r = (D)_mm256_ceil_pd((__m256d)x);
#elif defined(__SSE4_1__)
  r = (D)_mm_ceil_pd((__m128d)x);
#else
  for (int i = 0; i < WIDE; i++) r[i] = __builtin_ceil(x[i]);
#endif
  return r - 0.5 > x ? r - 1.0 : r;
#endif
}

/** Math.min(high, Math.max(low, x)): NaN stays. */
FRUGAL_INLINE D clamp(D x, D low, D high) { return smaller(high, larger(low, x)); }

/** JavaScript's Math.max and Math.min of numbers: +0 is larger than -0. */
static inline double max_of(double a, double b) {
  if (a == b) return __builtin_signbit(a) ? b : a;
  return a > b ? a : b;
}
static inline double min_of(double a, double b) {
  if (a == b) return __builtin_signbit(a) ? a : b;
  return a < b ? a : b;
}
static inline double round_number(double x) {
  const double r = __builtin_ceil(x);
  return r - 0.5 > x ? r - 1 : r;
}
static inline double clamp_number(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

/** The f16 that core/dtype.ts's floatToF16 gives. */
static inline uint16_t half_bits(double value) {
  const float single = static_cast<float>(value);
  uint32_t bits;
  __builtin_memcpy(&bits, &single, 4);
  const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);
  if (magnitude >= 0x47800000) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) {
    const float shifted = static_cast<float>(__builtin_fabs(value) + 0.5);
    uint32_t word;
    __builtin_memcpy(&word, &shifted, 4);
    return static_cast<uint16_t>(sign | (word - 0x3f000000));
  }
  return static_cast<uint16_t>(sign | (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13);
}
static inline double half_value(uint16_t bits) {
  const double sign = bits & 0x8000 ? -1 : 1;
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  if (exponent == 0) return sign * mantissa * 0x1p-24;
  if (exponent == 31) return mantissa ? __builtin_nan("") : sign * __builtin_inf();
  const uint64_t word = static_cast<uint64_t>(exponent + 1008) << 52 | static_cast<uint64_t>(mantissa) << 42;
  double value;
  __builtin_memcpy(&value, &word, 8);
  return sign * value;
}
static inline double to_half(double value) { return half_value(half_bits(value)); }

} // namespace frugal::FRUGAL_ISA
