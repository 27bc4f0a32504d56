// The gradient of attention: (gradient, q, k, v, sequenceStarts, out, logSumExp) → (dq, dk, dv). Weights p are computed
// again from the saved log-sum-exp; with dp = g vᵀ and ds = p · (dp - Σ g·out): dq = ds k, dk = dsᵀ q, dv = pᵀ g.
// One piece of work is one query head of one sequence. Query heads that share a key head add up in a fixed order.
#include "attention.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Keys and queries that meet at a time; their tiles stay in the L2 cache. */
constexpr int64_t BACKWARD_KEYS = 256;
constexpr int64_t BACKWARD_QUERIES = 6 * ATTENTION_ROWS;
/** Rows of scores lie a little further apart than a power of two, or they would share a few sets of the L1 cache. */
constexpr int64_t SCORE_ROW = BACKWARD_KEYS + 16;

template <class T>
struct Rows {
  T* data; // row 0 of the sequence, this head
  int64_t stride;
  T* operator()(int64_t i) const { return data + i * stride; }
};

template <class T>
struct Head {
  int64_t length;
  Rows<const T> gradient, q, k, v, out;
  Rows<const float> total;
  Rows<T> dq;
  float *dk, *dv; // [length, width], to be overwritten
};

template <class T>
class HeadBackward {
 public:
  HeadBackward(const AttentionShape& shape, const Head<T>& head) : s(shape), h(head), cap(shape.soft_cap), length(head.length) {}

  void run() {
    d_depth = round_up(s.D, PIECE);
    v_depth = round_up(s.Dv, PIECE);
    d_width = round_up(s.D, TILE_COLUMNS);
    v_width = round_up(s.Dv, TILE_COLUMNS);
    allocate();
    __builtin_memset(h.dk, 0, static_cast<size_t>(length * d_width) * 4);
    __builtin_memset(h.dv, 0, static_cast<size_t>(length * v_width) * 4);
    __builtin_memset(dq, 0, static_cast<size_t>(length * d_width) * 4);
    for (int64_t i = 0; i < length; i += LANES) store_first(delta + i, dots(i), minimum(LANES, length - i));
    for (keys = 0; keys < length; keys += BACKWARD_KEYS) key_block();
    for (int64_t i = 0; i < length; i++)
      for (int64_t d = 0; d < s.D; d += LANES) store_f_first(h.dq(i) + d, load(dq + i * d_width + d), minimum(LANES, s.D - d));
  }

 private:
  const AttentionShape& s;
  const Head<T>& h;
  const Cap cap;
  const int64_t length;
  int64_t d_depth, v_depth, d_width, v_width, keys, key_count, queries, query_count;
  float *dq, *delta;
  float *k_columns, *v_columns, *k_rows;                        // B operands of a key block
  float *q_tiles, *g_tiles, *q_rows, *g_rows;                   // A and B operands of a query block
  float *scores, *slopes, *weights, *weight_gradients, *packed; // weights: [BACKWARD_QUERIES, SCORE_ROW]; the others: one tile

