// attention and cachedAttention, forward: softmax(scale · q kᵀ) v without ever holding a T × T matrix (Dao et al. 2022,
// arXiv:2205.14135). One piece of work is up to ROW_BLOCK query rows of one key head; it walks over blocks of keys and
// keeps a running maximum, sum and mix per row. Every row is computed as if it were alone.
#include "attention.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Query rows (queries × heads that share a key head) per piece of work. */
constexpr int64_t ROW_BLOCK = 240;

/** The keys of one sequence and head, wherever they lie. */
template <class T>
struct Keys {
  const T* keys;
  const T* values;
  int64_t key_stride, value_stride; // elements from row to row
  int64_t length;
  const int32_t* pages; // null: rows follow each other
  int64_t page_size;

  int64_t row(int64_t position) const {
    return pages ? pages[position / page_size] * page_size + position % page_size : position;
  }
  const T* key(int64_t position) const { return keys + row(position) * key_stride; }
  const T* value(int64_t position) const { return values + row(position) * value_stride; }
};

/** Query rows: row i is query i / G with head i mod G of the group. */
template <class T>
struct Queries {
  const T* q;     // head 0 of the group, first query
  T* out;         // the same place in the output
  float* totals;  // log-sum-exp, may be null
  int64_t count;  // queries
  int64_t position; // of the first query in its sequence
};

/** Running softmax of one tile of rows. */
struct RowState {
  float top, sum;
};

template <class T>
class Piece {
 public:
  Piece(const AttentionShape& shape, const Queries<T>& queries, const Keys<T>& keys) : s(shape), q(queries), k(keys) {}

