#pragma once
// C [m, n] = A [m, k] · B [k, n]: how the work is cut into chunks around the tile kernel of gemm-tile.hpp.
#include "../core/parallel.hpp"
#include "gemm-output.hpp"
#include "gemm-pack.hpp"

namespace frugal::FRUGAL_ISA {

/** Dwords of depth that one pass over a tile covers: a B panel of that depth stays in the L1 cache. */
constexpr int64_t DEPTH_BLOCK = 256;
/**
 * Up to this many rows, each B panel is packed where it is used, once, and A is shared: always for a handful of rows,
 * and for more when B is so wide that packing it ahead would go through memory.
 */
constexpr int64_t FEW_ROWS = 64;
constexpr int64_t FEW_ROWS_OF_WIDE = 320;
constexpr int64_t WIDE_COLUMNS = 1024;
/** Dwords of depth that are packed at a time when the depth is long. */
constexpr int64_t DEPTH_SECTION = 512;
constexpr int64_t COLUMNS_PER_CHUNK = 512;
/** Bytes behind packed rows that a tile may read without using them. */
constexpr size_t READ_BEHIND = 32 * 64;
/** Operands are packed ahead in parts of at most this size. */
constexpr int64_t PACKED_BYTES = 16 << 20;
constexpr double FLOPS_PER_NANOSECOND = 12.0 * LANES / 2;

FRUGAL_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
FRUGAL_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
FRUGAL_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

template <class ReaderA, class ReaderB>
struct Gemm {
  using Dot = typename ReaderB::Dot;
  static constexpr int64_t STEP = Dot::STEP;
  static constexpr int64_t ROWS = Dot::ROWS;
  /** About 240 rows: A at one depth block and C of a chunk stay in the L2 cache. */
  static constexpr int64_t ROWS_PER_CHUNK = 240 / ROWS * ROWS;

  int64_t m, n, k;
  Operand<typename ReaderA::Element> a; // i = row
  Operand<typename ReaderB::Element> b; // i = column
  Output out;
  bool accumulate = false; // add to what the output holds (in-place outputs only)

  int64_t dwords() const { return ceil_div(k, STEP); }
  int64_t padded_dwords() const { return ceil_div(dwords(), PIECE) * PIECE; }
  /** Depth of a packed panel of B. */
  int64_t panel_depth() const { return Dot::WHOLE_PIECES ? padded_dwords() : dwords(); }

  void run(const Call& call) const {
    if (m == 0 || n == 0) return;
    if (m <= FEW_ROWS || (m <= FEW_ROWS_OF_WIDE && n >= WIDE_COLUMNS)) few_rows(call);
    else many_rows_in_sections(call);
  }

 private:
  bool along_depth() const { return packs_along_depth<Dot>(a); }
  /** Floats from tile to tile of a packed depth block, per row. */
  int64_t packed_depth(int64_t depth) const { return along_depth() ? depth : ceil_div(depth, PIECE) * PIECE; }

  /** Rows [row, row + rows) of A, depth [start, start + depth) in dwords, packed tile after tile. */
  void pack_rows(int64_t row, int64_t rows, int64_t start, int64_t depth, float* to) const {
    const int64_t elements = smaller(depth * STEP, k - start * STEP);
    const auto part = [&](int64_t i) {
      return Operand<typename ReaderA::Element>{a.data + i * a.i_stride + start * STEP * a.k_stride, a.i_stride, a.k_stride};
    };
    if (along_depth()) return pack_a_along_depth<ReaderA>(part(row), rows, elements, to);
    for (int64_t i = 0; i < rows; i += ROWS)
      pack_a_in_pieces<ReaderA>(part(row + i), smaller(ROWS, rows - i), elements, to + i * packed_depth(depth));
  }

  /** Packs all of A, one depth block after the other: row i of the block at `start` begins at m · start + i · its depth. */
  float* pack_all_rows(const Call& call) const {
    float* packed = static_cast<float*>(scratch(Scratch::packed_a, static_cast<size_t>(m * padded_dwords() * 4) + READ_BEHIND));
    parallel(call, ceil_div(m, ROWS_PER_CHUNK), static_cast<double>(ROWS_PER_CHUNK * dwords()) * 0.2, [&](int64_t chunk) {
      const int64_t row = chunk * ROWS_PER_CHUNK;
      for (int64_t start = 0; start < dwords(); start += DEPTH_BLOCK) {
        const int64_t depth = smaller(DEPTH_BLOCK, dwords() - start);
        pack_rows(row, smaller(ROWS_PER_CHUNK, m - row), start, depth, packed + m * start + row * packed_depth(depth));
      }
    });
    return packed;
  }

