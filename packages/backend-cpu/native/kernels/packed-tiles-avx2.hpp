#pragma once
// Products of four and more rows of int8 codes on AVX2. A block of a panel is unpacked once for a group of rows, and
// multiplied by four of them at a time: eight sums of 16 bits in registers, which share each reading of codes and of x.
// What follows in f32 is what fewer rows get, operation for operation, so that a row has the same bits alone and among others.
#include "packed-dot.hpp"

namespace frugal::FRUGAL_ISA {

#if defined(FRUGAL_AVX2)
/** Fewest rows that are multiplied here. */
constexpr int64_t FEWEST_TILED = 4;
/** Rows that share one unpacking; their sums stay in the L1 cache, their codes in L2. */
constexpr int64_t ROW_GROUP = 64;

/** Codes of `count` rows in groups: block b of row r of a group of n at [group · ROW_GROUP · blocks + b · n + r]. */
struct XGroups {
  XBlock* x;
  int64_t count, blocks;

  int64_t rows(int64_t group) const { return minimum(ROW_GROUP, count - group * ROW_GROUP); }
  XBlock* block(int64_t group, int64_t b) const { return x + group * ROW_GROUP * blocks + b * rows(group); }
};

template <class T>
static void quantize_groups(const Call& call, const Matrix& m, bool whole, const XGroups& groups) {
  for_each_row(call, Rows{groups.count, m.columns}, 0.15, [&](int64_t row) {
    const T* from = data_of<T>(call.tensors[0]) + row * m.columns;
    const int64_t group = row / ROW_GROUP;
    XBlock* to = groups.block(group, 0) + row % ROW_GROUP;
    if (whole) quantize_whole_row(from, m, to, groups.rows(group));
    else quantize_row_blocks(from, m, to, groups.rows(group));
  });
}

/** tile<ROWS>(row) over the rows of a group. */
template <class Tile>
FRUGAL_INLINE void for_row_tiles(int64_t rows, const Tile& tile) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) tile.template operator()<4>(r);
  if (rows & 2) tile.template operator()<2>(r), r += 2;
  if (rows & 1) tile.template operator()<1>(r);
}

/** A group of rows times a panel. */
template <class K, class T>
static void group_panel(const Matrix& m, int64_t panel, const XGroups& x, int64_t group, const Output& out) {
  const int64_t rows = x.rows(group);
  F acc[ROW_GROUP][VECTORS];
  for (int64_t r = 0; r < rows; r++)
    for (int v = 0; v < VECTORS; v++) acc[r][v] = F{};
  for_blocks<K>(m, m.panel(panel), 0, m.blocks, [&](int64_t b, Codes32& codes, const typename K::Scales& scales) {
    sign_codes<K>(codes);
    const XBlock* xb = x.block(group, b);
    for_row_tiles(rows, [&]<int ROWS>(int64_t r) { add_block<K, ROWS>(codes, scales, xb + r, 1, acc + r); });
  });
  for (int64_t r = 0; r < rows; r++) store_sums<T>(m, panel, acc[r], group * ROW_GROUP + r, out);
}

/** int8 per row over int8-channel. */
template <class T>
static void whole_group_panel(const Matrix& m, int64_t panel, const XGroups& x, int64_t group, const Output& out) {
  using K = Kind<Channel, 8>;
  const int64_t rows = x.rows(group);
  I sums[ROW_GROUP][VECTORS];
  for (int64_t r = 0; r < rows; r++)
    for (int v = 0; v < VECTORS; v++) sums[r][v] = I{};
  for_blocks<K>(m, m.panel(panel), 0, m.blocks, [&](int64_t b, Codes32& codes, const Channel&) {
    sign_codes<K>(codes);
    const XBlock* xb = x.block(group, b);
    for_row_tiles(rows, [&]<int ROWS>(int64_t r) { add_whole<ROWS>(codes, xb + r, 1, sums + r); });
  });
  for (int64_t r = 0; r < rows; r++) store_whole_sums<T>(m, panel, sums[r], 0, x.block(group, 0)[r].scale, group * ROW_GROUP + r, out);
}

/** Panels of one piece of work: enough pieces for threads to share evenly, each long enough to use its rows of x. */
static inline int64_t panels_together(const Matrix& m) {
  constexpr int64_t CHUNKS = 8, MOST = 8;
  return minimum(maximum(m.panels / CHUNKS, 1), MOST);
}

/** y = x Wᵀ for `count` rows. */
template <class T>
static void multiply_row_tiles(const Call& call, const Matrix& m, int64_t count, bool whole, const Output& out) {
  const XGroups x{static_cast<XBlock*>(scratch(Scratch::shared, static_cast<size_t>(count * m.blocks) * sizeof(XBlock) + 64)), count, m.blocks};
  quantize_groups<T>(call, m, whole, x);
  with_kind(m, [&](auto kind) {
    using K = decltype(kind);
    const int64_t together = panels_together(m), groups = (count + ROW_GROUP - 1) / ROW_GROUP;
    const double cost = static_cast<double>(together * m.columns) * PANEL * (0.02 + 0.01 * static_cast<double>(count));
    parallel(call, (m.panels + together - 1) / together, cost, [&](int64_t chunk) {
      const int64_t end = minimum((chunk + 1) * together, m.panels);
      for (int64_t group = 0; group < groups; group++) {
        for (int64_t panel = chunk * together; panel < end; panel++) {
          if (whole) whole_group_panel<T>(m, panel, x, group, out);
          else group_panel<K, T>(m, panel, x, group, out);
        }
      }
    });
  });
}
#elif !defined(__AMX_TILE__)
constexpr int64_t FEWEST_TILED = INT64_MAX;
template <class T>
static void multiply_row_tiles(const Call&, const Matrix&, int64_t, bool, const Output&) {}
#endif

} // namespace frugal::FRUGAL_ISA