  void allocate() {
    const int64_t q = BACKWARD_QUERIES, k = BACKWARD_KEYS, tile = ATTENTION_ROWS * BACKWARD_KEYS;
    const int64_t sizes[] = {length * d_width, length, k * s.D, k * s.Dv, k * d_width, q * d_depth, q * v_depth, q * d_width, q * v_width, tile, tile,
                             q * SCORE_ROW, q * SCORE_ROW, tile};
    float** const places[] = {&dq, &delta, &k_columns, &v_columns, &k_rows, &q_tiles, &g_tiles, &q_rows, &g_rows, &scores, &slopes, &weights, &weight_gradients, &packed};
    int64_t total = 32 * TILE_COLUMNS; // the tile kernel fetches ahead
    for (int64_t size : sizes) total += Arena::floats(size);
    Arena arena{static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(total) * 4))};
    for (int i = 0; i < 14; i++) *places[i] = arena.take(sizes[i]);
  }

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
        g[l] = inside ? load_f_first(h.gradient(i + l) + d, lanes) : F{};
        out[l] = inside ? load_f_first(h.out(i + l) + d, lanes) : F{};
      }
      transpose(g);
      transpose(out);
      for (int64_t l = 0; l < lanes; l++) sum = fma(g[l], out[l], sum);
    }
    return sum;
  }

  void key_block() {
    key_count = minimum(BACKWARD_KEYS, length - keys);
    const auto key = [&](int64_t i) { return h.k(keys + i); };
    pack_transposed(key, key_count, s.D, k_columns);
    pack_straight(key, key_count, s.D, k_rows);
    pack_transposed([&](int64_t i) { return h.v(keys + i); }, key_count, s.Dv, v_columns);
    for (queries = 0; queries < length; queries += BACKWARD_QUERIES) {
      query_count = minimum(BACKWARD_QUERIES, length - queries);
      const int64_t first = visible(s, queries, length).first, last = visible(s, queries + query_count - 1, length).last;
      if (last >= keys && first < keys + key_count) query_block();
    }
  }

  void query_block() {
    const auto query = [&](int64_t i) { return h.q(queries + i); };
    const auto gradient = [&](int64_t i) { return h.gradient(queries + i); };
    pack_straight(query, query_count, s.D, q_rows);
    pack_straight(gradient, query_count, s.Dv, g_rows);
    for (int64_t i = 0; i < query_count; i += ATTENTION_ROWS) {
      const int64_t tile = minimum(ATTENTION_ROWS, query_count - i);
      pack_rows([&](int64_t r) { return query(i + r); }, tile, s.D, s.scale * LOG2_E, q_tiles + i * d_depth);
      pack_rows([&](int64_t r) { return gradient(i + r); }, tile, s.Dv, 1.0f, g_tiles + i * v_depth);
      query_tile(i, tile);
    }
    add_transposed(weights, g_rows, v_width, h.dv + keys * v_width);
    add_transposed(weight_gradients, q_rows, d_width, h.dk + keys * d_width);
  }

  /** Fills rows of `weights` and `weight_gradients`, and adds to dq. */
  void query_tile(int64_t i, int64_t tile) {
    const AttentionKernel multiply = attention_kernel(tile);
    const int64_t last = visible(s, queries + i + tile - 1, length).last - keys;
    const int64_t end = maximum(0, minimum(key_count, last + 1)); // keys behind are hidden from the whole tile
    const int64_t from = minimum(end, maximum(0, visible(s, queries + i, length).first - keys)) / TILE_COLUMNS * TILE_COLUMNS;
    for (int64_t j = from; j < end; j += TILE_COLUMNS) {
      multiply({s.D, q_tiles + i * d_depth, k_columns + j * s.D, scores + j, BACKWARD_KEYS});
      multiply({s.Dv, g_tiles + i * v_depth, v_columns + j * s.Dv, slopes + j, BACKWARD_KEYS});
    }
    const int64_t first = from / PIECE * PIECE;
    for (int64_t r = 0; r < tile; r++) weight_row(i + r, r, tile, first, end);
    if (end <= first) return;
    for (int64_t d = 0; d < d_width; d += TILE_COLUMNS)
      multiply({end - first, packed + first * tile, k_rows + d * key_count + first * TILE_COLUMNS, dq + (queries + i) * d_width + d, d_width, true});
  }

  void weight_row(int64_t i, int64_t r, int64_t tile, int64_t from, int64_t end) {
    const Range range = visible(s, queries + i, length);
    const int64_t lowest = range.first - keys, highest = range.last - keys;
    const I first = set_int(static_cast<int32_t>(lowest)), last = set_int(static_cast<int32_t>(highest));
    const F total = set(*h.total(queries + i) * LOG2_E), mean = set(delta[queries + i]), scale = set(s.scale);
    I index;
    for (int l = 0; l < LANES; l++) index[l] = l;
    float* weight = weights + i * SCORE_ROW;
    float* weight_gradient = weight_gradients + i * SCORE_ROW;
    clear(weight, weight_gradient, 0, from);
    int64_t j = from;
    for (; j < round_up(end, PIECE); j += LANES) {
      F x = load(scores + r * BACKWARD_KEYS + j), slope = scale;
      if (cap) {
        const F t = cap.tangent(x);
        x = set(cap.size) * t;
        slope = scale * (set(1.0f) - t * t);
      }
      F w = exp2_weight(x - total);
      F dw = w * (load(slopes + r * BACKWARD_KEYS + j) - mean) * slope;
      if (j < lowest || j + LANES - 1 > highest) {
        const I at = index + set_int(static_cast<int32_t>(j));
        const I seen = (at >= first) & (at <= last);
        w = select(seen, w, F{});
        dw = select(seen, dw, F{});
      }
      store(weight + j, w);
      store(weight_gradient + j, dw);
      store(packed + j / PIECE * tile * PIECE + r * PIECE + j % PIECE, dw);
    }
    clear(weight, weight_gradient, j, BACKWARD_KEYS);
  }

  static void clear(float* a, float* b, int64_t from, int64_t end) {
    for (int64_t j = from; j < end; j += LANES) {
      store(a + j, F{});
      store(b + j, F{});
    }
  }

  /** to [keys, width] += aᵀ · b with a [queries, keys] and b [queries, width] in panels. */
  void add_transposed(const float* a, const float* b, int64_t width, float* to) {
    for (int64_t i = 0; i < key_count; i += ATTENTION_ROWS) {
      // Queries before the key do not see it.
      const int64_t first = s.causal ? maximum(0, keys + i - queries) : 0;
      if (first >= query_count) break;
      for (int64_t d = 0; d < width; d += TILE_COLUMNS)
        transposed_attention_kernel(minimum(ATTENTION_ROWS, key_count - i))(a + first * SCORE_ROW + i, SCORE_ROW, b + d * query_count + first * TILE_COLUMNS,
                                                                             query_count - first, to + i * width + d, width);
    }
  }
};

