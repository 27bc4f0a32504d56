#pragma once
// Products of 16 and more rows of int8 codes with a matrix in the layout rows16 on AMX tiles. One instruction gives the
// whole sums of a block for 16 rows of x and the 16 rows of a panel: numbers that the other path finds dword by dword.
// What follows them in f32 is the same, operation for operation, so that a row has the same bits alone and among others.
#include "amx.hpp"
#include "packed-quantize.hpp"

namespace frugal::FRUGAL_ISA {

#if defined(__AMX_TILE__)
/** Rows of x in a tile: XTile at x[tile · blocks + block]. */
constexpr int64_t ROW_TILE = 16;
/** Fewest rows that are multiplied here. */
constexpr int64_t FEWEST_TILED = ROW_TILE;

/** A block of a panel as tiles read it: bytes of codes, or of code - centre, and its scales. */
template <class K>
struct alignas(64) TileBlock {
  Codes32 codes;
  typename K::Scales scales;
};

/** Sums of a block, [row of x][row of the panel]; where there are scales for each half, of the two halves. */
template <class K>
struct TileSums {
  static constexpr int PARTS = K::Scales::halves ? 2 : 1;
  alignas(64) int32_t values[PARTS][ROW_TILE][PANEL];
};

/** What XBlock says of a single row. */
struct XNumbers {
  float scale, sum, offset, half[2];
};

/** Tiles 0-3: sums. 4 and 5: codes of 16 rows of x, for a block or a half of it. 6 and 7: codes of a panel. */
template <int PARTS>
FRUGAL_INLINE void configure_block_tiles() {
  constexpr uint16_t a = BLOCK / PARTS;
  constexpr uint8_t b = GROUPS / PARTS;
  alignas(64) static constexpr TileConfiguration shape = {
      1, 0, {}, {64, 64, 64, 64, a, a, 64, 64}, {16, 16, 16, 16, 16, 16, b, b}};
  asm volatile("ldtilecfg %0" : : "m"(shape));
}

template <class K>
static void unpack_tiles(const Matrix& m, int64_t panel, TileBlock<K>* out) {
  for_blocks<K>(m, m.panel(panel), 0, m.blocks, [&](int64_t b, const Codes32& codes, const typename K::Scales& scales) {
    for (int i = 0; i < GROUPS; i++)
      out[b].codes[i][0] = (U)_mm512_sub_epi8((__m512i)codes[i][0], _mm512_set1_epi8(static_cast<char>(K::Scales::centre)));
    out[b].scales = scales;
  });
}

template <class K>
FRUGAL_INLINE void multiply_block(const TileBlock<K>& w, const XTile& x, TileSums<K>& sums) {
  const char* a = reinterpret_cast<const char*>(x.codes);
  const char* b = reinterpret_cast<const char*>(w.codes);
  _tile_zero(0);
  _tile_loadd(4, a, BLOCK);
  _tile_loadd(6, b, 64);
  if constexpr (K::Scales::centre == 0) _tile_dpbsud(0, 4, 6);
  else _tile_dpbssd(0, 4, 6);
  _tile_stored(0, sums.values[0], 64);
  if constexpr (TileSums<K>::PARTS == 2) {
    _tile_zero(1);
    _tile_loadd(5, a + BLOCK / 2, BLOCK);
    _tile_loadd(7, b + GROUPS / 2 * 64, 64);
    if constexpr (K::Scales::centre == 0) _tile_dpbsud(1, 5, 7);
    else _tile_dpbssd(1, 5, 7);
    _tile_stored(1, sums.values[1], 64);
  }
}

/** 16 rows of codes times a panel. The tiles of a block are multiplied while the sums of the one before it are scaled. */
template <class K, class T>
static void block_row_tile(const Matrix& m, int64_t panel, const TileBlock<K>* w, const XTile* x, int64_t row, int64_t rows, const Output& out) {
  TileSums<K> sums[2];
  F acc[ROW_TILE] = {};
  if (m.blocks > 0) multiply_block<K>(w[0], x[0], sums[0]);
  for (int64_t b = 0; b < m.blocks; b++) {
    asm volatile("" : : : "memory"); // the intrinsics do not say that they read and write memory
    if (b + 1 < m.blocks) multiply_block<K>(w[b + 1], x[b + 1], sums[(b + 1) & 1]);
    const auto& values = sums[b & 1].values;
    const typename K::Scales scales = w[b].scales;
#pragma GCC unroll 16
    for (int r = 0; r < ROW_TILE; r++) {
      Products p{load_as<I>(values[0][r]), I{}};
      if constexpr (TileSums<K>::PARTS == 2) p.last = load_as<I>(values[1][r]);
      const XNumbers numbers{x[b].scale[r], x[b].sum[r], x[b].offset[r], {x[b].half[0][r], x[b].half[1][r]}};
      if constexpr (K::Scales::centre == 0) acc[r] = scales.add(acc[r], p, numbers, 0);
      else acc[r] = scales.add_centred(acc[r], p, numbers, 0);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < ROW_TILE; r++) { // all unrolled: an `r` known only at run time would keep `acc` in memory
    if (r >= rows) break;
    F y[VECTORS] = {acc[r]};
    if (m.scheme == Scheme::channel) y[0] *= load(m.row_scales() + panel * PANEL);
    out.store<T>(row + r, panel, y);
  }
}

/** int8 per row over int8-channel: whole sums of all blocks, in four chains. */
template <class K, class T>
static void whole_row_tile(const Matrix& m, int64_t panel, const TileBlock<K>* w, const XTile* x, int64_t row, int64_t rows, const Output& out) {
  alignas(64) int32_t chains[4][ROW_TILE][PANEL];
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
#define FRUGAL_CHAIN(n)                                      \
  if (b + n < m.blocks) {                                    \
    _tile_loadd(4, x[b + n].codes, BLOCK);                   \
    _tile_loadd(6, w[b + n].codes, 64);                      \
    _tile_dpbssd(n, 4, 6);                                   \
  }
  for (int64_t b = 0; b < m.blocks; b += 4) {
    FRUGAL_CHAIN(0)
    FRUGAL_CHAIN(1)
    FRUGAL_CHAIN(2)
    FRUGAL_CHAIN(3)
  }
#undef FRUGAL_CHAIN
  _tile_stored(0, chains[0], 64);
  _tile_stored(1, chains[1], 64);
  _tile_stored(2, chains[2], 64);
  _tile_stored(3, chains[3], 64);
  asm volatile("" : : : "memory");
  for (int r = 0; r < ROW_TILE && r < rows; r++) {
    I sum = load_as<I>(chains[0][r]);
    for (int n = 1; n < 4; n++) sum += load_as<I>(chains[n][r]);
    const F y[VECTORS] = {to_float(sum) * (set(x->scale[r]) * load(m.row_scales() + panel * PANEL))};
    out.store<T>(row + r, panel, y);
  }
}

/** Rows of x as tiles: one scale for each block, or for each whole row. Rows beyond `count` repeat the last. */
template <class T>
static void quantize_tiles(const Call& call, const Matrix& m, int64_t count, bool whole, XTile* x) {
  const int64_t tiles = (count + ROW_TILE - 1) / ROW_TILE;
  parallel(call, tiles, static_cast<double>(ROW_TILE * m.columns) * 0.25, [&](int64_t tile) {
    alignas(64) float blocks[ROW_TILE][BLOCK];
    const auto gather = [&](int64_t b) {
      for (int64_t r = 0; r < ROW_TILE; r++) {
        const int64_t row = tile * ROW_TILE + r < count ? tile * ROW_TILE + r : count - 1;
        stored_block(data_of<T>(call.tensors[0]) + row * m.columns, m, b, blocks[r]);
      }
    };
    F largest = {};
    for (int64_t b = 0; whole && b < m.blocks; b++) gather(b), largest = larger_magnitude(largest, largest_of_16(blocks));
    for (int64_t b = 0; b < m.blocks; b++) {
      gather(b);
      encode_16(blocks, (whole ? largest : largest_of_16(blocks)) / set(127.0f), x[tile * m.blocks + b]);
    }
  });
}

/** Panels that are unpacked together: enough chunks for threads to share evenly, few enough for the L2 cache. */
static inline int64_t panels_together(const Matrix& m) {
  constexpr int64_t CHUNKS = 16, MOST = 8;
  const int64_t even = m.panels / CHUNKS;
  return even < 1 ? 1 : even > MOST ? MOST : even;
}

/** y = x Wᵀ for `count` rows. Rows of the last tile that x does not have are computed from what lies there, never stored. */
template <class T>
static void multiply_row_tiles(const Call& call, const Matrix& m, int64_t count, bool whole, const Output& out) {
  const int64_t tiles = (count + ROW_TILE - 1) / ROW_TILE;
  auto* x = static_cast<XTile*>(scratch(Scratch::shared, static_cast<size_t>(tiles * m.blocks) * sizeof(XTile) + 64));
  quantize_tiles<T>(call, m, count, whole, x);
  with_kind(m, [&](auto kind) {
    using K = decltype(kind);
    const int64_t together = panels_together(m), chunks = (m.panels + together - 1) / together;
    const double cost = static_cast<double>(together * m.columns * count) * PANEL / 500.0;
    parallel(call, chunks, cost, [&](int64_t chunk) {
      const int64_t first = chunk * together, end = first + together < m.panels ? first + together : m.panels;
      auto* w = static_cast<TileBlock<K>*>(scratch(Scratch::chunk, static_cast<size_t>(together * m.blocks) * sizeof(TileBlock<K>) + 64));
      for (int64_t panel = first; panel < end; panel++) unpack_tiles<K>(m, panel, w + (panel - first) * m.blocks);
      configure_block_tiles<TileSums<K>::PARTS>();
      for (int64_t row = 0; row < count; row += ROW_TILE) {
        for (int64_t panel = first; panel < end; panel++) {
          const TileBlock<K>* panel_w = w + (panel - first) * m.blocks;
          if constexpr (__is_same(typename K::Scales, Channel)) {
            if (whole) {
              whole_row_tile<K, T>(m, panel, panel_w, x + row / ROW_TILE * m.blocks, row, count - row, out);
              continue;
            }
          }
          block_row_tile<K, T>(m, panel, panel_w, x + row / ROW_TILE * m.blocks, row, count - row, out);
        }
      }
      _tile_release();
    });
  });
}
#endif

} // namespace frugal::FRUGAL_ISA
