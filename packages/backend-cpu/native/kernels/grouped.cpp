// Matrix products of experts and adapters. Every product of a group is a Gemm of its own on one thread, and an element
// of it one chain of sums: a row has the same bits whatever the other rows and groups are.
// groupedMatmul: (x [N, C], weight [E, C, F], offsets i32 [E + 1]) → [N, F]; attributes [weight is [E, F, C]].
// groupedMatmulWeightGradient: (x [N, C], g [N, F], offsets) → [E, C, F].
// groupedLowRank: (x [N, C], down [A, R, C], up [A, R, F], adapter i32 [N], base [N, F]?) → [N, F];
// attributes [scale, has a base].
#include "gemm.hpp"
#include "rows.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Rows of one group that one task multiplies: enough that packing the weight again does not matter. */
constexpr int64_t ROWS_PER_TASK = 512;
constexpr int64_t GRADIENT_ROWS_PER_TASK = 256;

/** How groups are cut into tasks: by their sizes alone. */
struct Tasks {
  const int32_t* offsets;
  int64_t groups;

  int64_t rows(int64_t group) const { return larger(0, offsets[group + 1] - offsets[group]); }
  int64_t count() const {
    int64_t all = 0;
    for (int64_t e = 0; e < groups; e++) all += ceil_div(rows(e), ROWS_PER_TASK);
    return all;
  }
  /** The group and first row within it of task number `task`. */
  void find(int64_t task, int64_t& group, int64_t& first) const {
    for (group = 0;; group++) {
      const int64_t here = ceil_div(rows(group), ROWS_PER_TASK);
      if (task < here) break;
      task -= here;
    }
    first = task * ROWS_PER_TASK;
  }
};

Call on_one_thread(const Call& call) {
  Call serial = call;
  serial.threads = 1;
  return serial;
}

double nanoseconds(int64_t m, int64_t n, int64_t k) {
  return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) / FLOPS_PER_NANOSECOND + 200;
}

/** Zeros; an empty tensor may have no address. */
void clear(char* to, int64_t bytes) {
  if (bytes > 0) __builtin_memset(to, 0, static_cast<size_t>(bytes));
}

template <class Reader>
void multiply_groups(const Call& call) {
  using T = typename Reader::Element;
  const Tensor &x = call.tensors[0], &weight = call.tensors[1], &out = call.tensors[3];
  const bool transposed = call.attributes[0] != 0;
  const int64_t N = x.dims[0], C = x.dims[1], F = out.dims[1];
  const Tasks tasks{data_of<int32_t>(call.tensors[2]), weight.dims[0]};
  const int64_t first_row = tasks.groups > 0 ? tasks.offsets[0] : N, end = tasks.groups > 0 ? tasks.offsets[tasks.groups] : N;
  const int64_t row_bytes = F * static_cast<int64_t>(sizeof(T));
  clear(out.data, smaller(first_row, N) * row_bytes);
  clear(out.data + end * row_bytes, (N - end) * row_bytes);
  const Call serial = on_one_thread(call);
  const int64_t count = tasks.count();
  parallel(call, count, count > 0 ? nanoseconds(end - first_row, F, C) / static_cast<double>(count) : 0, [&](int64_t task) {
    int64_t e, first;
    tasks.find(task, e, first);
    const int64_t row = tasks.offsets[e] + first;
    const T* matrix = data_of<T>(weight) + e * C * F;
    const Operand<T> right = transposed ? Operand<T>{matrix, C, 1} : Operand<T>{matrix, 1, F};
    const Gemm<Reader, Reader> gemm{smaller(ROWS_PER_TASK, tasks.rows(e) - first), F, C, {data_of<T>(x) + row * C, C, 1}, right, {out.data + row * row_bytes, out.dtype, F}};
    gemm.run(serial);
  });
}

