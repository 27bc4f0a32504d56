#pragma once
// C [m, n] = A [m, k] · B [k, n]: how the work is cut into chunks around the tile kernel of gemm-tile.hpp.
#include "../core/parallel.hpp"
#include "gemm-output.hpp"
#include "gemm-stream.hpp"

namespace frugal::FRUGAL_ISA {

/**
 * Up to this many rows, each B panel is packed where it is used, once, and A is shared: always for a handful of rows,
 * and for more when B is so wide that packing it ahead would go through memory.
 */
constexpr int64_t FEW_ROWS = 64;
constexpr int64_t FEW_ROWS_OF_WIDE = 320;
constexpr int64_t WIDE_COLUMNS = 1024;
/** Dwords of depth that are packed at a time for few rows: a panel of that depth stays in the L1 cache. */
constexpr int64_t SHORT_DEPTH = 256;
/** Rows of a chunk: their packed bytes stay in the L2 cache beside two panels of B. */
constexpr int64_t CHUNK_BYTES = 480 << 10;
constexpr int64_t ROWS_PER_CHUNK = 240;
constexpr int64_t LEAST_TILES = 4;
/** Columns whose unfinished sums stay in the L2 cache from one depth block to the next. */
constexpr int64_t COLUMNS_PER_PASS = 512;
/** Bytes behind packed rows that a tile may read without using them. */
constexpr size_t READ_BEHIND = 32 * 64;
/** Operands up to this size are read where they lie: half of the L2 cache. */
constexpr int64_t IN_PLACE_BYTES = 512 << 10;
/** B is packed ahead in parts of at most this size. */
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

  int64_t m, n, k;
  Operand<typename ReaderA::Element> a; // i = row
  Operand<typename ReaderB::Element> b; // i = column
  Output out;
  bool accumulate = false; // add to what the output holds (in-place outputs only)
  Upcoming* ahead = nullptr; // what the next product of this thread reads

  int64_t dwords() const { return ceil_div(k, STEP); }
  int64_t padded_dwords() const { return ceil_div(dwords(), PIECE) * PIECE; }
  /** Depth of a packed panel of B. */
  int64_t panel_depth() const { return Dot::WHOLE_PIECES ? padded_dwords() : dwords(); }
  /** Dwords of a packed panel of B: its depth, and what its sums begin with. */
  int64_t panel_dwords() const { return (panel_depth() + Dot::SHIFTED) * TILE_COLUMNS; }

  /** Has the operands of `next` fetched while this is computed, by whoever computes it. */
  void fetch(Upcoming& memory, const Gemm& next) {
    add(memory, next.b, next.n, next.k);
    add(memory, next.a, next.m, next.k);
    fetch(memory, m, n);
  }

  void run(const Call& call) const {
    if (m == 0 || n == 0) return;
    if (m <= FEW_ROWS || (m <= FEW_ROWS_OF_WIDE && n >= WIDE_COLUMNS)) few_rows(call);
    else many_rows_in_sections(call);
  }

 private:
  /** While tiles of `rows` × `columns` are computed. */
  void fetch(Upcoming& memory, int64_t rows, int64_t columns) {
    memory.spread(ceil_div(rows, ROWS) * ceil_div(columns, TILE_COLUMNS) * ceil_div(dwords(), PIECE));
    ahead = &memory;
  }

  /** `count` rows of A or columns of B, `depth` elements deep, if they are neighbours in either way. */
  template <class T>
  static void add(Upcoming& memory, const Operand<T>& x, int64_t count, int64_t depth) {
    constexpr int64_t BYTES = sizeof(T);
    if (x.k_stride == 1) memory.add(x.data, depth * BYTES, x.i_stride * BYTES, count);
    else if (x.i_stride == 1) memory.add(x.data, count * BYTES, x.k_stride * BYTES, depth);
  }

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

