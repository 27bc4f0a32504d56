// packedMatmul on the layout rows16: (x, blob) → x Wᵀ. Attributes: those of matrix_of, then activation: 0 none, 1 int8,
// 2 int8-block32. Every element is summed block after block in one order, whatever the number of rows and threads.
#include "packed-tiles-amx.hpp"
#include "packed-tiles-avx2.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

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

/** ROWS rows of codes times a panel. */
template <class K, class T, int ROWS>
static void block_tile(const Matrix& m, int64_t panel, const XBlock* x, int64_t row, const Output& out) {
  F acc[ROWS][VECTORS] = {};
  for_blocks<K>(m, m.panel(panel), 0, m.blocks, [&](int64_t b, Codes32& codes, const typename K::Scales& scales) {
    sign_codes<K>(codes);
    add_block<K, ROWS>(codes, scales, x + b, m.blocks, acc);
  });
  for (int r = 0; r < ROWS; r++) store_sums<T>(m, panel, acc[r], row + r, out);
}

/** int8 per row over int8-channel: one sum of whole numbers, then f32(sum · f32(scale of x · scale of the row)). */
template <class T, int ROWS>
static void whole_tile(const Matrix& m, int64_t panel, const XBlock* x, int64_t row, const Output& out) {
  using K = Kind<Channel, 8>;
  I sums[ROWS][VECTORS] = {};
  int32_t totals[ROWS] = {};
  for_blocks<K>(m, m.panel(panel), 0, m.blocks, [&](int64_t b, Codes32& codes, const Channel&) {
    sign_codes<K>(codes);
    add_whole<ROWS>(codes, x + b, m.blocks, sums);
FRUGAL_UNROLL for (int r = 0; r < ROWS; r++) totals[r] += static_cast<int32_t>(x[r * m.blocks + b].sum);
  });
  for (int r = 0; r < ROWS; r++) store_whole_sums<T>(m, panel, sums[r], totals[r], x[r * m.blocks].scale, row + r, out);
}

/** A panel as f32, [column][row], for products with f32 rows. */
template <class K>
static void unpack_panel(const Matrix& m, int64_t panel, float* out) {
  for_blocks<K>(m, m.panel(panel), 0, m.blocks, [&](int64_t b, const Codes32& codes, const typename K::Scales& scales) {
    for_weights<K>(codes, scales, [&](int c, int v, F values) { store(out + (b * BLOCK + c) * PANEL + v * LANES, values); });
  });
}

/** Four chains of sums by column modulo 4. */
template <class T, int ROWS>
static void float_tile(const Matrix& m, int64_t panel, const float* weights, const float* x, int64_t row, const Output& out) {
  const int64_t depth = m.blocks * BLOCK;
  F acc[ROWS][4][VECTORS] = {};
  for (int64_t k = 0; k < depth; k += 4) {
FRUGAL_UNROLL for (int j = 0; j < 4; j++) {
      F w[VECTORS];
      for (int v = 0; v < VECTORS; v++) w[v] = load(weights + (k + j) * PANEL + v * LANES);
FRUGAL_UNROLL for (int r = 0; r < ROWS; r++)
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) acc[r][j][v] = fma(set(x[r * depth + k + j]), w[v], acc[r][j][v]);
    }
  }
  for (int r = 0; r < ROWS; r++) {
    F y[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
      y[v] = (acc[r][0][v] + acc[r][1][v]) + (acc[r][2][v] + acc[r][3][v]);
      if (m.scheme == Scheme::channel) y[v] *= load(m.row_scales() + panel * PANEL + v * LANES);
    }
    out.store<T>(row + r, panel, y);
  }
}

/** tile<ROWS>(row) over all rows, the largest tiles first. */
template <int ROWS, class Tile>
FRUGAL_INLINE void for_tiles(int64_t row, int64_t count, const Tile& tile) {
  for (; count - row >= ROWS; row += ROWS) tile.template operator()<ROWS>(row);
  if constexpr (ROWS > 1) for_tiles<ROWS / 2>(row, count, tile);
}