  void run() {
    rows = q.count * s.G;
    const int64_t depth = round_up(s.D, PIECE);
    dv = round_up(s.Dv, TILE_COLUMNS);
    const int64_t need = Arena::floats(rows * depth) + Arena::floats(rows * dv) + Arena::floats(rows * 2) + Arena::floats(KEY_BLOCK * s.D) +
                         Arena::floats(KEY_BLOCK * dv) + 2 * Arena::floats(TILE_ROWS * KEY_BLOCK) + TILE_COLUMNS * s.D;
    Arena arena{static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(need) * 4))};
    packed_q = arena.take(rows * depth);
    mix = arena.take(rows * dv);
    state = reinterpret_cast<RowState*>(arena.take(rows * 2));
    packed_k = arena.take(KEY_BLOCK * s.D);
    packed_v = arena.take(KEY_BLOCK * dv);
    scores = arena.take(TILE_ROWS * KEY_BLOCK);
    weights = arena.take(TILE_ROWS * KEY_BLOCK);
    __builtin_memset(mix, 0, static_cast<size_t>(rows * dv) * 4);
    for (int64_t i = 0; i < rows; i++) state[i] = {-__builtin_inff(), 0.0f};
    for (int64_t i = 0; i < rows; i += TILE_ROWS) {
      const int64_t count = minimum(TILE_ROWS, rows - i);
      pack_rows([&](int64_t r) { return q.q + element(i + r, s.D); }, count, s.D, s.scale, packed_q + i * depth);
    }
    const Range whole = range_of(0, rows);
    for (int64_t start = whole.first / KEY_BLOCK * KEY_BLOCK; start <= whole.last; start += KEY_BLOCK) key_block(start);
    for (int64_t i = 0; i < rows; i++) finish(i);
  }

 private:
  const AttentionShape& s;
  const Queries<T>& q;
  const Keys<T>& k;
  int64_t rows, dv;
  float *packed_q, *mix, *packed_k, *packed_v, *scores, *weights;
  RowState* state;

  /** Where row i's vector of `width` elements starts, from the first one. */
  int64_t element(int64_t i, int64_t width) const { return (i / s.G * s.H + i % s.G) * width; }
  Range range_at(int64_t i) const { return visible(s, q.position + i / s.G, k.length); }
  Range range_of(int64_t first, int64_t count) const { return {range_at(first).first, range_at(first + count - 1).last}; }

  void key_block(int64_t start) {
    const int64_t count = minimum(KEY_BLOCK, k.length - start);
    pack_transposed([&](int64_t i) { return k.key(start + i); }, count, s.D, packed_k);
    pack_straight([&](int64_t i) { return k.value(start + i); }, count, s.Dv, packed_v);
    for (int64_t i = 0; i < rows; i += TILE_ROWS) {
      const int64_t tile = minimum(TILE_ROWS, rows - i);
      const Range range = range_of(i, tile);
      if (range.last >= start && range.first < start + count) row_tile(start, count, i, tile, range);
    }
  }

  /** Rows i…i + tile - 1 against one block of keys. */
  void row_tile(int64_t start, int64_t count, int64_t i, int64_t tile, Range range) {
    const int64_t first = maximum(0, range.first - start) / TILE_COLUMNS * TILE_COLUMNS;
    const int64_t end = minimum(count, range.last - start + 1);
    for (int64_t j = first; j < end; j += TILE_COLUMNS) {
      const Tile t{s.D, packed_q + i * round_up(s.D, PIECE), packed_k + j * s.D, TILE_COLUMNS, scores + j, KEY_BLOCK, TILE_COLUMNS, false};
      tile_kernel<DotF32>(tile)(t);
    }
    const int64_t padded = minimum(round_up(end, maximum(PIECE, LANES)), KEY_BLOCK);
    const int64_t from = first / PIECE * PIECE;
    for (int64_t r = 0; r < tile; r++) {
      const Range mine = range_at(i + r);
      softmax_row(scores + r * KEY_BLOCK, {mine.first - start, minimum(mine.last - start, count - 1)}, from, padded, state[i + r],
                  mix + (i + r) * dv, weights + r * PIECE, tile * PIECE);
    }
    for (int64_t d = 0; d < dv; d += TILE_COLUMNS) {
      const Tile t{end - from, weights + from * tile, packed_v + d * count + from * TILE_COLUMNS, TILE_COLUMNS, mix + i * dv + d, dv, TILE_COLUMNS, true};
      tile_kernel<DotF32>(tile)(t);
    }
  }

  /** Scores of keys from…end - 1 to weights e^(score - top) in packed order; rescales what was mixed before. */
  void softmax_row(float* score, Range range, int64_t from, int64_t end, RowState& row, float* mixed, float* weight, int64_t piece) {
    const F lowest = set(-__builtin_inff());
    I index;
    for (int l = 0; l < LANES; l++) index[l] = l;
    F best = lowest;
    for (int64_t j = from; j < end; j += LANES) {
      F x = load(score + j);
      if (s.soft_cap > 0) x = set(s.soft_cap) * tanh(x * set(1.0f / s.soft_cap));
      if (j < range.first || j + LANES - 1 > range.last) {
        const I at = index + set_int(static_cast<int32_t>(j));
        x = select((at >= set_int(static_cast<int32_t>(range.first))) & (at <= set_int(static_cast<int32_t>(range.last))), x, lowest);
      }
      best = max(best, x);
      store(score + j, x);
    }
    const float block_top = reduce_max(best);
    const float top = block_top > row.top ? block_top : row.top;
    const bool unseen = top == -__builtin_inff();
    F sum = {};
    for (int64_t j = from; j < end; j += LANES) {
      const F e = unseen ? F{} : exp(load(score + j) - set(top));
      sum += e;
      store(weight + j / PIECE * piece + j % PIECE, e);
    }
    if (unseen) return;
    const float keep = exp(set(row.top - top))[0];
    row.sum = row.sum * keep + reduce_add(sum);
    row.top = top;
    for (int64_t d = 0; d < dv; d += LANES) store(mixed + d, load(mixed + d) * set(keep));
  }

  void finish(int64_t i) {
    const RowState& row = state[i];
    const F inverse = set(1.0f / row.sum);
    T* out = q.out + element(i, s.Dv);
    for (int64_t d = 0; d < s.Dv; d += LANES) store_f_first(out + d, load(mix + i * dv + d) * inverse, minimum(LANES, s.Dv - d));
    if (q.totals) q.totals[element(i, 1)] = row.top + log(set(row.sum))[0];
  }
};

/** Cuts the queries of all sequences into pieces: find(piece) → sequence and first query. */
struct Pieces {
  const int32_t* starts;
  int64_t sequences, queries_per_piece;

  int64_t count_of(int64_t sequence) const {
    return (starts[sequence + 1] - starts[sequence] + queries_per_piece - 1) / queries_per_piece;
  }
  int64_t count() const {
    int64_t total = 0;
    for (int64_t i = 0; i < sequences; i++) total += count_of(i);
    return total;
  }
  void find(int64_t piece, int64_t& sequence, int64_t& query) const {
    for (sequence = 0; piece >= count_of(sequence); sequence++) piece -= count_of(sequence);
    query = starts[sequence] + piece * queries_per_piece;
  }
};

