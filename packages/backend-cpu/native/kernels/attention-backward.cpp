// The gradient of attention: (gradient, q, k, v, sequenceStarts, out, logSumExp) → (dq, dk, dv). Weights p are computed
// again from the saved log-sum-exp; with dp = g vᵀ and ds = p · (dp - Σ g·out): dq = ds k, dk = dsᵀ q, dv = pᵀ g.
// One piece of work is one key head of one sequence with all its query heads, so that every sum has one owner and one
// order, and no piece waits for another.
#include "attention.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Keys and queries that meet at a time; their tiles stay in the L2 cache. */
constexpr int64_t BACKWARD_KEYS = 128;
constexpr int64_t BACKWARD_QUERIES = 6 * TILE_ROWS;

template <class T>
struct Pointers {
  const T *gradient, *q, *k, *v, *out; // first row of the sequence, first head of the group
  const float* totals;
  T *dq, *dk, *dv;
};

template <class T>
class Piece {
 public:
  Piece(const AttentionShape& shape, const Pointers<T>& pointers, int64_t sequence_length) : s(shape), p(pointers), length(sequence_length) {}

  void run() {
    d_depth = round_up(s.D, PIECE);
    v_depth = round_up(s.Dv, PIECE);
    d_width = round_up(s.D, TILE_COLUMNS);
    v_width = round_up(s.Dv, TILE_COLUMNS);
    allocate();
    __builtin_memset(dk, 0, static_cast<size_t>(length * d_width) * 4);
    __builtin_memset(dv, 0, static_cast<size_t>(length * v_width) * 4);
    for (head = 0; head < s.G; head++) {
      __builtin_memset(dq, 0, static_cast<size_t>(length * d_width) * 4);
      for (int64_t i = 0; i < length; i += LANES) store_first(delta + i, dots(i), minimum(LANES, length - i));
      for (keys = 0; keys < length; keys += BACKWARD_KEYS) key_block();
      for (int64_t i = 0; i < length; i++) write(dq + i * d_width, s.D, p.dq + row(i, s.D));
    }
    for (int64_t i = 0; i < length; i++) {
      write(dk + i * d_width, s.D, p.dk + i * s.K * s.D);
      write(dv + i * v_width, s.Dv, p.dv + i * s.K * s.Dv);
    }
  }

 private:
  const AttentionShape& s;
  const Pointers<T>& p;
  const int64_t length;
  int64_t d_depth, v_depth, d_width, v_width, head, keys, key_count, queries, query_count;
  float *dq, *dk, *dv, *delta;
  float *k_columns, *v_columns, *k_rows;                       // B operands of a key block
  float *q_tiles, *g_tiles, *q_rows, *g_rows;                  // A and B operands of a query block
  float *scores, *slopes, *weights, *weight_gradients, *packed; // [BACKWARD_QUERIES, BACKWARD_KEYS], and one tile packed

