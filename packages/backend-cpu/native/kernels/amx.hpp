#pragma once
// Tiles of AMX: eight registers of 16 rows × 64 bytes.
#include "../simd/vector.hpp"

#if defined(__AMX_TILE__)
namespace frugal::FRUGAL_ISA {

struct TileConfiguration {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes_per_row[16];
  uint8_t rows[16];
};

/**
 * All eight tiles whole: 16 rows of 64 bytes. Until _tile_release() the thread's state is larger to save, so kernels
 * configure and release once per chunk of work.
 */
FRUGAL_INLINE void configure_tiles() {
  alignas(64) static constexpr TileConfiguration whole = {
      1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
  asm volatile("ldtilecfg %0" : : "m"(whole)); // the intrinsic of g++ 12 tells the compiler of 8 bytes only
}

} // namespace frugal::FRUGAL_ISA
#endif
