#pragma once
// A handful of rows times columns that lie along the depth, as those of a weight [N, K] do: B is read once, in place, and
// turned in registers. Sums are the same chains of operations as in gemm-tile.hpp, so they have the same bits.
#include "gemm-pack.hpp"

namespace frugal::FRUGAL_ISA {

/** Rows up to which a product waits for the reading of B. */
constexpr int64_t STREAM_ROWS = 8;
/** Bytes between a reading of B and what is fetched then: the hardware does not follow so many streams. */
constexpr int64_t STREAM_AHEAD = 512;

/** Whether the kernel below can multiply by B. */
template <class Dot, class T>
FRUGAL_INLINE bool can_stream(const Operand<T>& b, int64_t rows) {
  return !Dot::WHOLE_PIECES && !Dot::SHIFTED && rows <= STREAM_ROWS && b.k_stride == 1;
}

/** What stream_panel takes: rows of A in pieces, up to TILE_COLUMNS columns of B, `depth` elements deep, and C. */
template <class Reader>
struct Stream {
  const float* a;
  Operand<typename Reader::Element> b;
  int64_t columns, depth;
  float* c;
  int64_t ldc;
  bool accumulate;
};

/** GROUPS times LANES columns from `column` on: as many as it takes to keep both multipliers busy. */
template <class Reader, int ROWS, int GROUPS>
FRUGAL_INLINE void stream_groups(const Stream<Reader>& s, int64_t column) {
  using Dot = typename Reader::Dot;
  const auto lanes = [&](int g) {
    const int64_t left = s.columns - column - g * LANES;
    return left < 0 ? 0 : left < LANES ? left : static_cast<int64_t>(LANES);
  };
  F acc[GROUPS][ROWS];
  for (int g = 0; g < GROUPS; g++)
    for (int i = 0; i < ROWS; i++) acc[g][i] = s.accumulate ? load_first(s.c + i * s.ldc + column + g * LANES, lanes(g)) : F{};
  for (int64_t start = 0; start < s.depth; start += LANES * Dot::STEP) {
    const int64_t k = start / Dot::STEP, left = s.depth - start;
    const float* piece = s.a + k / PIECE * ROWS * PIECE + k % PIECE;
#pragma GCC unroll 2
    for (int g = 0; g < GROUPS; g++) {
      const auto* source = s.b.data + (column + g * LANES) * s.b.i_stride + start;
      const int64_t there = lanes(g);
      F v[LANES];
#pragma GCC unroll 16
      for (int j = 0; j < LANES; j++) {
        __builtin_prefetch(reinterpret_cast<const char*>(source + j * s.b.i_stride) + STREAM_AHEAD);
        v[j] = j < there ? Reader::along_k(source + j * s.b.i_stride, left) : F{};
      }
      transpose(v);
      const auto step = [&](int kk) __attribute__((always_inline)) {
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; i++) acc[g][i] = Dot::mac(acc[g][i], set(piece[i * PIECE + kk]), v[kk]);
      };
      if (left >= LANES * Dot::STEP) {
#pragma GCC unroll 16
        for (int kk = 0; kk < LANES; kk++) step(kk);
      } else {
        for (int kk = 0; kk * Dot::STEP < left; kk++) step(kk);
      }
    }
  }
  for (int g = 0; g < GROUPS; g++)
    for (int i = 0; i < ROWS; i++)
      if (lanes(g) > 0) store_first(s.c + i * s.ldc + column + g * LANES, acc[g][i], lanes(g));
}

template <class Reader, int ROWS>
static void stream_rows(const Stream<Reader>& s) {
  constexpr int GROUPS = ROWS <= 4 ? 2 : 1;
  for (int64_t column = 0; column < s.columns; column += GROUPS * LANES) stream_groups<Reader, ROWS, GROUPS>(s, column);
}

/** `rows` is 1 to STREAM_ROWS. */
template <class Reader>
static void stream_panel(int64_t rows, const Stream<Reader>& s) {
  using Kernel = void (*)(const Stream<Reader>&);
  static constexpr Kernel kernels[] = {stream_rows<Reader, 1>, stream_rows<Reader, 2>, stream_rows<Reader, 3>, stream_rows<Reader, 4>,
                                       stream_rows<Reader, 5>, stream_rows<Reader, 6>, stream_rows<Reader, 7>, stream_rows<Reader, 8>};
  kernels[rows - 1](s);
}

} // namespace frugal::FRUGAL_ISA
