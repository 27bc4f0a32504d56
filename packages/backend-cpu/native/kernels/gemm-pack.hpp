#pragma once
// Packing operands of matrix products into the order in which the tile kernel reads them. `i` is the row of A or the
// column of B, `k` the depth; strides are in elements, and at least one of them is 1 for anything fast.
#include "gemm-tile.hpp"

namespace frugal::FRUGAL_ISA {

/** One operand: element (i, k) lies at data + i · i_stride + k · k_stride. */
template <class T>
struct Operand {
  const T* data;
  int64_t i_stride;
  int64_t k_stride;
};

/** Any element type, one f32 per dword. */
template <class T>
struct AsF32 {
  using Element = T;
  using Dot = DotF32;
  /** Dwords k, k + 1, … of one i, contiguous in memory; `count` elements are there. */
  static F along_k(const T* p, int64_t count) { return load_f_first(p, count < LANES ? count : LANES); }
  /** Dword k of i, i + 1, …, contiguous in memory; `depth` elements are left below. */
  static F along_i(const T* p, int64_t, int64_t, int64_t count) { return load_f_first(p, count < LANES ? count : LANES); }
  static float single(const T* p, int64_t, int64_t) { return to_f32(*p); }
};

#if defined(__AVX512BF16__)
/** Two bf16 of neighbouring depth per dword, missing ones 0. */
struct PairBf16 {
  using Element = bf16;
#if defined(__AMX_TILE__)
  using Dot = TileDotBf16;
#else
  using Dot = DotBf16;
#endif
  static F along_k(const bf16* p, int64_t count) {
    if (count >= 2 * LANES) return load_as<F>(p);
    return (F)_mm512_maskz_loadu_epi16((__mmask32)((1u << count) - 1), p);
  }
  static F along_i(const bf16* p, int64_t k_stride, int64_t depth, int64_t count) {
    const __mmask16 mask = count >= LANES ? 0xffff : (__mmask16)((1u << count) - 1);
    const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p));
    if (depth < 2) return (F)low;
    const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p + k_stride));
    return (F)_mm512_or_si512(low, _mm512_slli_epi32(high, 16));
  }
  static float single(const bf16* p, int64_t k_stride, int64_t depth) {
    const uint32_t bits = p[0].bits | (depth < 2 ? 0u : static_cast<uint32_t>(p[k_stride].bits) << 16);
    float dword;
    __builtin_memcpy(&dword, &bits, 4);
    return dword;
  }
};
#endif

/**
 * How a tile of A is packed: along rows, in pieces of 16 dwords, or along the depth, whichever needs no transposing.
 * Tiles of AMX know pieces only.
 */
template <class Dot, class T>
FRUGAL_INLINE bool packs_along_depth(const Operand<T>& a) {
  return !Dot::WHOLE_PIECES && a.i_stride == 1 && a.k_stride != 1;
}

/**
 * `rows` rows, `depth` elements deep, tile after tile to [depth][rows of the tile]; for operands whose rows are
 * neighbours in memory, which is read once, in order.
 */
template <class Reader>
static void pack_a_along_depth(Operand<typename Reader::Element> a, int64_t rows, int64_t depth, float* to) {
  constexpr int STEP = Reader::Dot::STEP;
  const int64_t dwords = (depth + STEP - 1) / STEP;
  for (int64_t k = 0; k < dwords; k++) {
    const auto* source = a.data + k * STEP * a.k_stride;
    const auto pack = [&](int64_t tile, int64_t height) __attribute__((always_inline)) {
      float* place = to + tile * dwords + k * height;
      for (int64_t i = 0; i < height; i += LANES)
        store_first(place + i, Reader::along_i(source + tile + i, a.k_stride, depth - k * STEP, height - i), height - i < LANES ? height - i : LANES);
    };
    const int64_t whole = rows / TILE_ROWS * TILE_ROWS;
    for (int64_t tile = 0; tile < whole; tile += TILE_ROWS) pack(tile, TILE_ROWS);
    if (whole < rows) pack(whole, rows - whole);
  }
}

