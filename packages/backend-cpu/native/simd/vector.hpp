#pragma once
// One vector of floats, as wide as the ISA level of this compile unit has it. Arithmetic comes from the compiler's
// vector types; this file adds what they lack. Everything lives in the namespace of its level and is inlined.
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define FRUGAL_INLINE static inline __attribute__((always_inline))

namespace frugal::FRUGAL_ISA {

#if defined(__AVX512F__)
#define FRUGAL_AVX512 1
constexpr int LANES = 16;
#elif defined(__AVX2__)
#define FRUGAL_AVX2 1
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

typedef float F __attribute__((vector_size(LANES * 4)));
typedef int32_t I __attribute__((vector_size(LANES * 4)));
typedef uint32_t U __attribute__((vector_size(LANES * 4)));
typedef uint16_t H __attribute__((vector_size(LANES * 2)));
typedef int8_t B __attribute__((vector_size(LANES)));

/** All lanes the same bits: also used for packed integers, so no arithmetic may touch them. */
FRUGAL_INLINE F set(float x) {
#if defined(FRUGAL_AVX512)
  return (F)_mm512_set1_ps(x);
#elif defined(FRUGAL_AVX2)
  return (F)_mm256_set1_ps(x);
#elif defined(__SSE2__)
  return (F)_mm_set1_ps(x);
#elif defined(__ARM_NEON)
  return (F)vdupq_n_f32(x);
#else
  return F{x, x, x, x};
#endif
}
FRUGAL_INLINE I set_int(int32_t x) { return x - I{}; }

template <class V>
FRUGAL_INLINE V load_as(const void* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(V));
  return v;
}
template <class V>
FRUGAL_INLINE void store_as(void* p, V v) {
  __builtin_memcpy(p, &v, sizeof(V));
}

FRUGAL_INLINE F load(const float* p) { return load_as<F>(p); }
FRUGAL_INLINE void store(float* p, F v) { store_as(p, v); }

/** The first n ≤ LANES dwords; the other lanes are 0. */
FRUGAL_INLINE F load_first(const float* p, int64_t n) {
#if defined(FRUGAL_AVX512)
  return (F)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
  F v = {};
  if (n >= LANES) return load(p);
  for (int64_t i = 0; i < n; i++) v[i] = p[i];
  return v;
#endif
}

FRUGAL_INLINE void store_first(float* p, F v, int64_t n) {
#if defined(FRUGAL_AVX512)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
  if (n >= LANES) return store(p, v);
  for (int64_t i = 0; i < n; i++) p[i] = v[i];
#endif
}

/** a · b + c; one rounding where the level has FMA. */
FRUGAL_INLINE F fma(F a, F b, F c) {
#if defined(FRUGAL_AVX512)
  return (F)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(FRUGAL_AVX2)
  return (F)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_NEON)
  return (F)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

FRUGAL_INLINE F select(I mask, F a, F b) { return mask ? a : b; }

/** The larger; b where a comparison with NaN fails, as the x86 instruction does. */
FRUGAL_INLINE F max(F a, F b) {
#if defined(FRUGAL_AVX512)
  return (F)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(FRUGAL_AVX2)
  return (F)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
  return (F)_mm_max_ps((__m128)a, (__m128)b);
#else
  return a > b ? a : b;
#endif
}
FRUGAL_INLINE F min(F a, F b) {
#if defined(FRUGAL_AVX512)
  return (F)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(FRUGAL_AVX2)
  return (F)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
  return (F)_mm_min_ps((__m128)a, (__m128)b);
#else
  return a < b ? a : b;
#endif
}

FRUGAL_INLINE F abs(F a) { return (F)((I)a & set_int(0x7fffffff)); }

FRUGAL_INLINE F sqrt(F a) {
#if defined(FRUGAL_AVX512)
  return (F)_mm512_sqrt_ps((__m512)a);
#elif defined(FRUGAL_AVX2)
  return (F)_mm256_sqrt_ps((__m256)a);
#elif defined(__SSE2__)
  return (F)_mm_sqrt_ps((__m128)a);
#else
  for (int i = 0; i < LANES; i++) a[i] = __builtin_sqrtf(a[i]);
  return a;
#endif
}