/** Chunks of panels, and of rows where there are more than `rows_together`, in parallel: body(first panel, end, first row, end). */
template <class Body>
static void for_chunks(const Call& call, const Matrix& m, int64_t count, int64_t rows_together, double cost_per_weight, const Body& body) {
  if (m.panels == 0) return;
  const int64_t panel_bytes = maximum(1, m.panel_bytes), per_thread = (m.panels + call.threads - 1) / call.threads;
  const int64_t most = maximum(1, count > TILE ? CHUNK_BYTES / panel_bytes : minimum(per_thread, LONGEST_CHUNK_BYTES / panel_bytes));
  const int64_t across = (m.panels + most - 1) / most, per_chunk = (m.panels + across - 1) / across; // all as long as each other
  const int64_t down = (count + rows_together - 1) / rows_together;
  const double weights = static_cast<double>(per_chunk * PANEL * m.columns);
  const double cost = weights * (static_cast<double>(m.bits) / 8.0 / 30.0 + cost_per_weight * static_cast<double>(minimum(count, rows_together)));
  parallel(call, across * down, cost, [&](int64_t chunk) {
    const int64_t panel = chunk / down * per_chunk, row = chunk % down * rows_together;
    body(panel, minimum(panel + per_chunk, m.panels), row, minimum(row + rows_together, count));
  });
}

/** Rows of x as codes: block b of row r at x[r · blocks + b]. */
template <class T>
static void multiply_few_codes(const Call& call, const Matrix& m, int64_t count, bool whole, const XBlock* x, const Output& out) {
  with_kind(m, [&](auto kind) {
    using K = decltype(kind);
    for_chunks(call, m, count, CHUNK_ROWS, 0.004, [&](int64_t first, int64_t end, int64_t first_row, int64_t end_row) {
      for_tiles<FEWEST_TILED <= TILE ? TILE / 2 : TILE>(first_row, end_row, [&]<int ROWS>(int64_t row) {
        for (int64_t panel = first; panel < end; panel++) {
          if (whole) whole_tile<T, ROWS>(m, panel, x + row * m.blocks, row, out);
          else block_tile<K, T, ROWS>(m, panel, x + row * m.blocks, row, out);
        }
      });
    });
  });
}

template <class T>
static void multiply_codes(const Call& call, const Matrix& m, int64_t count, bool whole, const Output& out) {
  if (count >= FEWEST_TILED) return multiply_row_tiles<T>(call, m, count, whole, out);
  auto* x = static_cast<XBlock*>(scratch(Scratch::shared, static_cast<size_t>(count * m.blocks) * sizeof(XBlock) + 64));
  parallel(call, (count + TILE - 1) / TILE, static_cast<double>(TILE * m.columns) * 0.15, [&](int64_t tile) {
    const int64_t first = tile * TILE, rows = minimum(TILE, count - first);
    const T* from = data_of<T>(call.tensors[0]) + first * m.columns;
    XBlock* to = x + first * m.blocks;
    if (!whole) return quantize_blocks(from, rows, m, to);
    for (int64_t row = 0; row < rows; row++) quantize_whole_row(from + row * m.columns, m, to + row * m.blocks, 1);
  });
  multiply_few_codes<T>(call, m, count, whole, x, out);
}

template <class T>
static void multiply_floats(const Call& call, const Matrix& m, int64_t count, const Output& out) {
  const int64_t depth = m.blocks * BLOCK;
  float* x = static_cast<float*>(scratch(Scratch::shared, static_cast<size_t>(count * depth) * 4 + 64));
  for_each_row(call, Rows{count, m.columns}, 0.1, [&](int64_t row) {
    float block[BLOCK];
    for (int64_t b = 0; b < m.blocks; b++) {
      stored_block(data_of<T>(call.tensors[0]) + row * m.columns, m, b, block);
      __builtin_memcpy(x + row * depth + b * BLOCK, block, sizeof(block));
    }
  });
  with_kind(m, [&](auto kind) {
    using K = decltype(kind);
    for_chunks(call, m, count, INT64_MAX / 2, 0.012, [&](int64_t first, int64_t end, int64_t, int64_t) {
      float* weights = static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(depth * PANEL) * 4 + 64));
      for (int64_t panel = first; panel < end; panel++) {
        unpack_panel<K>(m, panel, weights);
        for_tiles<FLOAT_TILE>(0, count, [&]<int ROWS>(int64_t row) { float_tile<T, ROWS>(m, panel, weights, x + row * depth, row, out); });
      }
    });
  });
}

/** (x [..., columns], blob) → [..., rows] */
void packed_rows_matmul(const Call& call) {
  const Matrix m = matrix_of(call.attributes, call.tensors[1].data);
  const int activation = static_cast<int>(call.attributes[MATRIX_ATTRIBUTES]);
  const int64_t count = rows_of(call.tensors[0]).rows;
  const Output out{&m, call.tensors[2]};
  with_float_type(call.tensors[0].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    if (activation == 0) multiply_floats<T>(call, m, count, out);
    else multiply_codes<T>(call, m, count, activation == 1, out);
  });
}

constexpr KernelEntry entries[] = {{"packedRowsMatmul", packed_rows_matmul}};

} // namespace

extern const KernelTable packed_rows_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
