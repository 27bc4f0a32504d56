// packedMatmul on the layout rows16: (x, blob) → x Wᵀ. Attributes: those of matrix_of, then activation: 0 none, 1 int8,
// 2 int8-block32. groupedPackedMatmul: (x [N, C], offsets i32 [E + 1], E blobs) → [N, F], the same attributes. Every element
// is summed block after block in one order, whatever the number of rows and threads.
#include "packed-float-rows.hpp"
#include "packed-tiles-amx.hpp"
#include "packed-tiles-avx2.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

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

/** `count` rows of codes, the first of which is `row0`, times some panels. */
template <class K, class T>
static void multiply_panels(const Matrix& m, int64_t first, int64_t end, int64_t row0, int64_t count, bool whole, const XBlock* x, const Output& out) {
  for_tiles<FEWEST_TILED <= TILE ? TILE / 2 : TILE>(row0, row0 + count, [&]<int ROWS>(int64_t row) {
    for (int64_t panel = first; panel < end; panel++) {
      if (whole) whole_tile<T, ROWS>(m, panel, x + row * m.blocks, row, out);
      else block_tile<K, T, ROWS>(m, panel, x + row * m.blocks, row, out);
    }
  });
}

/** Rows of x as codes, one after the other. */
template <class T>
static void quantize_few(const T* from, int64_t rows, const Matrix& m, bool whole, XBlock* out) {
  if (!whole) return quantize_blocks(from, rows, m, out);
  for (int64_t row = 0; row < rows; row++) quantize_whole_row(from + row * m.columns, m, out + row * m.blocks, 1);
}

/** A product y = x Wᵀ. */
struct Product {
  Matrix m;
  Output out() const { return {&m, y}; }
  Tensor y;
};

/** Several products of the same rows, given as codes: block b of row r at x[r · blocks + b]. */
template <class T>
static void multiply_few_codes(const Call& call, const Product* products, int64_t number, int64_t count, bool whole, const XBlock* x) {
  Panels all{};
  for (int64_t i = 0; i < number; i++) {
    const Panels own = Panels::of(products[i].m);
    all = {all.count + own.count, maximum(all.bytes, own.bytes), own.columns, all.bits > own.bits ? all.bits : own.bits};
  }
  for_chunks(call, all, count, CHUNK_ROWS, 0.004, [&](int64_t first, int64_t end, int64_t first_row, int64_t end_row) {
    int64_t start = 0;
    for (int64_t i = 0; i < number && start < end; start += products[i++].m.panels) {
      const Matrix& m = products[i].m;
      const int64_t from = maximum(first - start, 0), until = minimum(end - start, m.panels);
      if (from < until) with_kind(m, [&](auto kind) { multiply_panels<decltype(kind), T>(m, from, until, first_row, end_row - first_row, whole, x, products[i].out()); });
    }
  });
}

/** Several products of the same rows, which have the same codes in all of them. */
template <class T>
static void multiply_codes(const Call& call, const Product* products, int64_t number, int64_t count, bool whole) {
  const Matrix& m = products[0].m;
  if (count >= FEWEST_TILED) {
    for (int64_t i = 0; i < number; i++) multiply_row_tiles<T>(call, products[i].m, count, whole, products[i].out());
    return;
  }
  auto* x = static_cast<XBlock*>(scratch(Scratch::shared, static_cast<size_t>(count * m.blocks) * sizeof(XBlock) + 64));
  parallel(call, (count + TILE - 1) / TILE, static_cast<double>(TILE * m.columns) * 0.15, [&](int64_t tile) {
    const int64_t first = tile * TILE;
    quantize_few(data_of<T>(call.tensors[0]) + first * m.columns, minimum(TILE, count - first), m, whole, x + first * m.blocks);
  });
  multiply_few_codes<T>(call, products, number, count, whole, x);
}

static int activation_of(const Call& call) { return static_cast<int>(call.attributes[MATRIX_ATTRIBUTES]); }

template <class T>
static void multiply(const Call& call, const Matrix& m, int64_t count, const Tensor& result) {
  const int activation = activation_of(call);
  const Product product{m, result};
  if (activation == 0) multiply_floats<T>(call, m, count, product.out());
  else multiply_codes<T>(call, &product, 1, count, activation == 1);
}