  /** Rows of packed A (a tile every ROWS) times one packed panel; `next` is the panel that comes after it. */
  void multiply_panel(const float* packed_a, int64_t rows, const float* panel, int64_t depth, float* c, int64_t ldc, int64_t columns, bool accumulate, const float* next = nullptr) const {
    const int64_t pieces = larger(1, depth / PIECE), tiles = ceil_div(rows, ROWS);
    const int64_t lines = next ? ceil_div(depth * TILE_COLUMNS * 4 / 64, tiles * pieces) : 0;
    for (int64_t i = 0; i < rows; i += ROWS) {
      const int64_t count = smaller(ROWS, rows - i);
      const char* ahead = reinterpret_cast<const char*>(next) + i / ROWS * lines * pieces * 64;
      const Tile tile{depth, packed_a + i * packed_depth(depth), panel, TILE_COLUMNS, c + i * ldc, ldc, columns, accumulate, count, ahead, lines};
      if constexpr (Dot::WHOLE_PIECES) tile_kernel<Dot>(count)(tile);
      else (along_depth() ? transposed_tile_kernel<Dot>(count) : tile_kernel<Dot>(count))(tile);
    }
  }

  void few_rows(const Call& call) const {
    const float* packed_a = pack_all_rows(call);
    const int64_t panels = ceil_div(n, TILE_COLUMNS);
    const int64_t group = larger(1, (96 << 10) / larger(1, dwords() * TILE_COLUMNS * 4));
    const double cost = static_cast<double>(group) * TILE_COLUMNS * static_cast<double>(dwords()) * (0.15 + 2.0 * static_cast<double>(m) / FLOPS_PER_NANOSECOND);
    parallel(call, ceil_div(panels, group), cost, [&](int64_t chunk) {
      const int64_t end = smaller(panels, (chunk + 1) * group);
      Dot::begin();
      for (int64_t panel = chunk * group; panel < end; panel++) few_rows_panel(packed_a, panel * TILE_COLUMNS);
      Dot::end();
    });
  }