  void allocate() {
    const int64_t sizes[] = {length * d_width,           length * d_width,           length * v_width,          length,
                             BACKWARD_KEYS * s.D,        BACKWARD_KEYS * s.Dv,       BACKWARD_KEYS * d_width,   BACKWARD_QUERIES * d_depth,
                             BACKWARD_QUERIES * v_depth, BACKWARD_QUERIES * d_width, BACKWARD_QUERIES * v_width, TILE_ROWS * BACKWARD_KEYS,
                             TILE_ROWS * BACKWARD_KEYS,  BACKWARD_QUERIES * BACKWARD_KEYS, BACKWARD_QUERIES * BACKWARD_KEYS, TILE_ROWS * BACKWARD_KEYS};
    float** const places[] = {&dq, &dk, &dv, &delta, &k_columns, &v_columns, &k_rows, &q_tiles, &g_tiles, &q_rows, &g_rows,
                              &scores, &slopes, &weights, &weight_gradients, &packed};
    int64_t total = 0;
    for (int64_t size : sizes) total += Arena::floats(size);
    Arena arena{static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(total) * 4))};
    for (int i = 0; i < 16; i++) *places[i] = arena.take(sizes[i]);
  }

  /** Where the vector of query row i and the current head starts. */
  int64_t row(int64_t i, int64_t width) const { return (i * s.H + head) * width; }

  /**
   * Σ g·out of LANES rows, in the order in which the tile kernel computes g·v: a row that sees a single key then gets a
   * gradient of exactly 0.
   */
  F dots(int64_t i) const {
    F sum = {};
    for (int64_t d = 0; d < s.Dv; d += LANES) {
      const int64_t lanes = minimum(LANES, s.Dv - d);
      F g[LANES], out[LANES];
      for (int64_t l = 0; l < LANES; l++) {
        const bool inside = i + l < length;
        g[l] = inside ? load_f_first(p.gradient + row(i + l, s.Dv) + d, lanes) : F{};
        out[l] = inside ? load_f_first(p.out + row(i + l, s.Dv) + d, lanes) : F{};
      }
      transpose(g);
      transpose(out);
      for (int64_t l = 0; l < lanes; l++) sum = DotF32::mac(sum, g[l], out[l]);
    }
    return sum;
  }

  static void write(const float* from, int64_t width, T* to) {
    for (int64_t d = 0; d < width; d += LANES) store_f_first(to + d, load(from + d), minimum(LANES, width - d));
  }

  void key_block() {
    key_count = minimum(BACKWARD_KEYS, length - keys);
    const auto key = [&](int64_t i) { return p.k + (keys + i) * s.K * s.D; };
    pack_transposed(key, key_count, s.D, k_columns);
    pack_straight(key, key_count, s.D, k_rows);
    pack_transposed([&](int64_t i) { return p.v + (keys + i) * s.K * s.Dv; }, key_count, s.Dv, v_columns);
    for (queries = 0; queries < length; queries += BACKWARD_QUERIES) {
      query_count = minimum(BACKWARD_QUERIES, length - queries);
      const int64_t first = visible(s, queries, length).first, last = visible(s, queries + query_count - 1, length).last;
      if (last >= keys && first < keys + key_count) query_block();
    }
  }

  void query_block() {
    const auto query = [&](int64_t i) { return p.q + row(queries + i, s.D); };
    const auto gradient = [&](int64_t i) { return p.gradient + row(queries + i, s.Dv); };
    pack_straight(query, query_count, s.D, q_rows);
    pack_straight(gradient, query_count, s.Dv, g_rows);
    for (int64_t i = 0; i < query_count; i += TILE_ROWS) {
      const int64_t tile = minimum(TILE_ROWS, query_count - i);
      pack_rows([&](int64_t r) { return query(i + r); }, tile, s.D, s.scale, q_tiles + i * d_depth);
      pack_rows([&](int64_t r) { return gradient(i + r); }, tile, s.Dv, 1.0f, g_tiles + i * v_depth);
      query_tile(i, tile);
    }
    add_transposed(weights, g_rows, v_width, dv + keys * v_width);
    add_transposed(weight_gradients, q_rows, d_width, dk + keys * d_width);
  }

  /** Fills rows of `weights` and `weight_gradients`, and adds to dq. */
  void query_tile(int64_t i, int64_t tile) {
    const int64_t last = visible(s, queries + i + tile - 1, length).last - keys;
    const int64_t end = maximum(0, minimum(key_count, last + 1)); // keys behind are hidden from the whole tile
    for (int64_t j = 0; j < end; j += TILE_COLUMNS) {
      const Tile score{s.D, q_tiles + i * d_depth, k_columns + j * s.D, TILE_COLUMNS, scores + j, BACKWARD_KEYS, TILE_COLUMNS, false};
      tile_kernel<DotF32>(tile)(score);
      const Tile slope{s.Dv, g_tiles + i * v_depth, v_columns + j * s.Dv, TILE_COLUMNS, slopes + j, BACKWARD_KEYS, TILE_COLUMNS, false};
      tile_kernel<DotF32>(tile)(slope);
    }
    for (int64_t r = 0; r < tile; r++) weight_row(i + r, r, tile, end);
    for (int64_t d = 0; end > 0 && d < d_width; d += TILE_COLUMNS) {
      const Tile t{end, packed, k_rows + d * key_count, TILE_COLUMNS, dq + (queries + i) * d_width + d, d_width, TILE_COLUMNS, true};
      tile_kernel<DotF32>(tile)(t);
    }
  }

  void weight_row(int64_t i, int64_t r, int64_t tile, int64_t end) {
    const Range range = visible(s, queries + i, length);
    const I first = set_int(static_cast<int32_t>(range.first - keys)), last = set_int(static_cast<int32_t>(range.last - keys));
    const F total = set(p.totals[row(queries + i, 1)]), mean = set(delta[queries + i]), scale = set(s.scale);
    I index;
    for (int l = 0; l < LANES; l++) index[l] = l;
    float* weight = weights + i * BACKWARD_KEYS;
    float* weight_gradient = weight_gradients + i * BACKWARD_KEYS;
    int64_t j = 0;
    for (; j < round_up(end, PIECE); j += LANES) {
      F x = load(scores + r * BACKWARD_KEYS + j), slope = scale;
      if (s.soft_cap > 0) {
        const F t = tanh(x * set(1.0f / s.soft_cap));
        x = set(s.soft_cap) * t;
        slope = scale * (set(1.0f) - t * t);
      }
      const I at = index + set_int(static_cast<int32_t>(j));
      const I seen = (at >= first) & (at <= last);
      const F w = select(seen, exp(x - total), F{});
      const F dw = select(seen, w * (load(slopes + r * BACKWARD_KEYS + j) - mean) * slope, F{});
      store(weight + j, w);
      store(weight_gradient + j, dw);
      store(packed + j / PIECE * tile * PIECE + r * PIECE + j % PIECE, dw);
    }
    for (; j < BACKWARD_KEYS; j += LANES) {
      store(weight + j, F{});
      store(weight_gradient + j, F{});
    }
  }

  /** to [keys, width] += aᵀ · b with a [queries, keys] and b [queries, width] in panels. */
  void add_transposed(const float* a, const float* b, int64_t width, float* to) {
    for (int64_t d = 0; d < width; d += TILE_COLUMNS) {
      for (int64_t i = 0; i < key_count; i += TILE_ROWS) {
        Tile t{query_count, a + i, b + d * query_count, TILE_COLUMNS, to + i * width + d, width, TILE_COLUMNS, true};
        t.lda = BACKWARD_KEYS;
        transposed_tile_kernel<DotF32>(minimum(TILE_ROWS, key_count - i))(t);
      }
    }
  }
};