/** (x [..., columns], blob) → [..., rows] */
void packed_rows_matmul(const Call& call) {
  const Matrix m = matrix_of(call.attributes, call.tensors[1].data);
  with_float_type(call.tensors[0].dtype, [&](auto* type) { multiply<ElementOf<decltype(type)>>(call, m, rows_of(call.tensors[0]).rows, call.tensors[2]); });
}

/** Whether the rows of x and their codes are the same: only matrices with columns in their own order see them alike. */
bool same_codes(const Call& first, const Call& other) {
  const Matrix m = matrix_of(first.attributes, nullptr), o = matrix_of(other.attributes, nullptr);
  return same_tensor(first.tensors[0], other.tensors[0]) && activation_of(first) != 0 && activation_of(first) == activation_of(other) &&
         m.columns == o.columns && !m.ordered && !o.ordered;
}

/** (x [..., columns], blob) → [..., rows] of several calls: x is made codes once, and threads share all panels. */
void joint_packed_rows_matmul(const Call* const* calls, int32_t number) {
  const Call& first = *calls[0];
  Product products[MAX_JOINT];
  for (int32_t i = 0; i < number; i++) products[i] = {matrix_of(calls[i]->attributes, calls[i]->tensors[1].data), calls[i]->tensors[2]};
  with_float_type(first.tensors[0].dtype, [&](auto* type) {
    multiply_codes<ElementOf<decltype(type)>>(first, products, number, rows_of(first.tensors[0]).rows, activation_of(first) == 1);
  });
}

constexpr Joint joint_products{same_codes, joint_packed_rows_matmul};

/** Matrices of one shape, each for its own rows of x. */
struct Groups {
  const Call& call;
  const Tensor& x() const { return call.tensors[0]; }
  const Tensor& out() const { return call.tensors[call.input_count]; }
  const int32_t* offsets() const { return data_of<int32_t>(call.tensors[1]); }
  int64_t count() const { return call.input_count - 2; }
  int64_t rows(int64_t e) const { return maximum(0, offsets()[e + 1] - offsets()[e]); }
  Matrix matrix(int64_t e) const { return matrix_of(call.attributes, call.tensors[2 + e].data); }
};

/** Rows of one group times a panel: as many as registers hold pass over it together, so that it is unpacked as seldom as can be. */
template <class K, class T>
static void multiply_panel(const Matrix& m, int64_t panel, int64_t row, int64_t end, bool whole, const XBlock* x, const Output& out) {
  const auto tile = [&]<int ROWS>() {
    if (whole) whole_tile<T, ROWS>(m, panel, x + row * m.blocks, row, out);
    else block_tile<K, T, ROWS>(m, panel, x + row * m.blocks, row, out);
    row += ROWS;
  };
  constexpr int MOST = FEWEST_TILED <= TILE ? TILE / 2 : TILE;
  while (end - row >= MOST) tile.template operator()<MOST>();
  while (row < end) {
    const int64_t left = end - row;
    if constexpr (MOST > 4) {
      if (left == 4 || left == 7) {
        tile.template operator()<4>();
        continue;
      }
    }
    if constexpr (MOST > 2) {
      if (left >= 3) {
        tile.template operator()<3>();
        continue;
      }
    }
    if constexpr (MOST > 1) {
      if (left == 2) {
        tile.template operator()<2>();
        continue;
      }
    }
    tile.template operator()<1>();
  }
}

/** The panels of several matrices in a row, cut into pieces that take about as long as each other. */
class PanelRuns {
 public:
  PanelRuns(const Groups& groups, const int64_t* chosen, int64_t count, const Matrix& like, int threads) : count_(count), panels_(like.panels) {
    const double weights = static_cast<double>(PANEL * like.columns);
    for (int64_t i = 0; i < count; i++) {
      cost_[i] = weights * (static_cast<double>(like.bits) / 8.0 / 30.0 + 0.004 * static_cast<double>(groups.rows(chosen[i])));
      total_ += cost_[i] * static_cast<double>(panels_);
    }
    const int64_t bytes_together = threads * LONGEST_CHUNK_BYTES;
    runs_ = minimum(count * panels_, threads * maximum(1, (count * panels_ * like.panel_bytes + bytes_together - 1) / bytes_together));
  }
  int64_t runs() const { return runs_; }
  double cost() const { return total_ / static_cast<double>(runs_); }
  /** Where run number `run` begins: i-th matrix and panel of it; that of run number `runs()` is the end of the last. */
  void begin(int64_t run, int64_t& i, int64_t& panel) const {
    double left = total_ * static_cast<double>(run) / static_cast<double>(runs_);
    for (i = 0; i < count_ && run < runs_; i++) {
      const double here = cost_[i] * static_cast<double>(panels_);
      if (left < here) {
        panel = minimum(panels_, static_cast<int64_t>(left / cost_[i] + 0.5));
        return;
      }
      left -= here;
    }
    i = count_, panel = 0;
  }

