#pragma once
// The inner kernel on AMX: up to 32 rows × 32 columns of C in four tiles. A tile of A is one packed piece of 16 rows,
// a tile of B half a panel at one piece of depth; both are read as the other levels pack them. One instruction adds 16
// dwords of depth to every element in an order of its own, which does not depend on the rows around it.
#include "amx.hpp"

#if defined(__AMX_TILE__)
namespace frugal::FRUGAL_ISA {

struct TileDot {
  static constexpr int ROWS = 32;
  static constexpr int64_t DEPTH_BLOCK = 256, DEPTH_SECTION = 512;
  static constexpr bool WHOLE_PIECES = true;
  static constexpr bool SHIFTED = false;
  static void begin() { configure_tiles(); }
  static void end() { _tile_release(); }
};
struct TileDotBf16 : TileDot {
  static constexpr int STEP = 2;
};
struct TileDotI8 : TileDot {
  static constexpr int STEP = 4;
};

constexpr int64_t TILE_BYTES = 64, HALF = 16;

/** C comes and goes through this buffer where its rows or columns are fewer than the tiles have. */
struct EdgeTile {
  alignas(64) float values[32 * 32];
};

/** C tile (half, side) of the four from or to a matrix; a macro because tile numbers are part of the instruction. */
#define FRUGAL_EACH_C_TILE(action, c, stride)                        \
  action(0, c, stride);                                              \
  if (right) action(1, (c) + HALF, stride);                          \
  if (low) action(2, (c) + HALF * ((stride) / 4), stride);           \
  if (low && right) action(3, (c) + HALF * ((stride) / 4) + HALF, stride);

static inline void copy_rows(float* to, int64_t to_stride, const float* from, int64_t from_stride, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j += LANES)
      store_first(to + i * to_stride + j, load_first(from + i * from_stride + j, columns - j < LANES ? columns - j : LANES), columns - j < LANES ? columns - j : LANES);
}

/** `rows` is 1 to 32. Rows that A does not have are computed from what lies behind it, and never stored. */
template <class Dot>
void multiply_tile_amx(const Tile& t) {
  const int64_t rows = t.lda;
  const bool low = rows > HALF, right = t.columns > HALF;
  const bool whole = (rows == 32 || rows == HALF) && (t.columns >= 32 || t.columns == HALF);
  EdgeTile edge;
  float* const c = whole ? t.c : edge.values;
  const int64_t stride = (whole ? t.ldc : 32) * 4;
  if (!t.accumulate) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    if (!whole) copy_rows(edge.values, 32, t.c, t.ldc, rows, t.columns);
    asm volatile("" : : : "memory"); // the intrinsics do not say that they read memory
    FRUGAL_EACH_C_TILE(_tile_loadd, c, stride)
  }
  asm volatile("" : : : "memory");
  const char* a = reinterpret_cast<const char*>(t.a);
  const char* b = reinterpret_cast<const char*>(t.b);
  const int64_t b_row = t.ldb * 4;
  for (int64_t piece = 0; piece < t.depth / PIECE; piece++, a += rows * TILE_BYTES, b += PIECE * b_row) {
    prefetch_next(t, piece);
    _tile_loadd(4, a, TILE_BYTES);
    _tile_loadd(6, b, b_row);
    if constexpr (Dot::STEP == 2) _tile_dpbf16ps(0, 4, 6);
    else _tile_dpbssd(0, 4, 6);
    if (right) {
      _tile_loadd(7, b + TILE_BYTES, b_row);
      if constexpr (Dot::STEP == 2) _tile_dpbf16ps(1, 4, 7);
      else _tile_dpbssd(1, 4, 7);
    }
    if (!low) continue;
    _tile_loadd(5, a + HALF * TILE_BYTES, TILE_BYTES);
    if constexpr (Dot::STEP == 2) _tile_dpbf16ps(2, 5, 6);
    else _tile_dpbssd(2, 5, 6);
    if (!right) continue;
    if constexpr (Dot::STEP == 2) _tile_dpbf16ps(3, 5, 7);
    else _tile_dpbssd(3, 5, 7);
  }
  FRUGAL_EACH_C_TILE(_tile_stored, c, stride)
  if (!whole) copy_rows(t.c, t.ldc, edge.values, 32, rows, t.columns);
}
#undef FRUGAL_EACH_C_TILE

template <>
inline TileKernel tile_kernel<TileDotBf16>(int64_t) {
  return multiply_tile_amx<TileDotBf16>;
}
template <>
inline TileKernel tile_kernel<TileDotI8>(int64_t) {
  return multiply_tile_amx<TileDotI8>;
}

} // namespace frugal::FRUGAL_ISA
#endif