void attention_backward(const Call& call) {
  const Tensor &q = call.tensors[1], &v = call.tensors[3];
  const AttentionShape s = attention_shape(q, v, call.attributes);
  const int32_t* starts = reinterpret_cast<const int32_t*>(call.tensors[4].data);
  const int64_t sequences = call.tensors[4].dims[0] - 1;
  for (int i = 7; i < 10; i++) {
    clear_rows(call.tensors[i], 0, starts[0]);
    clear_rows(call.tensors[i], starts[sequences], q.dims[0]);
  }
  const double average = static_cast<double>(q.dims[0]) / static_cast<double>(maximum(1, sequences));
  const double cost = average * average * static_cast<double>(s.G * (s.D + s.Dv)) * 0.05;
  with_float_type(q.dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    parallel(call, sequences * s.K, cost, [&](int64_t chunk) {
      const int64_t sequence = chunk / s.K, head = chunk % s.K;
      const int64_t query = starts[sequence] * s.H + head * s.G, key = starts[sequence] * s.K + head;
      const auto at = [&](int tensor, int64_t offset) { return reinterpret_cast<T*>(call.tensors[tensor].data) + offset; };
      const Pointers<T> pointers{at(0, query * s.Dv), at(1, query * s.D), at(2, key * s.D), at(3, key * s.Dv), at(5, query * s.Dv),
                                 reinterpret_cast<const float*>(call.tensors[6].data) + query, at(7, query * s.D), at(8, key * s.D),
                                 at(9, key * s.Dv)};
      Piece<T>(s, pointers, starts[sequence + 1] - starts[sequence]).run();
    });
  });
}

constexpr KernelEntry entries[] = {{"attentionBackward", attention_backward}};

} // namespace

extern const KernelTable attention_backward_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
