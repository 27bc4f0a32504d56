#pragma once
// groupedLowRank: (x [N, C], down [A, R, C], up [A, R, F], adapter i32 [N], base [N, F]?) → base + scale · (x downᵀ) up
// [N, F] with the factors of each row's adapter; attributes [scale, has a base]. Both factors are read as they lie, once for
// up to LOW_RANK_ROWS rows: with a handful of rows for each adapter nothing but reading them takes time.
#include "group-tasks.hpp"
#include "rows.hpp"

namespace frugal::FRUGAL_ISA {

/** Rows by adapter, in their order: order[offsets[a]] … order[offsets[a + 1] - 1]; those without one are left out. */
static void sort_by_adapter(const int32_t* adapter, int64_t rows, int64_t adapters, int32_t* offsets, int32_t* order) {
  for (int64_t a = 0; a <= adapters; a++) offsets[a] = 0;
  const auto is_known = [&](int64_t n) { return adapter[n] >= 0 && adapter[n] < adapters; };
  for (int64_t n = 0; n < rows; n++)
    if (is_known(n)) offsets[adapter[n] + 1]++;
  for (int64_t a = 0; a < adapters; a++) offsets[a + 1] += offsets[a];
  for (int64_t n = 0; n < rows; n++)
    if (is_known(n)) order[offsets[adapter[n]]++] = static_cast<int32_t>(n);
  for (int64_t a = adapters; a > 0; a--) offsets[a] = offsets[a - 1];
  offsets[0] = 0;
}

template <int N>
struct Constant {
  static constexpr int value = N;
};

/** Rows that pass over a piece of a factor together. The sums of a row are the same for any number of them. */
constexpr int64_t LOW_RANK_ROWS = 4;
/** Ranks, and vectors of columns, that a pass holds sums of. */
constexpr int64_t RANKS_AT_ONCE = 4;
constexpr int64_t VECTORS_AT_ONCE = 4;
constexpr int64_t COLUMNS_AT_ONCE = VECTORS_AT_ONCE * LANES;
constexpr int64_t LOW_RANK_COLUMNS = 4 * COLUMNS_AT_ONCE;

/**
 * What is read next, fetched evenly while something else is worked on: factors are short, and nothing in the processor
 * follows from one to the next.
 */
struct Ahead {
  const char* next;
  int64_t lines; // per step
  /** All of `bytes` within `steps` steps. */
  static Ahead of(const void* next, int64_t bytes, int64_t steps) { return {static_cast<const char*>(next), ceil_div(ceil_div(bytes, LINE), steps)}; }
  inline __attribute__((always_inline)) void fetch(int64_t step) const {
    for (int64_t i = 0; i < lines; i++) __builtin_prefetch(next + (step * lines + i) * LINE);
  }
  static constexpr int64_t LINE = 64;
};

/** to[m][k] = Σ x[m][c] · down[k][c] of `ranks` ≤ RANKS_AT_ONCE rows of down. */
template <int M, class X, class W>
void shrink(const X* const* x, const W* down, int64_t C, int64_t ranks, const Ahead& below, const Ahead& other, float* const* to) {
  F sums[M][RANKS_AT_ONCE] = {};
  const W* rows[RANKS_AT_ONCE];
  for (int64_t k = 0; k < RANKS_AT_ONCE; k++) rows[k] = down + minimum(k, ranks - 1) * C;
  const auto step = [&](int64_t c, const auto& at) __attribute__((always_inline)) {
    below.fetch(c / LANES), other.fetch(c / LANES);
    F values[M];
#pragma GCC unroll 4
    for (int m = 0; m < M; m++) values[m] = at(x[m] + c);
#pragma GCC unroll 4
    for (int k = 0; k < RANKS_AT_ONCE; k++) {
      const F weight = at(rows[k] + c);
#pragma GCC unroll 4
      for (int m = 0; m < M; m++) sums[m][k] = fma(values[m], weight, sums[m][k]);
    }
  };
  int64_t c = 0;
  for (; c + LANES <= C; c += LANES) step(c, [](const auto* p) __attribute__((always_inline)) { return load_f(p); });
  if (c < C) step(c, [&](const auto* p) __attribute__((always_inline)) { return load_f_first(p, C - c); });
  for (int m = 0; m < M; m++)
    for (int64_t k = 0; k < ranks; k++) to[m][k] = reduce_add(sums[m][k]);
}

/** to[m][f] = base[m][f] + scale · Σ narrow[m][r] · up[r][f] for columns [from, until). */
template <int M, class X, class W>
void grow(const float* const* narrow, const W* up, int64_t R, int64_t width, int64_t from, int64_t until, F scale, const X* const* base, X* const* to) {
  for (int64_t f = from; f < until; f += COLUMNS_AT_ONCE) {
    F sums[M][VECTORS_AT_ONCE] = {};
    const auto add = [&](int64_t r, const auto& weight) __attribute__((always_inline)) {
      const W* row = up + r * width + f;
      F weights[VECTORS_AT_ONCE];
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS_AT_ONCE; v++) {
        weights[v] = weight(row + v * LANES, v);
      }
#pragma GCC unroll 4
      for (int m = 0; m < M; m++) {
        const F value = set(narrow[m][r]);
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS_AT_ONCE; v++) sums[m][v] = fma(value, weights[v], sums[m][v]);
      }
    };
    if (until - f >= COLUMNS_AT_ONCE) {
      for (int64_t r = 0; r < R; r++) add(r, [](const W* p, int) __attribute__((always_inline)) { return load_f(p); });
    } else {
      for (int64_t r = 0; r < R; r++)
        add(r, [&](const W* p, int v) __attribute__((always_inline)) { return load_f_first(p, maximum(0, minimum(LANES, until - f - v * LANES))); });
    }
#pragma GCC unroll 4
    for (int m = 0; m < M; m++)
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS_AT_ONCE; v++) {
        if (f + v * LANES >= until) break;
        const int64_t column = f + v * LANES, lanes = minimum(LANES, until - column);
        const F sum = sums[m][v] * scale;
        store_f_first(to[m] + column, base ? load_f_first(base[m] + column, lanes) + sum : sum, lanes);
      }
  }
}

