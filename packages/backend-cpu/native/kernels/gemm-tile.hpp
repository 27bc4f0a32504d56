#pragma once
// The inner kernel of all matrix products: a tile of MR rows × 2 vectors of columns of C stays in registers while the
// depth runs. The depth counts dwords: one f32, two bf16 or four int8 each, so one loop serves all three. Every
// element of C is one chain of multiply-adds in ascending depth, whatever the sizes and the blocking around it:
// results do not depend on how many rows are computed together.
#include "../simd/convert.hpp"
#include "gemm-upcoming.hpp"

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
#if defined(FRUGAL_AVX512)
  /** Dwords of depth that one pass over a tile covers: longer ones read and write C less often, from the L2 cache on. */
  static constexpr int64_t DEPTH_BLOCK = 1024;
  /** Dwords of depth that are packed at a time when the depth is long. */
  static constexpr int64_t DEPTH_SECTION = 1024;
#else
  static constexpr int64_t DEPTH_BLOCK = 256;
  static constexpr int64_t DEPTH_SECTION = 512;
#endif
  /** Whether tiles read whole pieces of depth, so that B must be filled up with zeros as A is. */
  static constexpr bool WHOLE_PIECES = false;
  /** Whether codes of A are shifted to be unsigned, so that sums begin below zero: see `DotI8::start_row`. */
  static constexpr bool SHIFTED = false;
  /** Whether sums are never denormal. */
  static constexpr bool FLUSHES = false;
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
  static constexpr bool FLUSHES = true;
  static inline __attribute__((always_inline)) F mac(F acc, F a, F b) { return (F)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b); }
};
#endif

#if defined(__AVX512VNNI__)
/** Unsigned bytes of A (codes + 128) times signed bytes of B. */
struct DotI8 : VectorDot {
  static constexpr int STEP = 4;
  static constexpr bool SHIFTED = true;
  static inline __attribute__((always_inline)) F mac(F acc, F a, F b) {
    // The intrinsic makes g++ copy accumulators around; as an instruction it stays in place.
    asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
    return acc;
  }
  /** What the sums of a panel's columns begin with: minus 128 times the codes of B, since those of A are 128 too large. */
  static void start_row(const float* panel, int64_t depth, float* to) {
    const F shift = (F)_mm512_set1_epi8(-128);
    F sums[4] = {};
    for (int64_t k = 0; k < depth; k++)
      for (int i = 0; i < 2; i++) sums[k % 2 * 2 + i] = mac(sums[k % 2 * 2 + i], shift, load(panel + k * 2 * LANES + i * LANES));
    for (int i = 0; i < 2; i++) store(to + i * LANES, (F)(-((I)sums[i] + (I)sums[2 + i])));
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
  const float* start = nullptr; // a row that all sums begin with, besides C
  int64_t lda = 0; // rows of the tile; dwords from k to k + 1 of A that is read along the depth, which are more where it lies
  const char* next = nullptr; // memory that a later tile reads: fetched along the way, some lines per piece
  int64_t next_lines = 0;
  Upcoming* ahead = nullptr; // what is read after all of this, fetched along the way too
  bool narrow = false; // C is bf16, to which the sums are rounded: they are finished, and nothing is there to add to
};

/** Brings the part of `next` that belongs to one piece of depth towards the core. */
FRUGAL_INLINE void prefetch_next(const Tile& t, int64_t piece) {
  const char* from = t.next + piece * t.next_lines * 64;
  for (int64_t i = 0; i < t.next_lines; i++) __builtin_prefetch(from + i * 64, 0, 2);
  if (t.ahead) t.ahead->fetch();
}

/** The rows of C below this tile are the next to be touched. One row a piece: all at once would hold up the operands. */
template <int ROWS>
FRUGAL_INLINE void prefetch_below(const Tile& t, int64_t piece) {
  if (piece >= ROWS) return;
  const char* c = reinterpret_cast<const char*>(t.c) + (ROWS + piece) * t.ldc * (t.narrow ? 2 : 4);
  __builtin_prefetch(c, 1);
  __builtin_prefetch(c + 64, 1);
}

template <int ROWS>
FRUGAL_INLINE void load_tile(const Tile& t, F (&acc)[ROWS][2]) {
  if (!t.accumulate) {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) acc[i][0] = acc[i][1] = F{};
  } else if (t.columns >= TILE_COLUMNS) {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      acc[i][0] = load(t.c + i * t.ldc);
      acc[i][1] = load(t.c + i * t.ldc + LANES);
    }
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      acc[i][0] = load_first(t.c + i * t.ldc, t.columns < LANES ? t.columns : LANES);
      acc[i][1] = t.columns > LANES ? load_first(t.c + i * t.ldc + LANES, t.columns - LANES) : F{};
    }
  }
}