template <class T>
void clear_rows(const Tensor& out, int64_t width, int64_t from, int64_t to) {
  __builtin_memset(reinterpret_cast<T*>(out.data) + from * width, 0, static_cast<size_t>((to - from) * width) * sizeof(T));
}

/** Runs all pieces; keys_of(sequence, key head) says where the keys are. */
template <class T, class KeysOf>
void attend(const Call& call, const AttentionShape& s, const int32_t* starts, int64_t sequences, const Tensor& out, float* totals,
            const KeysOf& keys_of) {
  const int64_t N = call.tensors[0].dims[0];
  const T* q = reinterpret_cast<const T*>(call.tensors[0].data);
  clear_rows<T>(out, s.H * s.Dv, 0, starts[0]);
  clear_rows<T>(out, s.H * s.Dv, starts[sequences], N);
  const Pieces pieces{starts, sequences, maximum(1, ROW_BLOCK / s.G)};
  const int64_t count = pieces.count();
  if (count == 0) return;
  double keys = 0;
  for (int64_t i = 0; i < sequences; i++) keys += static_cast<double>(keys_of(i, 0).length);
  const double cost = keys / static_cast<double>(sequences) * static_cast<double>((s.D + s.Dv) * minimum(ROW_BLOCK, s.G * N / count)) * 0.02;
  // The longest rows last in a causal sequence: handing out pieces from the end balances the threads.
  parallel(call, count * s.K, cost, [&](int64_t chunk) {
    const int64_t index = count * s.K - 1 - chunk, head = index % s.K;
    int64_t sequence, first;
    pieces.find(index / s.K, sequence, first);
    const Keys<T> keys = keys_of(sequence, head);
    const int64_t queries = minimum(pieces.queries_per_piece, starts[sequence + 1] - first);
    const int64_t from_end = starts[sequence + 1] - first; // the queries are the last positions of their sequence
    const int64_t row = first * s.H + head * s.G;
    const Queries<T> mine{q + row * s.D, reinterpret_cast<T*>(out.data) + row * s.Dv, totals ? totals + row : nullptr, queries, keys.length - from_end};
    Piece<T>(s, mine, keys).run();
  });
}

const int32_t* ints(const Tensor& t) { return reinterpret_cast<const int32_t*>(t.data); }

/** (q, k, v, sequenceStarts) → (out, logSumExp) */
void attention(const Call& call) {
  const Tensor &k = call.tensors[1], &v = call.tensors[2], &out = call.tensors[4];
  const AttentionShape s = attention_shape(call.tensors[0], v, call.attributes);
  const int32_t* starts = ints(call.tensors[3]);
  const int64_t sequences = call.tensors[3].dims[0] - 1, N = k.dims[0];
  float* totals = reinterpret_cast<float*>(call.tensors[5].data);
  clear_rows<float>(call.tensors[5], s.H, 0, starts[0]);
  clear_rows<float>(call.tensors[5], s.H, starts[sequences], N);
  with_float_type(k.dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    attend<T>(call, s, starts, sequences, out, totals, [&](int64_t sequence, int64_t head) {
      const int64_t start = starts[sequence] * s.K + head;
      return Keys<T>{reinterpret_cast<const T*>(k.data) + start * s.D, reinterpret_cast<const T*>(v.data) + start * s.Dv, s.K * s.D, s.K * s.Dv,
                     starts[sequence + 1] - starts[sequence], nullptr, 1};
    });
  });
}

/** (q, keys, values, sequenceStarts, pageTable, lengths) → out */
void cached_attention(const Call& call) {
  const Tensor &k = call.tensors[1], &v = call.tensors[2], &pages = call.tensors[4];
  const AttentionShape s = attention_shape(call.tensors[0], v, call.attributes);
  const int32_t *starts = ints(call.tensors[3]), *lengths = ints(call.tensors[5]);
  with_float_type(k.dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    attend<T>(call, s, starts, call.tensors[3].dims[0] - 1, call.tensors[6], nullptr, [&](int64_t sequence, int64_t head) {
      return Keys<T>{reinterpret_cast<const T*>(k.data) + head * s.D, reinterpret_cast<const T*>(v.data) + head * s.Dv, s.K * s.D, s.K * s.Dv,
                     lengths[sequence], ints(pages) + sequence * pages.dims[1], s.page_size};
    });
  });
}

constexpr KernelEntry entries[] = {{"attention", attention}, {"cachedAttention", cached_attention}};

} // namespace

extern const KernelTable attention_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