/** body(number of rows as a constant, first row) over [0, rows), LOW_RANK_ROWS at a time. */
template <class Body>
FRUGAL_INLINE void by_rows(int64_t rows, const Body& body) {
  for (int64_t i = 0; i < rows; i += LOW_RANK_ROWS) {
    switch (rows - i) {
      case 1: body(Constant<1>{}, i); break;
      case 2: body(Constant<2>{}, i); break;
      case 3: body(Constant<3>{}, i); break;
      default: body(Constant<LOW_RANK_ROWS>{}, i);
    }
  }
}

/** One product of rows that are sorted by adapter. A task has rows of one adapter. */
template <class X, class W>
class LowRank {
 public:
  LowRank() = default;
  LowRank(const Call& call, const GroupTasks& by_adapter, const int32_t* sorted, float* memory)
      : x(data_of<X>(call.tensors[0])), down(data_of<W>(call.tensors[1])), up(data_of<W>(call.tensors[2])), scale(set(static_cast<float>(call.attributes[0]))),
        tasks(by_adapter), order(sorted), narrow(memory) {
    const bool has_base = call.attributes[1] != 0;
    base = has_base ? data_of<X>(call.tensors[4]) : nullptr;
    out = data_of<X>(call.tensors[has_base ? 5 : 4]);
    C = call.tensors[0].dims[1], R = call.tensors[1].dims[1], width = call.tensors[2].dims[2];
  }

  int64_t rank_tiles() const { return ceil_div(R, RANKS_AT_ONCE); }
  int64_t column_tiles() const { return ceil_div(width, LOW_RANK_COLUMNS); }
  int64_t weights() const { return R * (C + width); }

  /** A row without an adapter. */
  void copy(int64_t row) const {
    const int64_t bytes = width * static_cast<int64_t>(sizeof(X));
    if (base) __builtin_memcpy(out + row * width, base + row * width, static_cast<size_t>(bytes));
    else clear(reinterpret_cast<char*>(out + row * width), bytes);
  }

  void run(int64_t task) const {
    for (int64_t tile = 0; tile < rank_tiles(); tile++) run_shrink(task, tile);
    for (int64_t tile = 0; tile < column_tiles(); tile++) run_grow(task, tile);
  }

  void run_shrink(int64_t task, int64_t tile) const {
    int64_t a, first;
    const int64_t rows = rows_of(task, a, first), r = tile * RANKS_AT_ONCE, steps = ceil_div(C, LANES);
    const W* from_down = down + (a * R + r) * C;
    // The next rows of this factor, and a share of the other one.
    const Ahead below = Ahead::of(from_down + RANKS_AT_ONCE * C, r + RANKS_AT_ONCE < R ? RANKS_AT_ONCE * C * size : 0, steps);
    const int64_t share = ceil_div(R * width * size, rank_tiles());
    const Ahead other = Ahead::of(reinterpret_cast<const char*>(up + a * R * width) + tile * share, share, steps);
    by_rows(rows, [&](auto m, int64_t i) {
      const X* from[m.value];
      float* to[m.value];
      for (int k = 0; k < m.value; k++) {
        from[k] = x + order[first + i + k] * C;
        to[k] = narrow + (first + i + k) * R + r;
      }
      shrink<m.value>(from, from_down, C, minimum(RANKS_AT_ONCE, R - r), below, i == 0 ? other : Ahead{}, to);
    });
  }

