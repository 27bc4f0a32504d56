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

/** C += Aᵀ · B with A [depth, lda], ROWS of whose columns are the rows of C. */
template <int ROWS>
void transposed_attention_tile(const float* a, int64_t lda, const float* b, int64_t depth, float* c, int64_t ldc) {
  F acc[ROWS][2];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
    acc[i][0] = load(c + i * ldc);
    acc[i][1] = load(c + i * ldc + LANES);
  }
  for (int64_t k = 0; k < depth; k++, a += lda, b += TILE_COLUMNS) {
    const F b0 = load(b), b1 = load(b + LANES);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      const F x = set(a[i]);
      acc[i][0] = fma(x, b0, acc[i][0]);
      acc[i][1] = fma(x, b1, acc[i][1]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
    store(c + i * ldc, acc[i][0]);
    store(c + i * ldc + LANES, acc[i][1]);
  }
}

#if FRUGAL_ATTENTION_ROWS == 14
#define FRUGAL_ATTENTION_KERNELS(kernel) \
  kernel<1>, kernel<2>, kernel<3>, kernel<4>, kernel<5>, kernel<6>, kernel<7>, kernel<8>, kernel<9>, kernel<10>, kernel<11>, kernel<12>, kernel<13>, kernel<14>
#elif FRUGAL_ATTENTION_ROWS == 6
#define FRUGAL_ATTENTION_KERNELS(kernel) kernel<1>, kernel<2>, kernel<3>, kernel<4>, kernel<5>, kernel<6>
#else
#define FRUGAL_ATTENTION_KERNELS(kernel) kernel<1>, kernel<2>, kernel<3>, kernel<4>
#endif

using AttentionKernel = void (*)(const AttentionTile&);
using TransposedAttentionKernel = void (*)(const float* a, int64_t lda, const float* b, int64_t depth, float* c, int64_t ldc);

/** The kernel for 1..ATTENTION_ROWS rows. */
FRUGAL_INLINE AttentionKernel attention_kernel(int64_t rows) {
  static constexpr AttentionKernel kernels[] = {FRUGAL_ATTENTION_KERNELS(attention_tile)};
  return kernels[rows - 1];
}
FRUGAL_INLINE TransposedAttentionKernel transposed_attention_kernel(int64_t rows) {
  static constexpr TransposedAttentionKernel kernels[] = {FRUGAL_ATTENTION_KERNELS(transposed_attention_tile)};
  return kernels[rows - 1];
}

} // namespace frugal::FRUGAL_ISA
