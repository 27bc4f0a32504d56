#pragma once
// Rows of x as int8 codes with a scale per 32 columns, or per row.
#include "packed-scales.hpp"

namespace frugal::FRUGAL_ISA {

/** Element `column` of the row as the matrix stores columns; 0 beyond the end. */
template <class T>
FRUGAL_INLINE void stored_block(const T* x, const Matrix& m, int64_t b, float (&out)[BLOCK]) {
  const int32_t* order = m.order();
  const int64_t start = b * BLOCK, count = m.columns - start < BLOCK ? m.columns - start : BLOCK;
  if (!order) {
    for (int i = 0; i < BLOCK; i += LANES) {
      const int64_t left = count - i;
      store(out + i, left >= LANES ? load_f(x + start + i) : left > 0 ? load_f_first(x + start + i, left) : F{});
    }
    return;
  }
  for (int64_t i = 0; i < BLOCK; i++) out[i] = i < count ? to_f32(x[order[start + i]]) : 0.0f;
}

FRUGAL_INLINE float largest_of(const float (&x)[BLOCK]) {
  F largest = {};
  for (int i = 0; i < BLOCK; i += LANES) largest = max(largest, abs(load(x + i)));
  return reduce_max(largest);
}

/** Codes -127..127, ties to even, and their sums. */
FRUGAL_INLINE void encode_block(const float (&x)[BLOCK], float scale, XBlock& out) {
  const F divisor = set(scale > 0 ? scale : 1.0f), limit = set(127.0f);
  int8_t* codes = reinterpret_cast<int8_t*>(out.dwords);
  out.half[0] = out.half[1] = 0;
  for (int i = 0; i < BLOCK; i += LANES) {
    const F rounded = scale > 0 ? min(limit, max(-limit, round(load(x + i) / divisor))) : F{};
    store_as(codes + i, __builtin_convertvector(to_int(rounded), B));
    out.half[i >= 16] += reduce_add(rounded); // exact
  }
  out.scale = scale;
  out.sum = out.half[0] + out.half[1];
  out.offset = scale * out.sum;
}

/** Block b of the row goes to out[b · stride]. */
template <class T>
static void quantize_blocks(const T* x, const Matrix& m, XBlock* out, int64_t stride) {
  float block[BLOCK];
  for (int64_t b = 0; b < m.blocks; b++) {
    stored_block(x, m, b, block);
    encode_block(block, largest_of(block) / 127.0f, out[b * stride]);
  }
}

/** One scale for the whole row, in every block. */
template <class T>
static void quantize_whole_row(const T* x, const Matrix& m, XBlock* out, int64_t stride) {
  float block[BLOCK], largest = 0;
  for (int64_t b = 0; b < m.blocks; b++) {
    stored_block(x, m, b, block);
    const float here = largest_of(block);
    if (here > largest) largest = here;
  }
  for (int64_t b = 0; b < m.blocks; b++) {
    stored_block(x, m, b, block);
    encode_block(block, largest / 127.0f, out[b * stride]);
  }
}

/** acc + Σ of four products of unsigned codes and signed bytes in each dword. WIDE: codes may exceed 127. */
template <bool WIDE>
FRUGAL_INLINE I dot4(I acc, U codes, int32_t x) {
#if defined(__AVX512VNNI__)
  return (I)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)codes, _mm512_set1_epi32(x));
#elif defined(FRUGAL_AVX512)
  if constexpr (WIDE) {
    const __m512i all = _mm512_set1_epi32(x), low = _mm512_set1_epi16(255);
    const __m512i even = _mm512_madd_epi16(_mm512_and_si512((__m512i)codes, low), _mm512_srai_epi16(_mm512_slli_epi16(all, 8), 8));
    const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16((__m512i)codes, 8), _mm512_srai_epi16(all, 8));
    return acc + (I)even + (I)odd;
  }
  const __m512i pairs = _mm512_maddubs_epi16((__m512i)codes, _mm512_set1_epi32(x));
  return acc + (I)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
#elif defined(FRUGAL_AVX2)
  if constexpr (WIDE) {
    const __m256i all = _mm256_set1_epi32(x), low = _mm256_set1_epi16(255);
    const __m256i even = _mm256_madd_epi16(_mm256_and_si256((__m256i)codes, low), _mm256_srai_epi16(_mm256_slli_epi16(all, 8), 8));
    const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16((__m256i)codes, 8), _mm256_srai_epi16(all, 8));
    return acc + (I)even + (I)odd;
  }
  const __m256i pairs = _mm256_maddubs_epi16((__m256i)codes, _mm256_set1_epi32(x));
  return acc + (I)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#else
  for (int t = 0; t < 4; t++) acc += (I)((codes >> (8 * t)) & 255u) * set_int(static_cast<int8_t>(static_cast<uint32_t>(x) >> (8 * t)));
  return acc;
#endif
}

} // namespace frugal::FRUGAL_ISA
