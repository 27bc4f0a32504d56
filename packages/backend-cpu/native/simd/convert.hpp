#pragma once
// Elements of every dtype as vectors of f32 or i32.
#include "../core/call.hpp"
#include "vector.hpp"

namespace frugal::FRUGAL_ISA {

// Element types as tags for templates; bf16 and f16 are their 16 bits.
struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};
struct boolean {
  uint8_t bits;
};

FRUGAL_INLINE int element_bytes(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
    default:
      return 1;
  }
}

FRUGAL_INLINE F widen_bf16(H h) { return (F)(__builtin_convertvector(h, U) << 16); }

/** Nearest, ties to even; NaN stays NaN. Not the AVX512-BF16 instruction, which flushes denormals. */
FRUGAL_INLINE H narrow_bf16(F v) {
  const U bits = (U)v;
  const U rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const U quiet = (bits >> 16) | 0x40;
  const I is_nan = v != v;
  return __builtin_convertvector(((U)is_nan & quiet) | (~(U)is_nan & rounded), H);
}

FRUGAL_INLINE F widen_f16(H h) {
#if defined(FRUGAL_AVX512)
  return (F)_mm512_cvtph_ps((__m256i)h);
#elif defined(FRUGAL_AVX2)
  return (F)_mm256_cvtph_ps((__m128i)h);
#else
  const U bits = __builtin_convertvector(h, U);
  const U sign = (bits & 0x8000) << 16;
  const U magnitude = (bits & 0x7fff) << 13;
  // A multiplication moves the exponent, denormals included; infinity and NaN keep theirs.
  const F value = (F)magnitude * set(0x1p112f);
  const I special = (I)((bits & 0x7c00) == 0x7c00);
  const U result = ((U)special & (magnitude | 0x7f800000)) | (~(U)special & (U)value);
  return (F)(result | sign);
#endif
}

FRUGAL_INLINE H narrow_f16(F v) {
#if defined(FRUGAL_AVX512)
  return (H)_mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(FRUGAL_AVX2)
  return (H)_mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  const U bits = (U)v;
  const U sign = (bits >> 16) & 0x8000;
  const U magnitude = bits & 0x7fffffff;
  const U normal = (magnitude + 0xfff + ((magnitude >> 13) & 1) - 0x38000000) >> 13;
  // Denormal results: adding ½ aligns the mantissa so that the hardware rounds.
  const U denormal = (U)((F)magnitude + set(0.5f)) - 0x3f000000;
  const U is_denormal = (U)(magnitude < 0x38800000);
  const U is_large = (U)(magnitude >= 0x47800000);
  const U is_nan = (U)(magnitude > 0x7f800000);
  U result = (is_denormal & denormal) | (~is_denormal & normal);
  result = (is_large & 0x7c00) | (~is_large & result);
  result = (is_nan & 0x7e00) | (~is_nan & result);
  return __builtin_convertvector(result | sign, H);
#endif
}

// load_f: LANES elements as f32.
FRUGAL_INLINE F load_f(const float* p) { return load(p); }
FRUGAL_INLINE F load_f(const bf16* p) { return widen_bf16(load_as<H>(p)); }
FRUGAL_INLINE F load_f(const f16* p) { return widen_f16(load_as<H>(p)); }
FRUGAL_INLINE F load_f(const int8_t* p) {
#if defined(FRUGAL_AVX512)
  return (F)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32((__m128i)load_as<B>(p)));
#elif defined(FRUGAL_AVX2)
  return (F)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  return __builtin_convertvector(load_as<B>(p), F); // g++ does this lane by lane
#endif
}
FRUGAL_INLINE void store_f(float* p, F v) { store(p, v); }
FRUGAL_INLINE void store_f(bf16* p, F v) { store_as(p, narrow_bf16(v)); }
FRUGAL_INLINE void store_f(f16* p, F v) { store_as(p, narrow_f16(v)); }

/** The first n ≤ LANES elements; the other lanes are 0. */
template <class T>
FRUGAL_INLINE F load_f_first(const T* p, int64_t n) {
  if (n >= LANES) return load_f(p);
  T padded[LANES] = {};
  for (int64_t i = 0; i < n; i++) padded[i] = p[i];
  return load_f(padded);
}
template <class T>
FRUGAL_INLINE void store_f_first(T* p, F v, int64_t n) {
  if (n >= LANES) return store_f(p, v);
  T padded[LANES];
  store_f(padded, v);
  for (int64_t i = 0; i < n; i++) p[i] = padded[i];
}
FRUGAL_INLINE F load_f_first(const float* p, int64_t n) { return load_first(p, n); }
FRUGAL_INLINE void store_f_first(float* p, F v, int64_t n) { store_first(p, v, n); }

template <class T>
FRUGAL_INLINE float to_f32(T x) {
  return load_f_first(&x, 1)[0];
}
FRUGAL_INLINE float to_f32(float x) { return x; }
FRUGAL_INLINE float to_f32(bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

template <class P>
struct Pointee;
template <class T>
struct Pointee<T*> {
  using Type = T;
};
template <class P>
using ElementOf = typename Pointee<P>::Type;

/** Calls f with a null pointer of the element type of a floating dtype: f(static_cast<T*>(nullptr)). */
template <class Function>
FRUGAL_INLINE void with_float_type(DType dtype, Function f) {
  switch (dtype) {
    case DType::bf16:
      return f(static_cast<bf16*>(nullptr));
    case DType::f16:
      return f(static_cast<f16*>(nullptr));
    default:
      return f(static_cast<float*>(nullptr));
  }
}

} // namespace frugal::FRUGAL_ISA
