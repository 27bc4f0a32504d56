#pragma once
// The inner kernel of all matrix products: a tile of MR rows × 2 vectors of columns of C stays in registers while the
// depth runs. The depth counts dwords: one f32, two bf16 or four int8 each, so one loop serves all three. Every
// element of C is one chain of multiply-adds in ascending depth, whatever the sizes and the blocking around it:
// results do not depend on how many rows are computed together.
#include "../simd/convert.hpp"

namespace frugal::FRUGAL_ISA {

#if defined(FRUGAL_AVX512)
#define FRUGAL_TILE_ROWS 10
#elif defined(FRUGAL_AVX2)
#define FRUGAL_TILE_ROWS 6
#else
#define FRUGAL_TILE_ROWS 4
#endif
constexpr int TILE_ROWS = FRUGAL_TILE_ROWS;
constexpr int TILE_COLUMNS = 2 * LANES;
/** A is packed in pieces of 16 dwords per row: [depth / 16][rows][16]. */
constexpr int PIECE = 16;

/** What dots on vectors share: the size of their tiles, and nothing to set up. */
struct VectorDot {
  static constexpr int ROWS = TILE_ROWS;
  /** Whether tiles read whole pieces of depth, so that B must be filled up with zeros as A is. */
  static constexpr bool WHOLE_PIECES = false;
  static void begin() {}
  static void end() {}
};

/** How a dword of A and a dword of B meet; all are handled as the bits of floats. */
struct DotF32 : VectorDot {
  static constexpr int STEP = 1;
  static inline __attribute__((always_inline)) F mac(F acc, F a, F b) { return fma(a, b, acc); }
};

#if defined(__AVX512BF16__)
struct DotBf16 : VectorDot {
  static constexpr int STEP = 2;
  static inline __attribute__((always_inline)) F mac(F acc, F a, F b) { return (F)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b); }
};
#endif

#if defined(__AVX512VNNI__)
/** Signed bytes of A times unsigned bytes of B (codes + 128). */
struct DotI8 : VectorDot {
  static constexpr int STEP = 4;
  static inline __attribute__((always_inline)) F mac(F acc, F a, F b) {
    // The intrinsic makes g++ copy accumulators around; as an instruction it stays in place.
    asm("vpdpbusd %1, %2, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
  }
};
#endif

/** Two int16 products per dword: exact for int8 codes on every level. */
struct DotI16 : VectorDot {
  static constexpr int STEP = 2;
  static inline __attribute__((always_inline)) F mac(F acc, F a, F b) {
#if defined(FRUGAL_AVX512)
    return (F)((I)acc + (I)_mm512_madd_epi16((__m512i)a, (__m512i)b));
#elif defined(FRUGAL_AVX2)
    return (F)((I)acc + (I)_mm256_madd_epi16((__m256i)a, (__m256i)b));
#elif defined(__SSE2__)
    return (F)((I)acc + (I)_mm_madd_epi16((__m128i)a, (__m128i)b));
#else
    const I low = (((I)a << 16) >> 16) * (((I)b << 16) >> 16);
    return (F)((I)acc + low + ((I)a >> 16) * ((I)b >> 16));
#endif
  }
};

/** Where one tile finds its operands: packed A pieces, B rows of TILE_COLUMNS dwords (`ldb` apart), f32 or i32 C. */
struct Tile {
  int64_t depth;
  const float* a;
  const float* b;
  int64_t ldb;
  float* c;
  int64_t ldc;
  int64_t columns;
  bool accumulate; // add to C instead of overwriting it
  int64_t lda = 0; // rows of the tile, which for A read along the depth are also the dwords from k to k + 1
  const char* next = nullptr; // memory that a later tile reads: fetched along the way, some lines per piece
  int64_t next_lines = 0;
};

/** Brings the part of `next` that belongs to one piece of depth towards the core. */
FRUGAL_INLINE void prefetch_next(const Tile& t, int64_t piece) {
  const char* from = t.next + piece * t.next_lines * 64;
  for (int64_t i = 0; i < t.next_lines; i++) __builtin_prefetch(from + i * 64, 0, 2);
}

/** The rows of C below this tile are the next to be touched. */
template <int ROWS>
FRUGAL_INLINE void prefetch_below(const Tile& t) {
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
    __builtin_prefetch(t.c + (ROWS + i) * t.ldc, 1);
    __builtin_prefetch(t.c + (ROWS + i) * t.ldc + 16, 1);
  }
}

