#pragma once
// How products of packed matrices are cut: tiles of rows of x, and chunks of panels that threads share.
#include "packed-scales.hpp"

namespace frugal::FRUGAL_ISA {

/** Rows of x that share one reading of the weights from registers. */
#if defined(FRUGAL_AVX512)
constexpr int TILE = 8, FLOAT_TILE = 4;
#elif defined(FRUGAL_AVX2)
constexpr int TILE = 4, FLOAT_TILE = 2;
#else
constexpr int TILE = 2, FLOAT_TILE = 1;
#endif
/** Panels of one piece of work: their bytes stay in the L2 cache while tiles of x pass over them. */
constexpr int64_t CHUNK_BYTES = 96 * 1024;
/** Rows of one piece of work, so that threads share narrow matrices evenly as well. */
constexpr int64_t CHUNK_ROWS = 256;
/** Few rows read each panel once, as fast as memory gives it: one long piece for each thread, up to what can wait for a late one. */
constexpr int64_t LONGEST_CHUNK_BYTES = 1024 * 1024;

/** tile<ROWS>(row) over all rows, the largest tiles first. */
template <int ROWS, class Tile>
FRUGAL_INLINE void for_tiles(int64_t row, int64_t count, const Tile& tile) {
  for (; count - row >= ROWS; row += ROWS) tile.template operator()<ROWS>(row);
  if constexpr (ROWS > 1) for_tiles<ROWS / 2>(row, count, tile);
}

/** Panels that are shared out in chunks: those of one matrix, or of several that take the same rows. */
struct Panels {
  int64_t count, bytes, columns; // bytes of one
  int bits;
  static Panels of(const Matrix& m) { return {m.panels, maximum(1, m.panel_bytes), m.columns, m.bits}; }
};

/** Chunks of panels, and of rows where there are more than `rows_together`, in parallel: body(first panel, end, first row, end). */
template <class Body>
static void for_chunks(const Call& call, const Panels& panels, int64_t count, int64_t rows_together, double cost_per_weight, const Body& body) {
  if (panels.count == 0) return;
  const int64_t per_thread = (panels.count + call.threads - 1) / call.threads;
  const int64_t most = maximum(1, count > TILE ? CHUNK_BYTES / panels.bytes : minimum(per_thread, LONGEST_CHUNK_BYTES / panels.bytes));
  const int64_t across = (panels.count + most - 1) / most, per_chunk = (panels.count + across - 1) / across; // all as long as each other
  const int64_t down = (count + rows_together - 1) / rows_together;
  const double weights = static_cast<double>(per_chunk * PANEL * panels.columns);
  const double cost = weights * (static_cast<double>(panels.bits) / 8.0 / 30.0 + cost_per_weight * static_cast<double>(minimum(count, rows_together)));
  parallel(call, across * down, cost, [&](int64_t chunk) {
    const int64_t panel = chunk / down * per_chunk, row = chunk % down * rows_together;
    body(panel, minimum(panel + per_chunk, panels.count), row, minimum(row + rows_together, count));
  });
}

} // namespace frugal::FRUGAL_ISA