  void run_grow(int64_t task, int64_t tile) const {
    int64_t a, first;
    const int64_t rows = rows_of(task, a, first), from = tile * LOW_RANK_COLUMNS;
    by_rows(rows, [&](auto m, int64_t i) {
      const float* values[m.value];
      const X* below[m.value];
      X* to[m.value];
      for (int k = 0; k < m.value; k++) {
        const int64_t row = order[first + i + k];
        values[k] = narrow + (first + i + k) * R;
        below[k] = base ? base + row * width : nullptr;
        to[k] = out + row * width;
      }
      grow<m.value>(values, up + a * R * width, R, width, from, minimum(width, from + LOW_RANK_COLUMNS), scale, base ? below : nullptr, to);
    });
  }

 private:
  const X* x;
  const W *down, *up;
  F scale;
  GroupTasks tasks;
  const int32_t* order;
  float* narrow; // [rows in their order, R]
  const X* base;
  X* out;
  int64_t C, R, width;
  static constexpr int64_t size = sizeof(W);

  /** Which rows, and of which adapter, a task is about. */
  int64_t rows_of(int64_t task, int64_t& a, int64_t& first) const {
    tasks.find(task, a, first);
    const int64_t rows = tasks.rows_of_task(a, first);
    first += tasks.offsets[a];
    return rows;
  }
};

/** Several products of the same rows and adapters. */
template <class X, class W>
void low_rank_products(const Call* const* calls, int32_t number) {
  const Call& first = *calls[0];
  const int64_t N = first.tensors[0].dims[0], A = first.tensors[1].dims[0];
  int64_t ranks = 0;
  for (int32_t i = 0; i < number; i++) ranks += calls[i]->tensors[1].dims[1];
  float* narrow = static_cast<float*>(scratch(Scratch::shared, static_cast<size_t>(N * ranks + A + 1 + N) * 4));
  int32_t* offsets = reinterpret_cast<int32_t*>(narrow + N * ranks);
  int32_t* order = offsets + A + 1;
  const int32_t* adapter = data_of<int32_t>(first.tensors[3]);
  sort_by_adapter(adapter, N, A, offsets, order);
  const GroupTasks tasks{offsets, A};
  LowRank<X, W> products[MAX_JOINT];
  int64_t weights = 0, rank_tiles = 0, column_tiles = 0;
  for (int32_t i = 0; i < number; i++) {
    products[i] = LowRank<X, W>(*calls[i], tasks, order, narrow);
    narrow += N * calls[i]->tensors[1].dims[1];
    weights += products[i].weights(), rank_tiles += products[i].rank_tiles(), column_tiles += products[i].column_tiles();
    for (int64_t n = 0; n < N; n++)
      if (adapter[n] < 0 || adapter[n] >= A) products[i].copy(n);
  }
  const int64_t count = tasks.count();
  if (count == 0) return;
  // Of all weights of an adapter, in each of so many pieces.
  const auto cost = [&](int64_t pieces) {
    return static_cast<double>(weights) / static_cast<double>(pieces) * (0.1 + static_cast<double>(N) / static_cast<double>(count) / FLOPS_PER_NANOSECOND);
  };
  // Adapters enough for all threads need not wait for each other between the factors.
  if (count * number >= 2 * first.threads) {
    parallel(first, count * number, cost(number), [&](int64_t i) { products[i / count].run(i % count); });
    return;
  }
  const auto in_turn = [&](int64_t task, int64_t tile, auto tiles_of, auto run) {
    const LowRank<X, W>* product = products;
    for (; tile >= tiles_of(*product); product++) tile -= tiles_of(*product);
    run(*product, task, tile);
  };
  parallel(first, count * rank_tiles, cost(2 * rank_tiles), [&](int64_t i) {
    in_turn(i / rank_tiles, i % rank_tiles, [](const auto& p) { return p.rank_tiles(); }, [](const auto& p, int64_t task, int64_t tile) { p.run_shrink(task, tile); });
  });
  parallel(first, count * column_tiles, cost(2 * column_tiles), [&](int64_t i) {
    in_turn(i / column_tiles, i % column_tiles, [](const auto& p) { return p.column_tiles(); }, [](const auto& p, int64_t task, int64_t tile) { p.run_grow(task, tile); });
  });
}

static void low_rank(const Call* const* calls, int32_t number) {
  with_float_type(calls[0]->tensors[0].dtype, [&](auto* x) {
    with_float_type(calls[0]->tensors[1].dtype, [&](auto* weight) { low_rank_products<ElementOf<decltype(x)>, ElementOf<decltype(weight)>>(calls, number); });
  });
}

/** Whether two calls have the same rows with the same adapters. */
static bool same_adapters(const Call& first, const Call& other) {
  return same_tensor(first.tensors[0], other.tensors[0]) && same_tensor(first.tensors[3], other.tensors[3]) &&
         first.tensors[1].dims[0] == other.tensors[1].dims[0] && first.tensors[1].dtype == other.tensors[1].dtype;
}

} // namespace frugal::FRUGAL_ISA
