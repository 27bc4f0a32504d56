#pragma once
// What attention forward and backward share: shapes, visible ranges, and packing rows of heads for the tile kernel.
#include "../core/parallel.hpp"
#include "../simd/math.hpp"
#include "attention-tile.hpp"

namespace frugal::FRUGAL_ISA {

/**
 * Keys are taken in blocks of this many from the start of their sequence. The scores, weights and mixed values of a
 * block are computed as if it were alone, and blocks are joined in ascending order: the same for every batch, chunk of a
 * prompt, place in memory and number of threads.
 */
constexpr int64_t KEY_BLOCK = 256;

constexpr float LOG2_E = 1.44269504088896341f, LN_2 = 0.693147180559945309f;

/** Attributes: [scale, causal, window or 0, softCap or 0, page size]. */
struct AttentionShape {
  int64_t H, K, D, Dv, G; // G query heads share a key head
  float scale;
  bool causal;
  int64_t window; // 0: none
  float soft_cap; // 0: none
  int64_t page_size;
};

struct Range {
  int64_t first, last;
};

static inline AttentionShape attention_shape(const Tensor& q, const Tensor& v, const double* a) {
  const int64_t H = q.dims[1], K = v.dims[1];
  return {H, K, q.dims[2], v.dims[2], H / K, static_cast<float>(a[0]), a[1] != 0, static_cast<int64_t>(a[2]), static_cast<float>(a[3]),
          static_cast<int64_t>(a[4])};
}

/** First and last key that a query at `position` sees. */
static inline Range visible(const AttentionShape& s, int64_t position, int64_t length) {
  const int64_t first = s.window > 0 ? maximum(0, position - s.window + 1) : 0;
  int64_t last = length - 1;
  if (s.causal) last = position;
  else if (s.window > 0) last = minimum(last, position + s.window - 1);
  return {first, last};
}

/**
 * Queries are packed times scale · log2 e, so that weights are powers of two. With a soft cap c, a score s becomes
 * c · tanh(s / c), here all in units of log2 e.
 */
struct Cap {
  float inverse, size;
  explicit Cap(float soft_cap) : inverse(soft_cap > 0 ? 1 / (soft_cap * LOG2_E) : 0), size(soft_cap * LOG2_E) {}
  explicit operator bool() const { return inverse != 0; }
  F tangent(F score) const { return tanh(score * set(inverse)); }
};

/**
 * 2^x for x ≤ 0, within 2e-7: a polynomial of degree 5 on the fraction, times a power of two. Below -126, also for -∞, it
 * is 0: subnormal weights would change nothing and cost a lot.
 */
FRUGAL_INLINE F exp2_weight(F x) {
  const F n = round(x);
  const F r = x - n;
  F p = set(1.3264729641e-3f);
  p = fma(p, r, set(9.6715129912e-3f));
  p = fma(p, r, set(5.5507335812e-2f));
  p = fma(p, r, set(2.4022242427e-1f));
  p = fma(p, r, set(6.9314700365e-1f));
  p = fma(p, r, set(1.0f));
#if defined(FRUGAL_AVX512)
  return (F)_mm512_maskz_scalef_ps(_mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(-126.0f), _CMP_NLT_UQ), (__m512)p, (__m512)n);
#else
  const F power = (F)((to_int(n) + 127) << 23);
  return select(x < set(-126.0f), F{}, p * power);
#endif
}

/** Rows of A for the tile kernel, `depth` deep, times `scale`; row(i) is a pointer to elements. */
template <class RowAt>
static inline void pack_rows(const RowAt& row, int64_t rows, int64_t depth, float scale, float* to) {
  const F factor = set(scale);
  for (int64_t i = 0; i < rows; i++) {
    const auto* from = row(i);
    for (int64_t k = 0; k < round_up(depth, PIECE); k += LANES) {
      const int64_t left = depth - k;
      store(to + k / PIECE * rows * PIECE + i * PIECE + k % PIECE, left > 0 ? load_f_first(from + k, minimum(left, LANES)) * factor : F{});
    }
  }
}

/** Rows as columns of B: [rows / TILE_COLUMNS][depth][TILE_COLUMNS], missing rows 0. */
template <class RowAt>
static inline void pack_transposed(const RowAt& row, int64_t rows, int64_t depth, float* to) {
  for (int64_t panel = 0; panel < rows; panel += TILE_COLUMNS, to += depth * TILE_COLUMNS) {
    for (int64_t half = 0; half < TILE_COLUMNS; half += LANES) {
      for (int64_t k = 0; k < depth; k += LANES) {
        F v[LANES];
        for (int i = 0; i < LANES; i++) {
          const int64_t index = panel + half + i;
          v[i] = index < rows ? load_f_first(row(index) + k, minimum(depth - k, LANES)) : F{};
        }
        transpose(v);
        for (int64_t i = 0; i < LANES && k + i < depth; i++) store(to + (k + i) * TILE_COLUMNS + half, v[i]);
      }
    }
  }
}

/** Rows as rows of B: [columns / TILE_COLUMNS][rows][TILE_COLUMNS], missing columns 0. */
template <class RowAt>
static inline void pack_straight(const RowAt& row, int64_t rows, int64_t columns, float* to) {
  for (int64_t panel = 0; panel < columns; panel += TILE_COLUMNS) {
    for (int64_t i = 0; i < rows; i++, to += TILE_COLUMNS) {
      const auto* from = row(i) + panel;
      for (int64_t half = 0; half < TILE_COLUMNS; half += LANES) {
        const int64_t left = columns - panel - half;
        store(to + half, left > 0 ? load_f_first(from + half, minimum(left, LANES)) : F{});
      }
    }
  }
}

/** A bump allocator over one scratch buffer; sizes in floats, aligned to 64 bytes. */
struct Arena {
  float* next;
  static int64_t floats(int64_t n) { return round_up(n, 16); }
  float* take(int64_t n) {
    float* mine = next;
    next += floats(n);
    return mine;
  }
};

FRUGAL_INLINE const int32_t* ints(const Tensor& t) { return reinterpret_cast<const int32_t*>(t.data); }

FRUGAL_INLINE void clear_rows(const Tensor& t, int64_t from, int64_t to) {
  int64_t width = element_bytes(t.dtype);
  for (int i = 1; i < t.rank; i++) width *= t.dims[i];
  if (to > from) __builtin_memset(t.data + from * width, 0, static_cast<size_t>((to - from) * width));
}

} // namespace frugal::FRUGAL_ISA
