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

/** The larger of two absolute values. As bits, so that NaN is larger than all others and never lost. */
FRUGAL_INLINE F larger_magnitude(F a, F b) { return (F)((I)a > (I)b ? (I)a : (I)b); }

#if defined(FRUGAL_AVX2)
FRUGAL_INLINE float largest_of(const float (&x)[BLOCK]) {
  const F first = larger_magnitude(abs(load(x)), abs(load(x + 8))), last = larger_magnitude(abs(load(x + 16)), abs(load(x + 24)));
  const __m256i wide = (__m256i)larger_magnitude(first, last);
  __m128i v = _mm_max_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0x4e));
  v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(v));
}

/** Codes -127..127, ties to even, and their sums. */
FRUGAL_INLINE void encode_block(const float (&x)[BLOCK], float scale, XBlock& out) {
  const F divisor = set(scale > 0 ? scale : 1.0f), limit = set(scale > 0 ? 127.0f : 0.0f);
  __m256i dwords[4];
FRUGAL_UNROLL for (int i = 0; i < 4; i++) dwords[i] = _mm256_cvtps_epi32((__m256)min(limit, max(load(x + i * LANES) / divisor, -limit)));
  const __m256i mixed = _mm256_packs_epi16(_mm256_packs_epi32(dwords[0], dwords[1]), _mm256_packs_epi32(dwords[2], dwords[3]));
  const __m256i codes = _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_store_si256(reinterpret_cast<__m256i*>(out.dwords), codes);
  alignas(32) int64_t quarters[4]; // sums of eight codes + 128
  const __m256i above = _mm256_xor_si256(codes, _mm256_set1_epi8(static_cast<char>(0x80)));
  _mm256_store_si256(reinterpret_cast<__m256i*>(quarters), _mm256_sad_epu8(above, _mm256_setzero_si256()));
  for (int h = 0; h < 2; h++) out.half[h] = static_cast<float>(static_cast<int32_t>(quarters[2 * h] + quarters[2 * h + 1]) - 16 * 128);
  out.scale = scale;
  out.sum = out.half[0] + out.half[1];
  out.offset = scale * out.sum;
}
#else
FRUGAL_INLINE float largest_of(const float (&x)[BLOCK]) {
  F largest = {};
  for (int i = 0; i < BLOCK; i += LANES) largest = larger_magnitude(largest, abs(load(x + i)));
  const I bits = (I)largest;
  int32_t most = bits[0];
  for (int i = 1; i < LANES; i++) most = bits[i] > most ? bits[i] : most;
  return __builtin_bit_cast(float, most);
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
#endif

/** One scale for the whole row, in every block; block b at out[b · stride]. */
template <class T>
static void quantize_whole_row(const T* x, const Matrix& m, XBlock* out, int64_t stride) {
  float block[BLOCK], largest = 0;
  for (int64_t b = 0; b < m.blocks; b++) {
    stored_block(x, m, b, block);
    const float here = largest_of(block);
    if (here > largest || here != here) largest = here;
  }
  for (int64_t b = 0; b < m.blocks; b++) {
    stored_block(x, m, b, block);
    encode_block(block, largest / 127.0f, out[b * stride]);
  }
}

/** 16 blocks of 32 numbers as codes, and what sums need of each. The same as XBlock, field by field. */
struct alignas(64) XTile {
  int8_t codes[16][BLOCK];
  float scale[16], sum[16], offset[16], half[2][16];
};

#if defined(FRUGAL_AVX512)
/** The largest absolute value of each block, block j in lane j. */
FRUGAL_INLINE F largest_of_16(const float (&x)[16][BLOCK]) {
  const auto larger = [](__m512 a, __m512 b) { return (__m512)larger_magnitude((F)a, (F)b); };
  __m512 v[16];
#pragma GCC unroll 16
  for (int j = 0; j < 16; j++) v[j] = larger((__m512)abs(load(x[j])), (__m512)abs(load(x[j] + LANES)));
  // Each step leaves half as many lanes of twice as many blocks in a vector.
#pragma GCC unroll 8
  for (int j = 0; j < 8; j++) v[j] = larger(_mm512_shuffle_f32x4(v[j], v[j + 8], 0x44), _mm512_shuffle_f32x4(v[j], v[j + 8], 0xee));
#pragma GCC unroll 4
  for (int j = 0; j < 4; j++) v[j] = larger(_mm512_shuffle_f32x4(v[j], v[j + 4], 0x88), _mm512_shuffle_f32x4(v[j], v[j + 4], 0xdd));
#pragma GCC unroll 2
  for (int j = 0; j < 2; j++) v[j] = larger(_mm512_unpacklo_ps(v[j], v[j + 2]), _mm512_unpackhi_ps(v[j], v[j + 2]));
  v[0] = larger((__m512)_mm512_unpacklo_pd((__m512d)v[0], (__m512d)v[1]), (__m512)_mm512_unpackhi_pd((__m512d)v[0], (__m512d)v[1]));
  // Lane 4i + c now belongs to block (bits of i: 8, 4; bits of c: 1, 2), where i is the number of 128 bits.
  const __m512i order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
  return (F)_mm512_permutexvar_ps(order, v[0]);
}

/** As encode_block, 16 blocks at once with a scale each. */
FRUGAL_INLINE void encode_16(const float (&x)[16][BLOCK], F scales, XTile& out) {
  // A quotient is made of the reciprocal and corrected twice, after which it is the one that division gives, as long as
  // what is left over is no subnormal: so for tiny scales it is division.
  const __mmask16 positive = _mm512_cmp_ps_mask((__m512)scales, _mm512_setzero_ps(), _CMP_GT_OQ);
  const bool tiny = _mm512_mask_cmp_ps_mask(positive, (__m512)scales, _mm512_set1_ps(1e-24f), _CMP_LT_OQ) != 0;
  alignas(64) float divisor[16], inverse[16];
  const F divisors = (F)_mm512_mask_blend_ps(positive, _mm512_set1_ps(1.0f), (__m512)scales);
  store(divisor, divisors);
  store(inverse, set(1.0f) / divisors);
  alignas(64) uint64_t quarters[16][4]; // sums of eight codes + 128
  for (int j = 0; j < 16; j++) {
    const F d = set(divisor[j]), r = set(inverse[j]);
    __m128i bytes[2];
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
      const F v = load(x[j] + h * LANES);
      F q;
      if (__builtin_expect(tiny, 0)) q = v / d;
      else {
        q = v * r;
        q = fma(fma(-q, d, v), r, q);
        q = fma(fma(-q, d, v), r, q);
      }
      bytes[h] = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32((__m512)q));
    }
    const __m256i codes = _mm256_set_m128i(bytes[1], bytes[0]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(out.codes[j]), codes);
    const __m256i above = _mm256_xor_si256(codes, _mm256_set1_epi8(static_cast<char>(0x80)));
    _mm256_store_si256(reinterpret_cast<__m256i*>(quarters[j]), _mm256_sad_epu8(above, _mm256_setzero_si256()));
  }
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  // Lanes 2j and 2j + 1 of each pair of vectors: the halves of block j.
  F halves[2];
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++) {
    __m512i dwords[2];
    for (int k = 0; k < 2; k++) {
      const auto* from = quarters[8 * i + 4 * k];
      dwords[k] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi64_epi32(_mm512_load_si512(from))), _mm512_cvtepi64_epi32(_mm512_load_si512(from + 8)), 1);
    }
    const I sums = (I)_mm512_permutex2var_epi32(dwords[0], even, dwords[1]) + (I)_mm512_permutex2var_epi32(dwords[0], odd, dwords[1]);
    halves[i] = to_float(sums - set_int(16 * 128));
  }
  const F first = (F)_mm512_permutex2var_ps((__m512)halves[0], even, (__m512)halves[1]);
  const F last = (F)_mm512_permutex2var_ps((__m512)halves[0], odd, (__m512)halves[1]);
  store(out.scale, scales), store(out.half[0], first), store(out.half[1], last);
  store(out.sum, first + last), store(out.offset, scales * (first + last));
}