 private:
  int64_t count_, panels_, runs_;
  double cost_[MAX_TENSORS], total_ = 0;
};

/**
 * The groups of which each has few rows, in one region. Their matrices are read one after the other in long runs, since
 * fetching ahead begins anew with each run: before a matrix ends, the next one is fetched.
 */
template <class T>
static void multiply_few_groups(const Groups& groups, const int64_t* few, int64_t count, int64_t rows) {
  const Call& call = groups.call;
  const bool whole = activation_of(call) == 1;
  const Matrix like = groups.matrix(few[0]);
  auto* x = static_cast<XBlock*>(scratch(Scratch::shared, static_cast<size_t>(groups.x().dims[0] * like.blocks) * sizeof(XBlock) + 64));
  parallel(call, count, 0.3 * static_cast<double>(rows) / static_cast<double>(count) * static_cast<double>(like.columns), [&](int64_t i) {
    const Matrix m = groups.matrix(few[i]); // columns may have an order of their own
    const int64_t row = groups.offsets()[few[i]];
    quantize_few(data_of<T>(groups.x()) + row * m.columns, groups.rows(few[i]), m, whole, x + row * m.blocks);
  });
  if (like.panels == 0) return;
  const PanelRuns runs(groups, few, count, like, call.threads);
  with_kind(like, [&](auto kind) {
    using K = decltype(kind);
    parallel(call, runs.runs(), runs.cost(), [&](int64_t run) {
      int64_t i, panel, last, end;
      runs.begin(run, i, panel);
      runs.begin(run + 1, last, end);
      for (; i < last || (i == last && panel < end); i++, panel = 0) {
        const int64_t e = few[i], row = groups.offsets()[e];
        const Matrix m = groups.matrix(e);
        const Output out{&m, groups.out()};
        const int64_t until = i < last ? m.panels : end;
        for (; panel < until; panel++) {
          if (panel + 1 == until && i < last && i + 1 < count) fetch_ahead(groups.matrix(few[i + 1]).panel(0), m.panel_bytes);
          multiply_panel<K, T>(m, panel, row, row + groups.rows(e), whole, x, out);
        }
      }
    });
  });
}

/** Rows of a group as if it were alone. */
template <class T>
static void multiply_group(const Groups& groups, int64_t e) {
  const Matrix m = groups.matrix(e);
  const int64_t first = groups.offsets()[e], count = groups.rows(e);
  Tensor x = groups.x(), result = groups.out();
  x.data += first * m.columns * static_cast<int64_t>(sizeof(T));
  result.data += first * m.rows * static_cast<int64_t>(sizeof(T));
  x.dims[0] = result.dims[0] = count;
  Call alone = groups.call;
  alone.tensors = &x;
  multiply<T>(alone, m, count, result);
}

/** (x [N, columns], offsets, blobs) → [N, rows]; rows of no group are 0. */
void grouped_packed_rows_matmul(const Call& call) {
  const Groups groups{call};
  with_float_type(groups.x().dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    const int64_t N = groups.x().dims[0], row_bytes = groups.out().dims[1] * static_cast<int64_t>(sizeof(T));
    const auto clear = [&](int64_t from, int64_t until) {
      if (until > from) __builtin_memset(groups.out().data + from * row_bytes, 0, static_cast<size_t>((until - from) * row_bytes));
    };
    clear(0, minimum(groups.offsets()[0], N));
    clear(groups.offsets()[groups.count()], N);
    int64_t few[MAX_TENSORS], count = 0, rows = 0;
    for (int64_t e = 0; e < groups.count(); e++) {
      if (groups.rows(e) == 0) continue;
      if (activation_of(call) == 0 || groups.rows(e) >= FEWEST_TILED) multiply_group<T>(groups, e);
      else few[count++] = e, rows += groups.rows(e);
    }
    if (count > 0) multiply_few_groups<T>(groups, few, count, rows);
  });
}

constexpr KernelEntry entries[] = {{"packedRowsMatmul", packed_rows_matmul, &joint_products}, {"groupedPackedRowsMatmul", grouped_packed_rows_matmul}};

} // namespace

extern const KernelTable packed_rows_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