/** Nearest integer, ties to even. */
FRUGAL_INLINE F round(F a) {
#if defined(FRUGAL_AVX512)
  return (F)_mm512_roundscale_ps((__m512)a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(FRUGAL_AVX2)
  return (F)_mm256_round_ps((__m256)a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__SSE4_1__)
  return (F)_mm_round_ps((__m128)a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  for (int i = 0; i < LANES; i++) a[i] = __builtin_rintf(a[i]);
  return a;
#endif
}

FRUGAL_INLINE F floor(F a) {
#if defined(FRUGAL_AVX512)
  return (F)_mm512_roundscale_ps((__m512)a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#elif defined(FRUGAL_AVX2)
  return (F)_mm256_round_ps((__m256)a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#elif defined(__SSE4_1__)
  return (F)_mm_round_ps((__m128)a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#else
  for (int i = 0; i < LANES; i++) a[i] = __builtin_floorf(a[i]);
  return a;
#endif
}

/** Truncates; out of range and NaN give -2^31 on x86. */
FRUGAL_INLINE I to_int(F a) {
#if defined(FRUGAL_AVX512)
  return (I)_mm512_cvttps_epi32((__m512)a);
#elif defined(FRUGAL_AVX2)
  return (I)_mm256_cvttps_epi32((__m256)a);
#elif defined(__SSE2__)
  return (I)_mm_cvttps_epi32((__m128)a);
#else
  return __builtin_convertvector(a, I);
#endif
}
FRUGAL_INLINE F to_float(I a) { return __builtin_convertvector(a, F); }

/** Sum of all lanes, always in the same order: halves are added until one lane is left. */
FRUGAL_INLINE float reduce_add(F a) {
#if defined(FRUGAL_AVX512)
  return _mm512_reduce_add_ps((__m512)a);
#else
  float lane[LANES];
  store(lane, a);
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lane[i] += lane[i + half];
  return lane[0];
#endif
}

FRUGAL_INLINE float reduce_max(F a) {
#if defined(FRUGAL_AVX512)
  return _mm512_reduce_max_ps((__m512)a);
#else
  float best = a[0];
  for (int i = 1; i < LANES; i++) best = a[i] > best ? a[i] : best;
  return best;
#endif
}

/** Lanes below n have all bits set. */
FRUGAL_INLINE I first_lanes(int64_t n) {
  I index;
  for (int i = 0; i < LANES; i++) index[i] = i;
  return index < set_int(static_cast<int32_t>(n));
}

/** In place: v[i][j] becomes v[j][i]. */
FRUGAL_INLINE void transpose(F (&v)[LANES]) {
#if defined(FRUGAL_AVX512)
  // Squares of four inside the lanes of 128 bits, then the lanes.
  __m512 pairs[16], fours[16], low[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_ps((__m512)v[i], (__m512)v[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_ps((__m512)v[i], (__m512)v[i + 1]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    const __m512d a = (__m512d)pairs[i / 4 * 4 + i / 2 % 2], b = (__m512d)pairs[i / 4 * 4 + i / 2 % 2 + 2];
    fours[i] = (__m512)_mm512_unpacklo_pd(a, b);
    fours[i + 1] = (__m512)_mm512_unpackhi_pd(a, b);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; c++) {
#pragma GCC unroll 2
    for (int h = 0; h < 16; h += 8) {
      low[h + c] = _mm512_shuffle_f32x4(fours[h + c], fours[h + 4 + c], 0x88);
      low[h + 4 + c] = _mm512_shuffle_f32x4(fours[h + c], fours[h + 4 + c], 0xdd);
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < 8; c++) {
    v[c] = (F)_mm512_shuffle_f32x4(low[c], low[8 + c], 0x88);
    v[8 + c] = (F)_mm512_shuffle_f32x4(low[c], low[8 + c], 0xdd);
  }
#elif defined(FRUGAL_AVX2)
  __m256 pairs[8], fours[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps((__m256)v[i], (__m256)v[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps((__m256)v[i], (__m256)v[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    const __m256d a = (__m256d)pairs[i / 4 * 4 + i / 2 % 2], b = (__m256d)pairs[i / 4 * 4 + i / 2 % 2 + 2];
    fours[i] = (__m256)_mm256_unpacklo_pd(a, b);
    fours[i + 1] = (__m256)_mm256_unpackhi_pd(a, b);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; c++) {
    v[c] = (F)_mm256_permute2f128_ps(fours[c], fours[4 + c], 0x20);
    v[4 + c] = (F)_mm256_permute2f128_ps(fours[c], fours[4 + c], 0x31);
  }
#else
  for (int i = 0; i < LANES; i++)
    for (int j = 0; j < i; j++) {
      const float above = v[j][i];
      v[j][i] = v[i][j], v[i][j] = above;
    }
#endif
}

#if defined(FRUGAL_AVX512) || defined(FRUGAL_AVX2)
/** Squares of eight words in each lane of 128 bits. */
template <class V, class Low16, class High16, class Low32, class High32, class Low64, class High64>
FRUGAL_INLINE void transpose_words(V (&v)[8], Low16 low16, High16 high16, Low32 low32, High32 high32, Low64 low64, High64 high64) {
  V pairs[8], fours[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) pairs[i] = low16(v[i], v[i + 1]), pairs[i + 1] = high16(v[i], v[i + 1]);
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    const int from = i / 4 * 4 + i / 2 % 2;
    fours[i] = low32(pairs[from], pairs[from + 2]), fours[i + 1] = high32(pairs[from], pairs[from + 2]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; c++) v[2 * c] = low64(fours[c], fours[4 + c]), v[2 * c + 1] = high64(fours[c], fours[4 + c]);
}
#endif

/** The same of words. */
FRUGAL_INLINE void transpose(H (&v)[LANES]) {
#if defined(FRUGAL_AVX512)
  __m512i both[8]; // rows i and i + 8
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) both[i] = _mm512_inserti64x4(_mm512_castsi256_si512((__m256i)v[i]), (__m256i)v[i + 8], 1);
#define FRUGAL_PAIR(op) [](__m512i a, __m512i b) __attribute__((always_inline)) { return _mm512_##op(a, b); }
  transpose_words(both, FRUGAL_PAIR(unpacklo_epi16), FRUGAL_PAIR(unpackhi_epi16), FRUGAL_PAIR(unpacklo_epi32), FRUGAL_PAIR(unpackhi_epi32), FRUGAL_PAIR(unpacklo_epi64), FRUGAL_PAIR(unpackhi_epi64));
#undef FRUGAL_PAIR
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) {
    const __m512i columns = _mm512_shuffle_i64x2(both[i], both[i], _MM_SHUFFLE(3, 1, 2, 0)); // i, then i + 8
    v[i] = (H)_mm512_castsi512_si256(columns);
    v[i + 8] = (H)_mm512_extracti64x4_epi64(columns, 1);
  }
#elif defined(FRUGAL_AVX2)
  __m128i words[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) words[i] = (__m128i)v[i];
#define FRUGAL_PAIR(op) [](__m128i a, __m128i b) __attribute__((always_inline)) { return _mm_##op(a, b); }
  transpose_words(words, FRUGAL_PAIR(unpacklo_epi16), FRUGAL_PAIR(unpackhi_epi16), FRUGAL_PAIR(unpacklo_epi32), FRUGAL_PAIR(unpackhi_epi32), FRUGAL_PAIR(unpacklo_epi64), FRUGAL_PAIR(unpackhi_epi64));
#undef FRUGAL_PAIR
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) v[i] = (H)words[i];
#else
  for (int i = 0; i < LANES; i++)
    for (int j = 0; j < i; j++) {
      const uint16_t above = v[j][i];
      v[j][i] = v[i][j], v[i][j] = above;
    }
#endif
}

} // namespace frugal::FRUGAL_ISA