  /** Rows [row, row + rows) of A at full depth, one block after the other: that at `start` begins at rows · start. */
  void pack_blocks(int64_t row, int64_t rows, int64_t block, float* to) const {
    for (int64_t start = 0; start < dwords(); start += block)
      pack_rows(row, rows, start, smaller(block, dwords() - start), to + rows * start);
  }

  /** Where the sums of a panel go, `ld` elements from row to row: as they are, or as bf16. */
  struct Target {
    char* data;
    int64_t ld, columns;
    bool accumulate; // to what is there
    bool narrow = false;
  };

  /** Rows of A: packed, a tile every ROWS, or where they lie along the depth. */
  struct Left {
    const float* data;
    bool in_place = false;
  };
  /** Panels of B, `panel` dwords from one to the next and `row` from one dword of depth to the next: packed, or where they lie. */
  struct Right {
    const float* data;
    int64_t panel, row;
  };

  /** Rows of A times one panel; `next` is a packed panel that comes after it. */
  void multiply_panel(const Left& left, int64_t rows, const float* panel, int64_t ldb, int64_t depth, const Target& c, const float* start, const float* next = nullptr) const {
    const int64_t pieces = larger(1, depth / PIECE), tiles = ceil_div(rows, ROWS);
    const int64_t lines = next ? ceil_div(depth * TILE_COLUMNS * 4 / 64, tiles * pieces) : 0;
    for (int64_t i = 0; i < rows; i += ROWS) {
      const int64_t count = smaller(ROWS, rows - i);
      const char* panel_to_come = reinterpret_cast<const char*>(next) + i / ROWS * lines * pieces * 64;
      float* const rows_of_c = reinterpret_cast<float*>(c.data + i * c.ld * (c.narrow ? 2 : 4));
      const float* const rows_of_a = left.data + i * (left.in_place ? 1 : packed_depth(depth));
      const Tile tile{depth, rows_of_a, panel, ldb, rows_of_c, c.ld, c.columns, c.accumulate, start, left.in_place ? a.k_stride : count, panel_to_come, lines, ahead, c.narrow};
      if constexpr (Dot::WHOLE_PIECES) tile_kernel<Dot>(count)(tile);
      else (along_depth() ? transposed_tile_kernel<Dot>(count) : tile_kernel<Dot>(count))(tile);
    }
  }

  void few_rows(const Call& call) const {
    float* packed_a = static_cast<float*>(scratch(Scratch::packed_a, static_cast<size_t>(m * padded_dwords() * 4) + READ_BEHIND));
    const bool streams = can_stream<Dot>(b, m);
    if (streams) pack_a_in_pieces<ReaderA>(a, m, k, packed_a);
    else pack_blocks(0, m, SHORT_DEPTH, packed_a);
    const int64_t panels = ceil_div(n, TILE_COLUMNS);
    const int64_t group = larger(1, (96 << 10) / larger(1, dwords() * TILE_COLUMNS * 4));
    const double cost = static_cast<double>(group) * TILE_COLUMNS * static_cast<double>(dwords()) * (0.15 + 2.0 * static_cast<double>(m) / FLOPS_PER_NANOSECOND);
    parallel(call, ceil_div(panels, group), cost, [&](int64_t chunk) {
      const int64_t end = smaller(panels, (chunk + 1) * group);
      Dot::begin();
      for (int64_t panel = chunk * group; panel < end; panel++) {
        if (streams) stream_columns(packed_a, panel * TILE_COLUMNS);
        else few_rows_panel(packed_a, panel * TILE_COLUMNS);
      }
      Dot::end();
    });
  }

  /** Columns of B that are read where they lie. */
  void stream_columns(const float* packed_a, int64_t column) const {
    if constexpr (!Dot::WHOLE_PIECES) {
      const int64_t columns = smaller(TILE_COLUMNS, n - column);
      const bool in_place = out.is_in_place();
      alignas(64) float sums[STREAM_ROWS * TILE_COLUMNS];
      float* c = in_place ? reinterpret_cast<float*>(out.data) + column : sums;
      const int64_t ldc = in_place ? out.ld : TILE_COLUMNS;
      stream_panel<ReaderB>(m, {packed_a, {b.data + column * b.i_stride, b.i_stride, b.k_stride}, columns, k, c, ldc, accumulate});
      if (!out.is_plain()) store_rows(out, 0, column, c, ldc, m, columns);
    }
  }

