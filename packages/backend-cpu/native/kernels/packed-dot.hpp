#pragma once
// Products of the codes of a block of 32 columns with int8 codes of x. They are whole numbers, so that every order of
// summing gives the same: instruction sets and numbers of rows may each take the quickest.
#include "packed-quantize.hpp"

namespace frugal::FRUGAL_ISA {

#if defined(FRUGAL_AVX2)
/** Codes beyond 7 bits are kept as code - 128, since maddubs takes unsigned bytes by signed ones: |code| by x · sign(code). */
template <class K>
constexpr bool is_signed = K::bits == 8 || K::table;

/** How many sums of two products fit 16 bits together: 2 · 127 · (2^bits - 1) each. */
template <class K>
constexpr int ADDENDS = is_signed<K> ? 1 : K::bits <= 4 ? 8 : K::bits == 5 ? 4 : 2;

/** From the codes of `load_codes`, what `multiply_block` takes. */
template <class K>
FRUGAL_INLINE void sign_codes(Codes32& codes) {
  if constexpr (is_signed<K>) {
FRUGAL_UNROLL for (int i = 0; i < GROUPS; i++)
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) codes[i][v] ^= 0x80808080u;
  }
}

/** Σ of two products in each word: four bytes of x with the codes of a group. */
template <class K>
FRUGAL_INLINE __m256i multiply_pairs(U codes, __m256i x) {
  const __m256i c = (__m256i)codes;
  if constexpr (is_signed<K>) return _mm256_maddubs_epi16(_mm256_abs_epi8(c), _mm256_sign_epi8(x, c));
  else return _mm256_maddubs_epi16(c, x);
}

/** Products of a block with ROWS rows, row r at x[r · stride]; of signed codes those of code - 128. */
template <class K, int ROWS>
FRUGAL_INLINE void multiply_block(const Codes32& codes, const XBlock* x, int64_t stride, Products (&p)[ROWS][VECTORS]) {
  constexpr int ADDED = ADDENDS<K> < GROUPS / 2 || !K::Scales::halves ? ADDENDS<K> : GROUPS / 2;
  const __m256i ones = _mm256_set1_epi16(1);
FRUGAL_UNROLL for (int start = 0; start < GROUPS; start += ADDED) {
    __m256i sums[ROWS][VECTORS];
FRUGAL_UNROLL for (int i = start; i < start + ADDED; i++) {
      U group[VECTORS];
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) {
        group[v] = codes[i][v];
        asm("" : "+x"(group[v])); // read once, not for each row
      }
FRUGAL_UNROLL for (int r = 0; r < ROWS; r++) {
        const __m256i four = _mm256_set1_epi32(x[r * stride].dwords[i]);
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) {
          const __m256i pairs = multiply_pairs<K>(group[v], four);
          sums[r][v] = i == start ? pairs : _mm256_add_epi16(sums[r][v], pairs);
          asm("" : "+x"(sums[r][v])); // else the compiler makes a tree of the additions, whose leaves all lie on the stack
        }
      }
    }
FRUGAL_UNROLL for (int r = 0; r < ROWS; r++)
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) {
      const I whole = (I)_mm256_madd_epi16(sums[r][v], ones);
      I& to = start < GROUPS / 2 || !K::Scales::halves ? p[r][v].first : p[r][v].last;
      to = start == 0 || (K::Scales::halves && start == GROUPS / 2) ? whole : to + whole;
    }
  }
}

/** Adds the products of a block with ROWS rows, scaled, to their sums. */
template <class K, int ROWS>
FRUGAL_INLINE void add_block(const Codes32& codes, const typename K::Scales& scales, const XBlock* x, int64_t stride, F (*acc)[VECTORS]) {
  Products p[ROWS][VECTORS] = {};
  multiply_block<K, ROWS>(codes, x, stride, p);
FRUGAL_UNROLL for (int r = 0; r < ROWS; r++) {
    const XBlock& xb = x[r * stride];
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) {
      if constexpr (is_signed<K> && K::Scales::centre == 128) acc[r][v] = scales.add_centred(acc[r][v], p[r][v], xb, v);
      else {
        if constexpr (is_signed<K>) p[r][v].first += set_int(128 * static_cast<int32_t>(xb.sum));
        acc[r][v] = scales.add(acc[r][v], p[r][v], xb, v);
      }
    }
  }
}

/** What codes stand above their numbers in the sums of `add_whole`. */
constexpr int WHOLE_CENTRE = 0;

/** Adds the products of a block of signed codes, not scaled, to sums of whole numbers. */
template <int ROWS>
FRUGAL_INLINE void add_whole(const Codes32& codes, const XBlock* x, int64_t stride, I (*sums)[VECTORS]) {
  Products p[ROWS][VECTORS] = {};
  multiply_block<Kind<Channel, 8>, ROWS>(codes, x, stride, p);
FRUGAL_UNROLL for (int r = 0; r < ROWS; r++)
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) sums[r][v] += p[r][v].first + p[r][v].last;
}
#else
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
#else
  for (int t = 0; t < 4; t++) acc += (I)((codes >> (8 * t)) & 255u) * set_int(static_cast<int8_t>(static_cast<uint32_t>(x) >> (8 * t)));
  return acc;
#endif
}

template <class K>
FRUGAL_INLINE void sign_codes(Codes32&) {}

template <class K, int ROWS>
FRUGAL_INLINE void add_block(const Codes32& codes, const typename K::Scales& scales, const XBlock* x, int64_t stride, F (*acc)[VECTORS]) {
FRUGAL_UNROLL for (int r = 0; r < ROWS; r++) {
    const XBlock& xb = x[r * stride];
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) {
      Products p{};
FRUGAL_UNROLL for (int i = 0; i < 4; i++) {
        p.first = dot4<K::bits == 8 || K::table>(p.first, codes[i][v], xb.dwords[i]);
        p.last = dot4<K::bits == 8 || K::table>(p.last, codes[i + 4][v], xb.dwords[i + 4]);
      }
      acc[r][v] = scales.add(acc[r][v], p, xb, v);
    }
  }
}

constexpr int WHOLE_CENTRE = 128;

template <int ROWS>
FRUGAL_INLINE void add_whole(const Codes32& codes, const XBlock* x, int64_t stride, I (*sums)[VECTORS]) {
FRUGAL_UNROLL for (int r = 0; r < ROWS; r++)
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++)
FRUGAL_UNROLL for (int i = 0; i < GROUPS; i++) sums[r][v] = dot4<true>(sums[r][v], codes[i][v], x[r * stride].dwords[i]);
}
#endif

/** The sums of one row of x with a panel, finished. */
template <class T>
FRUGAL_INLINE void store_sums(const Matrix& m, int64_t panel, F (&sums)[VECTORS], int64_t row, const Output& out) {
  if (m.scheme == Scheme::channel)
    for (int v = 0; v < VECTORS; v++) sums[v] *= load(m.row_scales() + panel * PANEL + v * LANES);
  out.store<T>(row, panel, sums);
}

/** The same of `add_whole`; `total`: Σ of the codes of x. */
template <class T>
FRUGAL_INLINE void store_whole_sums(const Matrix& m, int64_t panel, const I (&sums)[VECTORS], int32_t total, float scale, int64_t row, const Output& out) {
  F y[VECTORS];
  for (int v = 0; v < VECTORS; v++)
    y[v] = to_float(sums[v] - set_int(WHOLE_CENTRE * total)) * (set(scale) * load(m.row_scales() + panel * PANEL + v * LANES));
  out.store<T>(row, panel, y);
}

} // namespace frugal::FRUGAL_ISA