  void few_rows_panel(const float* packed_a, int64_t column) const {
    const int64_t columns = smaller(TILE_COLUMNS, n - column);
    const bool in_place = out.is_in_place();
    float* const memory = static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>((DEPTH_BLOCK + m) * TILE_COLUMNS * 4)));
    float* c = in_place ? reinterpret_cast<float*>(out.data) + column : memory + DEPTH_BLOCK * TILE_COLUMNS;
    const int64_t ldc = in_place ? out.ld : TILE_COLUMNS;
    if (k == 0 && !accumulate) clear(c, ldc, m, columns);
    for (int64_t start = 0; start < dwords(); start += DEPTH_BLOCK) {
      const int64_t depth = smaller(DEPTH_BLOCK, panel_depth() - start);
      pack_b<ReaderB>({b.data + column * b.i_stride + start * STEP * b.k_stride, b.i_stride, b.k_stride}, columns,
                      smaller(depth * STEP, k - start * STEP), memory);
      fill_up(memory, smaller(depth, dwords() - start), depth);
      multiply_panel(packed_a + m * start, m, memory, depth, c, ldc, columns, accumulate || start > 0);
    }
    if (!out.is_plain()) store_rows(out, 0, column, c, ldc, m, columns);
  }

  /**
   * A long depth goes in sections, so that packed operands are used while they are still in the caches. The sums wait in
   * the output, which only the last section finishes.
   */
  void many_rows_in_sections(const Call& call) const {
    constexpr int64_t SECTION = DEPTH_SECTION * STEP;
    if (!out.is_in_place() || k < 2 * SECTION) return many_rows(call);
    for (int64_t start = 0; start < k; start += SECTION) {
      Gemm part = *this;
      part.a.data += start * a.k_stride;
      part.b.data += start * b.k_stride;
      part.k = smaller(SECTION, k - start);
      part.accumulate = accumulate || start > 0;
      if (start + SECTION < k) part.out = out.sums();
      part.many_rows(call);
    }
  }

  void many_rows(const Call& call) const {
    const int64_t panel_dwords = larger(1, panel_depth()) * TILE_COLUMNS;
    const int64_t block = larger(COLUMNS_PER_CHUNK, PACKED_BYTES / (panel_dwords * 4) * TILE_COLUMNS / COLUMNS_PER_CHUNK * COLUMNS_PER_CHUNK);
    // A that several chunks share is packed ahead, if it is not too large.
    const bool ahead = m * padded_dwords() * 4 <= PACKED_BYTES && chunk_shape(call, smaller(n, block)).across > 1;
    const float* packed_a = ahead ? pack_all_rows(call) : nullptr;
    for (int64_t column = 0; column < n; column += block) {
      const int64_t columns = smaller(block, n - column);
      const int64_t panels = ceil_div(columns, TILE_COLUMNS);
      float* packed_b = static_cast<float*>(scratch(Scratch::packed_b, static_cast<size_t>(panels * panel_dwords * 4)));
      pack_columns(call, column, columns, packed_b);
      const ChunkShape shape = chunk_shape(call, columns);
      const double cost = 2.0 * static_cast<double>(shape.height * shape.width * k) / (FLOPS_PER_NANOSECOND * STEP);
      parallel(call, shape.down * shape.across, cost, [&](int64_t chunk) {
        const int64_t row = chunk / shape.across * shape.height, left = chunk % shape.across * shape.width;
        many_rows_chunk(packed_a, packed_b, column, row, smaller(shape.height, m - row), left, smaller(shape.width, columns - left));
      });
    }
  }

  /** Packs columns [column, column + columns) of B at full depth, panel after panel. */
  void pack_columns(const Call& call, int64_t column, int64_t columns, float* packed_b) const {
    const Operand<typename ReaderB::Element> part{b.data + column * b.i_stride, b.i_stride, b.k_stride};
    if (b.i_stride == 1) {
      parallel(call, ceil_div(dwords(), PACK_DEPTH), static_cast<double>(PACK_DEPTH * columns) * 0.2, [&](int64_t chunk) {
        const int64_t start = chunk * PACK_DEPTH;
        const int64_t count = smaller(PACK_DEPTH, dwords() - start);
        pack_b_rows<ReaderB>(part, columns, k, start, count, panel_depth(), packed_b);
        if (start + count < dwords()) return;
        for (int64_t panel = 0; panel < ceil_div(columns, TILE_COLUMNS); panel++)
          fill_up(packed_b + panel * panel_depth() * TILE_COLUMNS, dwords(), panel_depth());
      });
      return;
    }
    parallel(call, ceil_div(columns, TILE_COLUMNS), static_cast<double>(dwords() * TILE_COLUMNS) * 0.3, [&](int64_t panel) {
      const int64_t first = panel * TILE_COLUMNS;
      pack_b<ReaderB>({part.data + first * b.i_stride, b.i_stride, b.k_stride}, smaller(TILE_COLUMNS, columns - first), k,
                      packed_b + first * panel_depth());
      fill_up(packed_b + first * panel_depth(), dwords(), panel_depth());
    });
  }

  /** Zeros for the depth of a packed panel that B does not have. */
  static void fill_up(float* panel, int64_t dwords, int64_t depth) {
    if (dwords < depth) __builtin_memset(panel + dwords * TILE_COLUMNS, 0, static_cast<size_t>((depth - dwords) * TILE_COLUMNS) * 4);
  }

  struct ChunkShape {
    int64_t height, width, down, across;
  };

  /** Smaller chunks for small products, so that all threads have something to do. Chunks decide no bits. */
  ChunkShape chunk_shape(const Call& call, int64_t columns) const {
    const int64_t wanted = call.threads > 1 ? 4 * call.threads : 1;
    ChunkShape s{ROWS_PER_CHUNK, COLUMNS_PER_CHUNK, 0, 0};
    for (;;) {
      s.down = ceil_div(m, s.height);
      s.across = ceil_div(columns, s.width);
      if (s.down * s.across >= wanted || s.width <= 2 * TILE_COLUMNS) return s;
      if (s.height * 2 > s.width && s.height > 4 * ROWS) s.height = ceil_div(s.height / 2, ROWS) * ROWS;
      else s.width /= 2;
    }
  }

  void many_rows_chunk(const float* packed_a, const float* packed_b, int64_t column, int64_t row, int64_t rows, int64_t left, int64_t width) const {
    const bool in_place = out.is_in_place();
    float* own_a = packed_a ? nullptr : static_cast<float*>(scratch(Scratch::chunk, ROWS_PER_CHUNK * DEPTH_BLOCK * 4 + READ_BEHIND));
    float* c = in_place ? reinterpret_cast<float*>(out.data) + row * out.ld + column + left
                        : static_cast<float*>(scratch(Scratch::chunk2, ROWS_PER_CHUNK * COLUMNS_PER_CHUNK * 4));
    const int64_t ldc = in_place ? out.ld : COLUMNS_PER_CHUNK;
    if (k == 0 && !accumulate) clear(c, ldc, rows, width);
    const int64_t panel_dwords = panel_depth() * TILE_COLUMNS;
    Dot::begin();
    for (int64_t start = 0; start < dwords(); start += DEPTH_BLOCK) {
      const int64_t depth = smaller(DEPTH_BLOCK, panel_depth() - start);
      if (own_a) pack_rows(row, rows, start, depth, own_a);
      const float* block_a = own_a ? own_a : packed_a + m * start + row * packed_depth(depth);
      for (int64_t j = 0; j < width; j += TILE_COLUMNS) {
        const float* panel = packed_b + (left + j) / TILE_COLUMNS * panel_dwords + start * TILE_COLUMNS;
        multiply_panel(block_a, rows, panel, depth, c + j, ldc, smaller(TILE_COLUMNS, width - j), accumulate || start > 0, panel + panel_dwords);
      }
    }
    Dot::end();
    if (!out.is_plain()) store_rows(out, row, column + left, c, ldc, rows, width);
  }

  static void clear(float* c, int64_t ldc, int64_t rows, int64_t columns) {
    for (int64_t i = 0; i < rows; i++) __builtin_memset(c + i * ldc, 0, static_cast<size_t>(columns) * 4);
  }
};

} // namespace frugal::FRUGAL_ISA