  /** Columns of B that are packed first. */
  void few_rows_panel(const float* packed_a, int64_t column) const {
    const int64_t columns = smaller(TILE_COLUMNS, n - column);
    const bool in_place = out.is_in_place();
    float* const memory = static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>((SHORT_DEPTH + Dot::SHIFTED + m) * TILE_COLUMNS * 4)));
    float* c = in_place ? reinterpret_cast<float*>(out.data) + column : memory + (SHORT_DEPTH + Dot::SHIFTED) * TILE_COLUMNS;
    const int64_t ldc = in_place ? out.ld : TILE_COLUMNS;
    if (k == 0 && !accumulate) clear(c, ldc, m, columns);
    for (int64_t start = 0; start < dwords(); start += SHORT_DEPTH) {
      const int64_t depth = smaller(SHORT_DEPTH, panel_depth() - start);
      pack_b<ReaderB>({b.data + column * b.i_stride + start * STEP * b.k_stride, b.i_stride, b.k_stride}, columns,
                      smaller(depth * STEP, k - start * STEP), memory);
      finish_panel(memory, smaller(depth, dwords() - start), depth);
      multiply_panel({packed_a + m * start}, m, memory, TILE_COLUMNS, depth, {reinterpret_cast<char*>(c), ldc, columns, accumulate || start > 0}, start_of(memory, depth));
    }
    if (!out.is_plain()) store_rows(out, 0, column, c, ldc, m, columns);
  }

  /**
   * A long depth goes in sections, so that packed operands are used while they are still in the caches. The sums wait in
   * the output, which only the last section finishes.
   */
  void many_rows_in_sections(const Call& call) const {
    constexpr int64_t SECTION = Dot::DEPTH_SECTION * STEP;
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
    const int64_t block = larger(COLUMNS_PER_PASS, PACKED_BYTES / (larger(1, panel_dwords()) * 4) * TILE_COLUMNS / COLUMNS_PER_PASS * COLUMNS_PER_PASS);
    for (int64_t column = 0; column < n; column += block) {
      const int64_t columns = smaller(block, n - column);
      const Right panels = reads_b_in_place() ? Right{reinterpret_cast<const float*>(b.data), TILE_COLUMNS, b.k_stride} : pack_columns(call, column, columns);
      const Chunks chunks = cut(call, columns);
      const double cost = 2.0 * static_cast<double>(m * columns) * static_cast<double>(k) / (FLOPS_PER_NANOSECOND * STEP * static_cast<double>(chunks.down * chunks.across));
      const auto first_row = [&](int64_t i) { return smaller(m, i * chunks.tiles / chunks.down * ROWS); };
      parallel(call, chunks.down * chunks.across, cost, [&](int64_t chunk) {
        const int64_t i = chunk / chunks.across, j = chunk % chunks.across, to_come = i + call.threads;
        const int64_t left = j * chunks.panels / chunks.across * TILE_COLUMNS, right = smaller(columns, (j + 1) * chunks.panels / chunks.across * TILE_COLUMNS);
        Gemm part = *this;
        Upcoming memory;
        if (!ahead && chunks.across == 1 && to_come < chunks.down) {
          const int64_t rows = first_row(to_come + 1) - first_row(to_come);
          add(memory, Operand<typename ReaderA::Element>{a.data + first_row(to_come) * a.i_stride, a.i_stride, a.k_stride}, rows, k);
          part.fetch(memory, first_row(i + 1) - first_row(i), columns);
        }
        part.many_rows_chunk(panels, column, first_row(i), first_row(i + 1) - first_row(i), left, right - left);
      });
    }
  }

  /** Packs columns [column, column + columns) of B at full depth, panel after panel. */
  Right pack_columns(const Call& call, int64_t column, int64_t columns) const {
    float* packed_b = static_cast<float*>(scratch(Scratch::packed_b, static_cast<size_t>(ceil_div(columns, TILE_COLUMNS) * panel_dwords() * 4)));
    const Right packed{packed_b, panel_dwords(), TILE_COLUMNS};
    const Operand<typename ReaderB::Element> part{b.data + column * b.i_stride, b.i_stride, b.k_stride};
    if (b.i_stride == 1) {
      parallel(call, ceil_div(dwords(), PACK_DEPTH), static_cast<double>(PACK_DEPTH * columns) * 0.2, [&](int64_t chunk) {
        const int64_t start = chunk * PACK_DEPTH;
        const int64_t count = smaller(PACK_DEPTH, dwords() - start);
        pack_b_rows<ReaderB>(part, columns, k, start, count, panel_dwords(), packed_b);
      });
      if (!Dot::SHIFTED && panel_depth() == dwords()) return packed;
    }
    parallel(call, ceil_div(columns, TILE_COLUMNS), static_cast<double>(dwords() * TILE_COLUMNS) * 0.3, [&](int64_t panel) {
      const int64_t first = panel * TILE_COLUMNS;
      float* to = packed_b + panel * panel_dwords();
      if (b.i_stride != 1) pack_b<ReaderB>({part.data + first * b.i_stride, b.i_stride, b.k_stride}, smaller(TILE_COLUMNS, columns - first), k, to);
      finish_panel(to, dwords(), panel_depth());
    });
    return packed;
  }

  /** Zeros for the depth of a packed panel that B does not have, and what the sums of its columns begin with. */
  static void finish_panel(float* panel, int64_t dwords, int64_t depth) {
    if (dwords < depth) __builtin_memset(panel + dwords * TILE_COLUMNS, 0, static_cast<size_t>((depth - dwords) * TILE_COLUMNS) * 4);
    if constexpr (Dot::SHIFTED) Dot::start_row(panel, depth, panel + depth * TILE_COLUMNS);
  }

  /** The row behind the depth of a packed panel that its sums begin with. */
  static const float* start_of(const float* panel, int64_t depth) { return Dot::SHIFTED ? panel + depth * TILE_COLUMNS : nullptr; }

  /** How the tiles of C are dealt out: evenly, to `down` times `across` chunks. */
  struct Chunks {
    int64_t tiles, panels, down, across;
  };

  /** As many for each thread, some for all to be busy to the end, whole rows where there are enough. Chunks decide no bits. */
  Chunks cut(const Call& call, int64_t columns) const {
    Chunks c{ceil_div(m, ROWS), ceil_div(columns, TILE_COLUMNS), 1, 1};
    const int64_t threads = larger(1, call.threads), wanted = threads > 1 ? 2 * threads : 1;
    const int64_t height = larger(LEAST_TILES, smaller(ROWS_PER_CHUNK / ROWS, CHUNK_BYTES / (ROWS * 4 * larger(1, padded_dwords()))));
    c.down = larger(ceil_div(c.tiles, height), smaller(wanted, ceil_div(c.tiles, LEAST_TILES)));
    if (c.down >= wanted) c.down = smaller(c.tiles, ceil_div(c.down, threads) * threads);
    else c.across = smaller(c.panels, ceil_div(wanted, c.down));
    return c;
  }

  /** Whether tiles read A along the depth where it lies: f32, all of which stays in the L2 cache. */
  bool reads_a_in_place() const { return sizeof(*a.data) == 4 && along_depth() && k * m * 4 <= IN_PLACE_BYTES; }

  /** Whether tiles read B where it lies: whole panels of f32, all of which stays in the L2 cache. */
  bool reads_b_in_place() const {
    return sizeof(*b.data) == 4 && b.i_stride == 1 && b.k_stride == n && n % TILE_COLUMNS == 0 && k * n * 4 <= IN_PLACE_BYTES;
  }

  Left pack_chunk(int64_t row, int64_t rows) const {
    float* packed = static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(rows * padded_dwords() * 4) + READ_BEHIND));
    pack_blocks(row, rows, Dot::DEPTH_BLOCK, packed);
    return {packed};
  }

  void many_rows_chunk(const Right& right, int64_t column, int64_t row, int64_t rows, int64_t left, int64_t width) const {
    const Left rows_of_a = reads_a_in_place() ? Left{reinterpret_cast<const float*>(a.data + row), true} : pack_chunk(row, rows);
    Dot::begin();
    for (int64_t j = left; j < left + width; j += COLUMNS_PER_PASS)
      many_rows_pass(rows_of_a, {right.data + j / TILE_COLUMNS * right.panel, right.panel, right.row}, row, rows, column + j, smaller(COLUMNS_PER_PASS, left + width - j));
    Dot::end();
  }

  /** Whether a tile leaves the registers as bf16: sums of one block of depth, with nothing added. */
  bool goes_straight_to_bf16() const {
    return !Dot::WHOLE_PIECES && out.dtype == DType::bf16 && !out.column_scale && !out.has_epilogue() && k > 0 && dwords() <= Dot::DEPTH_BLOCK;
  }

  /** The sums of some columns at full depth; those that cannot wait in the output lie panel after panel. */
  void many_rows_pass(const Left& left, const Right& right, int64_t row, int64_t rows, int64_t column, int64_t width) const {
    const bool narrow = goes_straight_to_bf16(), in_place = narrow || out.is_in_place();
    const int64_t bytes = narrow ? 2 : 4;
    char* c = in_place ? out.data + (row * out.ld + column) * bytes : static_cast<char*>(scratch(Scratch::chunk2, static_cast<size_t>(rows * COLUMNS_PER_PASS * 4)));
    const int64_t ldc = in_place ? out.ld : TILE_COLUMNS, next_c = in_place ? bytes : rows * bytes;
    const auto sums_of = [&](int64_t j) { return reinterpret_cast<float*>(c + j * next_c); };
    const auto store = [&](int64_t j, int64_t columns) {
      if (!narrow && !out.is_plain()) store_rows(out, row, column + j, sums_of(j), ldc, rows, columns);
    };
    if (k == 0) {
      for (int64_t j = 0; j < width; j += TILE_COLUMNS) {
        if (!accumulate) clear(sums_of(j), ldc, rows, smaller(TILE_COLUMNS, width - j));
        store(j, smaller(TILE_COLUMNS, width - j));
      }
    }
    for (int64_t start = 0; start < dwords(); start += Dot::DEPTH_BLOCK) {
      const int64_t depth = smaller(Dot::DEPTH_BLOCK, panel_depth() - start);
      for (int64_t j = 0; j < width; j += TILE_COLUMNS) {
        const int64_t columns = smaller(TILE_COLUMNS, width - j);
        const float* panel = right.data + j / TILE_COLUMNS * right.panel;
        const Left block{left.data + start * (left.in_place ? a.k_stride : rows), left.in_place};
        multiply_panel(block, rows, panel + start * right.row, right.row, depth, {c + j * next_c, ldc, columns, accumulate || start > 0, narrow},
                       start == 0 ? start_of(panel, panel_depth()) : nullptr, right.row == TILE_COLUMNS ? panel + right.panel + start * TILE_COLUMNS : nullptr);
        if (start + Dot::DEPTH_BLOCK >= dwords()) store(j, columns);
      }
    }
  }

  static void clear(float* c, int64_t ldc, int64_t rows, int64_t columns) {
    for (int64_t i = 0; i < rows; i++) __builtin_memset(c + i * ldc, 0, static_cast<size_t>(columns) * 4);
  }
};

} // namespace frugal::FRUGAL_ISA
