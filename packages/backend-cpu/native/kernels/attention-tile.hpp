#pragma once
// The inner kernel of attention: as gemm-tile.hpp, but as tall as registers allow, always whole in its columns, and with
// its B operand fetched ahead, because tiles stream it from the L2 cache. Every element is one chain of multiply-adds in
// ascending depth.
#include "gemm-tile.hpp"

namespace frugal::FRUGAL_ISA {

#if defined(FRUGAL_AVX512)
#define FRUGAL_ATTENTION_ROWS 14
#elif defined(FRUGAL_AVX2)
#define FRUGAL_ATTENTION_ROWS 6
#else
#define FRUGAL_ATTENTION_ROWS 4
#endif
constexpr int ATTENTION_ROWS = FRUGAL_ATTENTION_ROWS;

/** C [rows, TILE_COLUMNS] = A · B: A in pieces, B in rows of TILE_COLUMNS. */
struct AttentionTile {
  int64_t depth;
  const float* a;
  const float* b;
  float* c;
  int64_t ldc;
  bool accumulate = false; // add to C
};

template <int ROWS>
void attention_tile(const AttentionTile& t) {
  constexpr int64_t AHEAD = 16 * TILE_COLUMNS; // floats
  F acc[ROWS][2];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
    acc[i][0] = t.accumulate ? load(t.c + i * t.ldc) : F{};
    acc[i][1] = t.accumulate ? load(t.c + i * t.ldc + LANES) : F{};
  }
  const float* a = t.a;
  const float* b = t.b;
  for (int64_t start = 0; start < t.depth; start += PIECE) {
    const int64_t count = t.depth - start < PIECE ? t.depth - start : PIECE;
    for (int64_t k = 0; k < count; k++) {
      const F b0 = load(b), b1 = load(b + LANES);
      __builtin_prefetch(b + AHEAD);
      if (TILE_COLUMNS > 16) __builtin_prefetch(b + AHEAD + 16);
      b += TILE_COLUMNS;
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; i++) {
        const F x = set(a[i * PIECE + k]);
        acc[i][0] = fma(x, b0, acc[i][0]);
        acc[i][1] = fma(x, b1, acc[i][1]);
      }
    }
    a += ROWS * PIECE;
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
    store(t.c + i * t.ldc, acc[i][0]);
    store(t.c + i * t.ldc + LANES, acc[i][1]);
  }
}

using AttentionKernel = void (*)(const AttentionTile&);

/** The kernel for 1..ATTENTION_ROWS rows. */
FRUGAL_INLINE AttentionKernel attention_kernel(int64_t rows) {
  static constexpr AttentionKernel kernels[] = {
      attention_tile<1>, attention_tile<2>, attention_tile<3>, attention_tile<4>,
#if FRUGAL_ATTENTION_ROWS > 4
      attention_tile<5>, attention_tile<6>,
#endif
#if FRUGAL_ATTENTION_ROWS > 6
      attention_tile<7>, attention_tile<8>, attention_tile<9>, attention_tile<10>, attention_tile<11>, attention_tile<12>, attention_tile<13>, attention_tile<14>,
#endif
  };
  return kernels[rows - 1];
}

} // namespace frugal::FRUGAL_ISA