/** Rows 0..rows-1, `depth` elements deep, to [depth / 16][rows][16]; the last piece is filled up with zeros. */
template <class Reader>
static void pack_a_in_pieces(Operand<typename Reader::Element> a, int64_t rows, int64_t depth, float* to) {
  constexpr int STEP = Reader::Dot::STEP;
  for (int64_t start = 0; start < depth; start += PIECE * STEP, to += rows * PIECE) {
    for (int part = 0; part < PIECE; part += LANES) {
      const int64_t k = start + part * STEP;
      const auto* source = a.data + k * a.k_stride;
      const int64_t left = depth - k < 0 ? 0 : depth - k;
      if (a.i_stride == 1 && a.k_stride != 1) {
        for (int64_t i = 0; i < rows; i += LANES) {
          const int64_t count = rows - i < LANES ? rows - i : LANES;
          F v[LANES];
          for (int kk = 0; kk < LANES; kk++) {
            const int64_t below = left - kk * STEP;
            v[kk] = below > 0 ? Reader::along_i(source + i + kk * STEP * a.k_stride, a.k_stride, below, count) : F{};
          }
          transpose(v);
          for (int64_t r = 0; r < count; r++) store(to + (i + r) * PIECE + part, v[r]);
        }
        continue;
      }
      for (int64_t i = 0; i < rows; i++) {
        if (a.k_stride == 1) {
          __builtin_prefetch(source + (i + rows) * a.i_stride);
          store(to + i * PIECE + part, Reader::along_k(source + i * a.i_stride, left));
          continue;
        }
        for (int kk = 0; kk < LANES; kk++) {
          const int64_t below = left - kk * STEP;
          to[i * PIECE + part + kk] =
              below > 0 ? Reader::single(source + i * a.i_stride + kk * STEP * a.k_stride, a.k_stride, below) : 0.0f;
        }
      }
    }
  }
}

/** Dwords of depth that one row-wise packing step covers: the panels it writes to stay in the L1 cache. */
constexpr int64_t PACK_DEPTH = 32;

/**
 * Depth [start, start + count) of all columns to panels of [depth][TILE_COLUMNS], `panel_dwords` from one to the next,
 * for operands whose columns are neighbours in memory. Missing columns are 0.
 */
template <class Reader>
static void pack_b_rows(Operand<typename Reader::Element> b, int64_t columns, int64_t depth, int64_t start, int64_t count, int64_t panel_dwords, float* to) {
  constexpr int STEP = Reader::Dot::STEP;
  for (int64_t k = start; k < start + count; k++) {
    const auto* source = b.data + k * STEP * b.k_stride;
    const int64_t below = depth - k * STEP;
    float* row = to + k * TILE_COLUMNS;
    for (int64_t j = 0; j < columns; j += TILE_COLUMNS, row += panel_dwords) {
      store(row, Reader::along_i(source + j, b.k_stride, below, columns - j));
      store(row + LANES, columns - j > LANES ? Reader::along_i(source + j + LANES, b.k_stride, below, columns - j - LANES) : F{});
    }
  }
}

/** Up to TILE_COLUMNS columns, `depth` elements deep, to [depth / STEP][TILE_COLUMNS]; missing columns are 0. */
template <class Reader>
static void pack_b(Operand<typename Reader::Element> b, int64_t columns, int64_t depth, float* to) {
  constexpr int STEP = Reader::Dot::STEP;
  if (b.i_stride == 1) {
    for (int64_t k = 0; k < depth; k += STEP, to += TILE_COLUMNS) {
      const auto* source = b.data + k * b.k_stride;
      store(to, Reader::along_i(source, b.k_stride, depth - k, columns));
      store(to + LANES, columns > LANES ? Reader::along_i(source + LANES, b.k_stride, depth - k, columns - LANES) : F{});
    }
  } else if (b.k_stride == 1) {
    for (int64_t k = 0; k < depth; k += LANES * STEP, to += LANES * TILE_COLUMNS) {
      const int64_t dwords = (depth - k + STEP - 1) / STEP;
      for (int half = 0; half < 2; half++) {
        F v[LANES];
        for (int i = 0; i < LANES; i++) {
          const int64_t column = half * LANES + i;
          const auto* source = b.data + column * b.i_stride + k;
          // The hardware does not follow so many short streams at once: two cache lines ahead.
          __builtin_prefetch(reinterpret_cast<const char*>(source) + 128);
          v[i] = column < columns ? Reader::along_k(source, depth - k) : F{};
        }
        transpose(v);
        for (int64_t kk = 0; kk < LANES && kk < dwords; kk++) store(to + kk * TILE_COLUMNS + half * LANES, v[kk]);
      }
    }
  } else {
    for (int64_t k = 0; k < depth; k += STEP, to += TILE_COLUMNS) {
      const auto* source = b.data + k * b.k_stride;
      for (int64_t i = 0; i < TILE_COLUMNS; i++)
        to[i] = i < columns ? Reader::single(source + i * b.i_stride, b.k_stride, depth - k) : 0.0f;
    }
  }
}

} // namespace frugal::FRUGAL_ISA