template <class Reader>
void weight_gradients(const Call& call) {
  using T = typename Reader::Element;
  const Tensor &x = call.tensors[0], &g = call.tensors[1], &out = call.tensors[3];
  const int64_t C = x.dims[1], F = g.dims[1], E = out.dims[0];
  const Tasks groups{data_of<int32_t>(call.tensors[2]), E};
  const int64_t blocks = ceil_div(C, GRADIENT_ROWS_PER_TASK);
  const Call serial = on_one_thread(call);
  const double cost = E > 0 ? nanoseconds(smaller(C, GRADIENT_ROWS_PER_TASK), F, x.dims[0]) / static_cast<double>(E) : 0;
  parallel(call, E * blocks, cost, [&](int64_t task) {
    const int64_t e = task / blocks, first = task % blocks * GRADIENT_ROWS_PER_TASK;
    const T* left = data_of<T>(x) + groups.offsets[e] * C + first;
    const T* right = data_of<T>(g) + groups.offsets[e] * F;
    char* to = out.data + (e * C + first) * F * static_cast<int64_t>(sizeof(T));
    const Gemm<Reader, Reader> gemm{smaller(GRADIENT_ROWS_PER_TASK, C - first), F, groups.rows(e), {left, 1, C}, {right, 1, F}, {to, out.dtype, F}};
    gemm.run(serial);
  });
}