/** The blocks of neighbouring rows, one after the other, 16 at a time whatever their rows. */
template <class T>
static void quantize_blocks(const T* x, int64_t rows, const Matrix& m, XBlock* out) {
  alignas(64) float blocks[16][BLOCK];
  XTile tile;
  int64_t row = 0, b = 0;
  for (int64_t first = 0, all = rows * m.blocks; first < all; first += 16) {
    const int64_t count = all - first < 16 ? all - first : 16;
    for (int64_t j = 0; j < 16; j++) {
      if (j >= count) {
        __builtin_memcpy(blocks[j], blocks[count - 1], sizeof(blocks[j]));
        continue;
      }
      stored_block(x + row * m.columns, m, b, blocks[j]);
      if (++b == m.blocks) b = 0, row++;
    }
    encode_16(blocks, largest_of_16(blocks) / set(127.0f), tile);
    for (int64_t j = 0; j < count; j++) {
      XBlock& to = out[first + j];
      __builtin_memcpy(to.dwords, tile.codes[j], BLOCK);
      to.scale = tile.scale[j], to.sum = tile.sum[j], to.offset = tile.offset[j];
      to.half[0] = tile.half[0][j], to.half[1] = tile.half[1][j];
    }
  }
}
#else
/** The blocks of a row; block b at out[b · stride]. */
template <class T>
static void quantize_row_blocks(const T* x, const Matrix& m, XBlock* out, int64_t stride) {
  float block[BLOCK];
  for (int64_t b = 0; b < m.blocks; b++) {
    stored_block(x, m, b, block);
    encode_block(block, largest_of(block) / 127.0f, out[b * stride]);
  }
}

/** The blocks of neighbouring rows, one after the other. */
template <class T>
static void quantize_blocks(const T* x, int64_t rows, const Matrix& m, XBlock* out) {
  for (int64_t row = 0; row < rows; row++) quantize_row_blocks(x + row * m.columns, m, out + row * m.blocks, 1);
}
#endif

} // namespace frugal::FRUGAL_ISA