template <int ROWS>
FRUGAL_INLINE void add_start(const Tile& t, F (&acc)[ROWS][2]) {
  if (!t.start) return;
  const I start[2] = {(I)load(t.start), (I)load(t.start + LANES)};
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < 2; j++) acc[i][j] = (F)((I)acc[i][j] + start[j]);
}

template <int ROWS>
FRUGAL_INLINE void store_tile(const Tile& t, const F (&acc)[ROWS][2]) {
  if (t.columns < TILE_COLUMNS) {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      float* c = t.c + i * t.ldc;
      store_first(c, acc[i][0], t.columns < LANES ? t.columns : LANES);
      if (t.columns > LANES) store_first(c + LANES, acc[i][1], t.columns - LANES);
    }
    return;
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
    store(t.c + i * t.ldc, acc[i][0]);
    store(t.c + i * t.ldc + LANES, acc[i][1]);
  }
}

/** Rows of `sums`, TILE_COLUMNS from one to the next, rounded to bf16. */
[[maybe_unused]] static __attribute__((noinline)) void narrow_rows(const Tile& t, const float* sums, int64_t rows) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < t.columns; j += LANES)
      store_f_first(reinterpret_cast<bf16*>(t.c) + i * t.ldc + j, load(sums + i * TILE_COLUMNS + j), t.columns - j < LANES ? t.columns - j : LANES);
}

/** The tile as bf16, straight from the registers. */
template <class Dot, int ROWS>
FRUGAL_INLINE void narrow_tile(const Tile& t, const F (&acc)[ROWS][2]) {
#if defined(__AVX512BF16__)
  // One instruction rounds two vectors to the same bits, unless there are denormals, which it would flush.
  constexpr int DENORMAL = 0x20;
  __mmask16 denormal = 0;
  if constexpr (!Dot::FLUSHES) {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++)
      denormal |= _mm512_fpclass_ps_mask((__m512)acc[i][0], DENORMAL) | _mm512_fpclass_ps_mask((__m512)acc[i][1], DENORMAL);
  }
  if (t.columns >= TILE_COLUMNS && denormal == 0) {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) store_as(reinterpret_cast<bf16*>(t.c) + i * t.ldc, (__m512i)_mm512_cvtne2ps_pbh((__m512)acc[i][1], (__m512)acc[i][0]));
    return;
  }
#endif
  alignas(64) float sums[ROWS * TILE_COLUMNS];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i++) {
    store(sums + i * TILE_COLUMNS, acc[i][0]);
    store(sums + i * TILE_COLUMNS + LANES, acc[i][1]);
  }
  narrow_rows(t, sums, ROWS);
}

template <class Dot, int ROWS>
FRUGAL_INLINE void finish_tile(const Tile& t, const F (&acc)[ROWS][2]) {
  if (t.narrow) narrow_tile<Dot, ROWS>(t, acc);
  else store_tile<ROWS>(t, acc);
}

template <class Dot, int ROWS>
void multiply_tile(const Tile& t) {
  F acc[ROWS][2];
  load_tile<ROWS>(t, acc);
  if constexpr (Dot::SHIFTED) add_start<ROWS>(t, acc);
  const float* a = t.a;
  const float* b = t.b;
  for (int64_t start = 0; start < t.depth; start += PIECE) {
    prefetch_next(t, start / PIECE);
    prefetch_below<ROWS>(t, start / PIECE);
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
  finish_tile<Dot, ROWS>(t, acc);
}

/** The same with A read along the depth: element (i, k) at a[k · lda + i], packed or where it lies. */
template <class Dot, int ROWS>
void multiply_tile_transposed(const Tile& t) {
  F acc[ROWS][2];
  load_tile<ROWS>(t, acc);
  if constexpr (Dot::SHIFTED) add_start<ROWS>(t, acc);
  const float* a = t.a;
  const float* b = t.b;
  for (int64_t k = 0; k < t.depth; k++, a += t.lda, b += t.ldb) {
    if (k % PIECE == 0) {
      prefetch_next(t, k / PIECE);
      prefetch_below<ROWS>(t, k / PIECE);
    }
    const F b0 = load(b), b1 = load(b + LANES);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
      const F x = set(a[i]);
      acc[i][0] = Dot::mac(acc[i][0], x, b0);
      acc[i][1] = Dot::mac(acc[i][1], x, b1);
    }
  }
  finish_tile<Dot, ROWS>(t, acc);
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