/** Rows by adapter, in their order: order[offsets[a]] … order[offsets[a + 1] - 1]; those without one are left out. */
void sort_by_adapter(const int32_t* adapter, int64_t rows, int64_t adapters, int32_t* offsets, int32_t* order) {
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
constexpr int64_t LOW_RANK_COLUMNS = VECTORS_AT_ONCE * LANES * 4;

/** to[m][k] = Σ x[m][c] · down[k][c] of `ranks` ≤ RANKS_AT_ONCE rows of down. */
template <int M, class X, class W>
void shrink(const X* const* x, const W* down, int64_t C, int64_t ranks, float* const* to) {
  F sums[M][RANKS_AT_ONCE] = {};
  for_vectors(C, [&](int64_t c, int64_t lanes) {
    F values[M];
    for (int m = 0; m < M; m++) values[m] = load_f_first(x[m] + c, lanes);
    for (int64_t k = 0; k < RANKS_AT_ONCE; k++) {
      const F weight = load_f_first(down + smaller(k, ranks - 1) * C + c, lanes);
      for (int m = 0; m < M; m++) sums[m][k] = fma(values[m], weight, sums[m][k]);
    }
  });
  for (int m = 0; m < M; m++)
    for (int64_t k = 0; k < ranks; k++) to[m][k] = reduce_add(sums[m][k]);
}

/** to[m][f] = base[m][f] + scale · Σ narrow[m][r] · up[r][f] for columns [from, until). */
template <int M, class X, class W>
void grow(const float* const* narrow, const W* up, int64_t R, int64_t width, int64_t from, int64_t until, F scale, const X* const* base, X* const* to) {
  for (int64_t f = from; f < until; f += VECTORS_AT_ONCE * LANES) {
    F sums[M][VECTORS_AT_ONCE] = {};
    for (int64_t r = 0; r < R; r++) {
      F weights[VECTORS_AT_ONCE];
      for (int64_t v = 0; v < VECTORS_AT_ONCE; v++) weights[v] = load_f_first(up + r * width + f + v * LANES, larger(0, smaller(LANES, until - f - v * LANES)));
      for (int m = 0; m < M; m++)
        for (int64_t v = 0; v < VECTORS_AT_ONCE; v++) sums[m][v] = fma(set(narrow[m][r]), weights[v], sums[m][v]);
    }
    for (int m = 0; m < M; m++)
      for (int64_t v = 0; v < VECTORS_AT_ONCE && f + v * LANES < until; v++) {
        const int64_t column = f + v * LANES, lanes = smaller(LANES, until - column);
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

/**
 * Both factors are read as they lie, once for up to LOW_RANK_ROWS rows: with a handful of rows for each adapter nothing but
 * reading them takes time.
 */
template <class X, class W>
void low_rank(const Call& call) {
  const bool has_base = call.attributes[1] != 0;
  const Tensor &x = call.tensors[0], &down = call.tensors[1], &up = call.tensors[2], &out = call.tensors[has_base ? 5 : 4];
  const X* base = has_base ? data_of<X>(call.tensors[4]) : nullptr;
  const F scale = set(static_cast<float>(call.attributes[0]));
  const int64_t N = x.dims[0], C = x.dims[1], A = down.dims[0], R = down.dims[1], width = up.dims[2];
  float* narrow = static_cast<float*>(scratch(Scratch::shared, static_cast<size_t>(N * R + A + 1 + N) * 4));
  int32_t* offsets = reinterpret_cast<int32_t*>(narrow + N * R);
  int32_t* order = offsets + A + 1;
  const int32_t* adapter = data_of<int32_t>(call.tensors[3]);
  sort_by_adapter(adapter, N, A, offsets, order);
  const int64_t row_bytes = width * static_cast<int64_t>(sizeof(X));
  for (int64_t n = 0; n < N; n++) {
    if (adapter[n] >= 0 && adapter[n] < A) continue;
    if (base) __builtin_memcpy(out.data + n * row_bytes, base + n * width, static_cast<size_t>(row_bytes));
    else clear(out.data + n * row_bytes, row_bytes);
  }
  const Tasks tasks{offsets, A};
  const int64_t count = tasks.count(), rank_tiles = ceil_div(R, RANKS_AT_ONCE), column_tiles = ceil_div(width, LOW_RANK_COLUMNS);
  const double rows_of_task = count > 0 ? static_cast<double>(N) / static_cast<double>(count) : 0;
  const auto cost = [&](int64_t elements) { return static_cast<double>(elements) * (0.1 + rows_of_task / FLOPS_PER_NANOSECOND); };
  // Which rows, and of which adapter, a task is about.
  const auto rows_of = [&](int64_t task, int64_t& a, int64_t& first) {
    tasks.find(task, a, first);
    const int64_t rows = smaller(ROWS_PER_TASK, tasks.rows(a) - first);
    first += offsets[a];
    return rows;
  };
  const auto shrink_tile = [&](int64_t task, int64_t tile) {
    int64_t a, first;
    const int64_t rows = rows_of(task, a, first), r = tile * RANKS_AT_ONCE;
    by_rows(rows, [&](auto m, int64_t i) {
      const X* from[m.value];
      float* to[m.value];
      for (int k = 0; k < m.value; k++) {
        from[k] = data_of<X>(x) + order[first + i + k] * C;
        to[k] = narrow + (first + i + k) * R + r;
      }
      shrink<m.value>(from, data_of<W>(down) + (a * R + r) * C, C, smaller(RANKS_AT_ONCE, R - r), to);
    });
  };
  const auto grow_tile = [&](int64_t task, int64_t tile) {
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
        to[k] = data_of<X>(out) + row * width;
      }
      grow<m.value>(values, data_of<W>(up) + a * R * width, R, width, from, smaller(width, from + LOW_RANK_COLUMNS), scale, base ? below : nullptr, to);
    });
  };
  // Adapters enough for all threads need not wait for each other between the factors.
  if (count >= 2 * call.threads) {
    parallel(call, count, cost(R * (C + width)), [&](int64_t task) {
      for (int64_t tile = 0; tile < rank_tiles; tile++) shrink_tile(task, tile);
      for (int64_t tile = 0; tile < column_tiles; tile++) grow_tile(task, tile);
    });
    return;
  }
  parallel(call, count * rank_tiles, cost(RANKS_AT_ONCE * C), [&](int64_t i) { shrink_tile(i / rank_tiles, i % rank_tiles); });
  parallel(call, count * column_tiles, cost(R * LOW_RANK_COLUMNS), [&](int64_t i) { grow_tile(i / column_tiles, i % column_tiles); });
}

void grouped_low_rank(const Call& call) {
  with_float_type(call.tensors[0].dtype, [&](auto* x) {
    with_float_type(call.tensors[1].dtype, [&](auto* weight) { low_rank<ElementOf<decltype(x)>, ElementOf<decltype(weight)>>(call); });
  });
}

#if defined(__AVX512BF16__)
using Bf16Reader = PairBf16;
#else
using Bf16Reader = AsF32<bf16>;
#endif

#define FRUGAL_BY_DTYPE(name, kernel)                            \
  void name(const Call& call) {                                  \
    switch (call.tensors[0].dtype) {                             \
      case DType::bf16: return kernel<Bf16Reader>(call);         \
      case DType::f16: return kernel<AsF32<f16>>(call);          \
      default: return kernel<AsF32<float>>(call);                \
    }                                                            \
  }
FRUGAL_BY_DTYPE(grouped_matmul, multiply_groups)
FRUGAL_BY_DTYPE(grouped_matmul_weight_gradient, weight_gradients)
#undef FRUGAL_BY_DTYPE

constexpr KernelEntry entries[] = {
    {"groupedMatmul", grouped_matmul}, {"groupedMatmulWeightGradient", grouped_matmul_weight_gradient}, {"groupedLowRank", grouped_low_rank}};

} // namespace

extern const KernelTable grouped_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