/** Gradients of keys and values of one query head, before those that share a key head are added up. */
struct Partial {
  float *dk, *dv;
};

template <class T>
class Backward {
 public:
  explicit Backward(const Call& c) : call(c), s(attention_shape(c.tensors[1], c.tensors[3], c.attributes)), starts(ints(c.tensors[4])) {
    d_width = round_up(s.D, TILE_COLUMNS);
    v_width = round_up(s.Dv, TILE_COLUMNS);
  }

  /** Sequences one after another in rounds that fit into memory; all heads of a round at once. */
  void run() {
    const int64_t sequences = call.tensors[4].dims[0] - 1;
    for (int64_t first = 0; first < sequences;) {
      int64_t end = first + 1;
      while (end < sequences && floats(first, end + 1) <= ROUND_FLOATS) end++;
      round(first, end);
      first = end;
    }
  }

 private:
  static constexpr int64_t ROUND_FLOATS = 1 << 24;
  const Call& call;
  const AttentionShape s;
  const int32_t* starts;
  int64_t d_width, v_width;

  int64_t floats(int64_t first, int64_t end) const { return (starts[end] - starts[first]) * s.H * (d_width + v_width); }

  Partial partial(float* memory, int64_t first, int64_t sequence, int64_t head) const {
    const int64_t length = starts[sequence + 1] - starts[sequence];
    float* mine = memory + floats(first, sequence) + head * length * (d_width + v_width);
    return {mine, mine + length * d_width};
  }

  void round(int64_t first, int64_t end) {
    float* memory = static_cast<float*>(scratch(Scratch::shared, static_cast<size_t>(floats(first, end) + 1) * 4));
    const double average = static_cast<double>(starts[end] - starts[first]) / static_cast<double>(end - first);
    const double cost = average * average * static_cast<double>(s.D + s.Dv) * 0.03;
    parallel(call, (end - first) * s.H, cost, [&](int64_t chunk) {
      const int64_t sequence = first + chunk / s.H, head = chunk % s.H;
      HeadBackward<T>(s, head_of(sequence, head, partial(memory, first, sequence, head))).run();
    });
    parallel(call, (end - first) * s.K, average * static_cast<double>(s.G * (s.D + s.Dv)) * 0.1, [&](int64_t chunk) {
      const int64_t sequence = first + chunk / s.K, head = chunk % s.K;
      const auto part = [&](int64_t g) { return partial(memory, first, sequence, head * s.G + g); };
      add_heads(call.tensors[8], sequence, head, s.D, d_width, [&](int64_t g) { return part(g).dk; });
      add_heads(call.tensors[9], sequence, head, s.Dv, v_width, [&](int64_t g) { return part(g).dv; });
    });
  }

  Head<T> head_of(int64_t sequence, int64_t head, Partial to) const {
    const auto rows = [&](int tensor, int64_t h) {
      const Tensor& t = call.tensors[tensor];
      return Rows<T>{reinterpret_cast<T*>(t.data) + starts[sequence] * t.strides[0] + h * t.strides[1], t.strides[0]};
    };
    const auto read = [&](int tensor, int64_t h) { return Rows<const T>{rows(tensor, h).data, call.tensors[tensor].strides[0]}; };
    const Tensor& totals = call.tensors[6];
    const Rows<const float> total{reinterpret_cast<const float*>(totals.data) + starts[sequence] * totals.strides[0] + head, totals.strides[0]};
    return {starts[sequence + 1] - starts[sequence], read(0, head), read(1, head), read(2, head / s.G), read(3, head / s.G), read(5, head), total, rows(7, head),
            to.dk, to.dv};
  }

  template <class PartAt>
  void add_heads(const Tensor& t, int64_t sequence, int64_t head, int64_t size, int64_t width, const PartAt& part) const {
    for (int64_t i = 0; i < starts[sequence + 1] - starts[sequence]; i++) {
      T* to = reinterpret_cast<T*>(t.data) + (starts[sequence] + i) * t.strides[0] + head * t.strides[1];
      for (int64_t d = 0; d < size; d += LANES) {
        F sum = load(part(0) + i * width + d);
        for (int64_t g = 1; g < s.G; g++) sum += load(part(g) + i * width + d);
        store_f_first(to + d, sum, minimum(LANES, size - d));
      }
    }
  }
};

void attention_backward(const Call& call) {
  const int32_t* starts = ints(call.tensors[4]);
  for (int i = 7; i < 10; i++) {
    clear_rows(call.tensors[i], 0, starts[0]);
    clear_rows(call.tensors[i], starts[call.tensors[4].dims[0] - 1], call.tensors[1].dims[0]);
  }
  with_float_type(call.tensors[1].dtype, [&](auto* type) { Backward<ElementOf<decltype(type)>>(call).run(); });
}

constexpr KernelEntry entries[] = {{"attentionBackward", attention_backward}};

} // namespace

extern const KernelTable attention_backward_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