template <int ROWS>
FRUGAL_INLINE void load_tile(const Tile& t, F (&acc)[ROWS][2]) {
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
    const float* c = t.c + i * t.ldc;
    if (!t.accumulate) {
      acc[i][0] = acc[i][1] = F{};
    } else if (t.columns >= TILE_COLUMNS) {
      acc[i][0] = load(c);
      acc[i][1] = load(c + LANES);
    } else {
      acc[i][0] = load_first(c, t.columns < LANES ? t.columns : LANES);
      acc[i][1] = t.columns > LANES ? load_first(c + LANES, t.columns - LANES) : F{};
    }
  }
}

template <int ROWS>
FRUGAL_INLINE void store_tile(const Tile& t, const F (&acc)[ROWS][2]) {
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
    float* c = t.c + i * t.ldc;
    if (t.columns >= TILE_COLUMNS) {
      store(c, acc[i][0]);
      store(c + LANES, acc[i][1]);
    } else {
      store_first(c, acc[i][0], t.columns < LANES ? t.columns : LANES);
      if (t.columns > LANES) store_first(c + LANES, acc[i][1], t.columns - LANES);
    }
  }
}

template <class Dot, int ROWS>
void multiply_tile(const Tile& t) {
  F acc[ROWS][2];
  load_tile<ROWS>(t, acc);
  prefetch_below<ROWS>(t);
  const float* a = t.a;
  const float* b = t.b;
  for (int64_t start = 0; start < t.depth; start += PIECE) {
    prefetch_next(t, start / PIECE);
    const int64_t count = t.depth - start < PIECE ? t.depth - start : PIECE;
    for (int64_t k = 0; k < count; k++) {
      const F b0 = load(b), b1 = load(b + LANES);
      b += t.ldb;
#pragma GCC unroll 16
      for (int i = 0; i < ROWS; i++) {
        const F x = set(a[i * PIECE + k]);
        acc[i][0] = Dot::mac(acc[i][0], x, b0);
        acc[i][1] = Dot::mac(acc[i][1], x, b1);
      }
    }
    a += ROWS * PIECE;
  }
  store_tile<ROWS>(t, acc);
}

/** The same with A read along the depth: element (i, k) at a[k · lda + i], packed or where it lies. */
template <class Dot, int ROWS>
void multiply_tile_transposed(const Tile& t) {
  F acc[ROWS][2];
  load_tile<ROWS>(t, acc);
  prefetch_below<ROWS>(t);
  const float* a = t.a;
  const float* b = t.b;
  for (int64_t k = 0; k < t.depth; k++, a += t.lda, b += t.ldb) {
    if (k % PIECE == 0) prefetch_next(t, k / PIECE);
    const F b0 = load(b), b1 = load(b + LANES);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      const F x = set(a[i]);
      acc[i][0] = Dot::mac(acc[i][0], x, b0);
      acc[i][1] = Dot::mac(acc[i][1], x, b1);
    }
  }
  store_tile<ROWS>(t, acc);
}

using TileKernel = void (*)(const Tile&);

#if FRUGAL_TILE_ROWS == 10
#define FRUGAL_ALL_ROWS(kernel) \
  kernel<Dot, 1>, kernel<Dot, 2>, kernel<Dot, 3>, kernel<Dot, 4>, kernel<Dot, 5>, kernel<Dot, 6>, kernel<Dot, 7>, kernel<Dot, 8>, kernel<Dot, 9>, kernel<Dot, 10>
#elif FRUGAL_TILE_ROWS == 6
#define FRUGAL_ALL_ROWS(kernel) kernel<Dot, 1>, kernel<Dot, 2>, kernel<Dot, 3>, kernel<Dot, 4>, kernel<Dot, 5>, kernel<Dot, 6>
#else
#define FRUGAL_ALL_ROWS(kernel) kernel<Dot, 1>, kernel<Dot, 2>, kernel<Dot, 3>, kernel<Dot, 4>
#endif

/** The tile kernel for 1..TILE_ROWS rows of A in pieces. */
template <class Dot>
FRUGAL_INLINE TileKernel tile_kernel(int64_t rows) {
  static constexpr TileKernel kernels[] = {FRUGAL_ALL_ROWS(multiply_tile)};
  return kernels[rows - 1];
}

/** The tile kernel for 1..TILE_ROWS rows of A along the depth. */
template <class Dot>
FRUGAL_INLINE TileKernel transposed_tile_kernel(int64_t rows) {
  static constexpr TileKernel kernels[] = {FRUGAL_ALL_ROWS(multiply_tile_transposed)};
  return kernels[rows - 1];
}

} // namespace frugal::FRUGAL_ISA

#include "gemm-tile-amx.hpp"
