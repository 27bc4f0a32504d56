#pragma once
// Many query rows of one key head against its keys, without ever holding a T × T matrix (Dao et al. 2022,
// arXiv:2205.14135): blocks of keys are packed once, and each row keeps a running maximum, sum and mix.
#include "attention.hpp"

namespace frugal::FRUGAL_ISA {

/** The keys of one sequence and head, wherever they lie. `S` is how they are stored; i8 codes have scales. */
template <class S>
struct Keys {
  const S* keys;
  const S* values;
  int64_t key_stride, value_stride; // elements from row to row
  int64_t length;
  const int32_t* pages; // null: rows follow each other
  int64_t page_size;
  const float* key_scales; // null: none
  const float* value_scales;
  int64_t key_scale_stride, value_scale_stride;

  /** Rows of positions first … first + count - 1. */
  void rows(int64_t first, int64_t count, int64_t* to) const {
    if (!pages) {
      for (int64_t i = 0; i < count; i++) to[i] = first + i;
      return;
    }
    for (int64_t i = 0; i < count;) {
      const int64_t page = (first + i) / page_size, offset = (first + i) % page_size;
      const int64_t base = pages[page] * page_size + offset, n = minimum(page_size - offset, count - i);
      for (int64_t k = 0; k < n; k++) to[i + k] = base + k;
      i += n;
    }
  }
};

/** Query rows of one key head: row i is query i / G with head i mod G of the group. */
struct Queries {
  const char* q; // head 0 of the group, first query
  DType dtype;   // of q and out
  int64_t query_stride, head_stride;
  char* out; // the same place in the output, which is contiguous
  float* totals;    // log-sum-exp, may be null
  int64_t count;    // queries
  int64_t position; // of the first query in its sequence
};

/** What is known of a row after some blocks: its largest score, and Σ 2^(score - top). */
struct RowState {
  float top, sum;
};

/** Joins a block's result to what came before: both mixes are relative to their own top. */
static inline void join_block(RowState& row, float* mix, RowState block, const float* block_mix, int64_t width) {
  if (block.top == -__builtin_inff()) return;
  const float top = block.top > row.top ? block.top : row.top;
  const F keep = exp2_weight(set(row.top - top)), take = exp2_weight(set(block.top - top));
  row.sum = fma(set(block.sum), take, set(row.sum) * keep)[0];
  row.top = top;
  for (int64_t d = 0; d < width; d += LANES) store(mix + d, fma(load(block_mix + d), take, load(mix + d) * keep));
}

/** Writes one row of the output. */
static inline void write_row(const AttentionShape& s, const Queries& q, int64_t i, const RowState& row, const float* mix) {
  const int64_t at = i / s.G * s.H + i % s.G;
  const F inverse = set(1.0f / row.sum);
  with_float_type(q.dtype, [&](auto* type) {
    auto* out = reinterpret_cast<ElementOf<decltype(type)>*>(q.out) + at * s.Dv;
    for (int64_t d = 0; d < s.Dv; d += LANES) store_f_first(out + d, load(mix + d) * inverse, minimum(LANES, s.Dv - d));
  });
  if (q.totals) q.totals[at] = row.top * LN_2 + log(set(row.sum))[0];
}

/** Rows first … first + count - 1 of the queries for the tile kernel, times scale · log2 e. */
static inline void pack_queries(const AttentionShape& s, const Queries& q, int64_t first, int64_t count, float* to) {
  with_float_type(q.dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    pack_rows([&](int64_t r) { return reinterpret_cast<const T*>(q.q) + (first + r) / s.G * q.query_stride + (first + r) % s.G * q.head_stride; },
              count, s.D, s.scale * LOG2_E, to);
  });
}

/**
 * Scores of the keys from…end - 1 of a block to weights, in the packed order of A; `score` and the range count from the
 * start of the block, and scores outside the range may be anything.
 */
static inline RowState weigh_row(const Cap& cap, float* score, Range range, int64_t from, int64_t end, const float* key_scales,
                                 const float* value_scales, float* weight, int64_t piece) {
  const F lowest = set(-__builtin_inff());
  F best = lowest;
  I index;
  for (int l = 0; l < LANES; l++) index[l] = l;
  const bool plain = !key_scales && !cap;
  for (int64_t j = from; j < end; j += LANES) {
    F x = load(score + j);
    const bool whole = j >= range.first && j + LANES - 1 <= range.last;
    if (!plain || !whole) {
      if (key_scales) x = x * load(key_scales + j);
      if (cap) x = cap.tangent(x) * set(cap.size);
      const I at = index + set_int(static_cast<int32_t>(j));
      if (!whole) x = select((at >= set_int(static_cast<int32_t>(range.first))) & (at <= set_int(static_cast<int32_t>(range.last))), x, lowest);
      store(score + j, x);
    }
    best = max(x, best);
  }
  const float top = reduce_max(best);
  const F shift = set(top == -__builtin_inff() ? 0.0f : top);
  F sum = {};
  for (int64_t j = from; j < end; j += LANES) {
    const F e = exp2_weight(load(score + j) - shift);
    sum += e;
    store(weight + j / PIECE * piece + j % PIECE, value_scales ? e * load(value_scales + j) : e);
  }
  return {top, reduce_add(sum)};
}

template <class S>
class RowBlock {
 public:
  RowBlock(const AttentionShape& shape, const Queries& queries, const Keys<S>& keys) : s(shape), q(queries), k(keys), cap(shape.soft_cap) {}

  void run() {
    rows = q.count * s.G;
    depth = round_up(s.D, PIECE);
    width = round_up(s.Dv, TILE_COLUMNS);
    const int64_t sizes[] = {rows * depth, rows * width, rows * 2, KEY_BLOCK * s.D, KEY_BLOCK * width, ATTENTION_ROWS * KEY_BLOCK, ATTENTION_ROWS * KEY_BLOCK,
                             ATTENTION_ROWS * width, KEY_BLOCK, KEY_BLOCK};
    float** const places[] = {&packed_q, &mix, &states, &packed_k, &packed_v, &scores, &weights, &block_mix, &key_scales, &value_scales};
    int64_t total = 32 * TILE_COLUMNS; // the tile kernel fetches ahead
    for (int64_t size : sizes) total += Arena::floats(size);
    Arena arena{static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(total) * 4))};
    for (int i = 0; i < 10; i++) *places[i] = arena.take(sizes[i]);
    state = reinterpret_cast<RowState*>(states);
    __builtin_memset(mix, 0, static_cast<size_t>(rows * width) * 4);
    for (int64_t i = 0; i < rows; i++) state[i] = {-__builtin_inff(), 0.0f};
    for (int64_t i = 0; i < rows; i += ATTENTION_ROWS) pack_queries(s, q, i, minimum(ATTENTION_ROWS, rows - i), packed_q + i * depth);
    const Range whole = range_of(0, rows);
    for (int64_t start = whole.first / KEY_BLOCK * KEY_BLOCK; start <= whole.last; start += KEY_BLOCK) key_block(start, minimum(KEY_BLOCK, whole.last + 1 - start));
    for (int64_t i = 0; i < rows; i++) write_row(s, q, i, state[i], mix + i * width);
  }

 private:
  const AttentionShape& s;
  const Queries& q;
  const Keys<S>& k;
  const Cap cap;
  int64_t rows, depth, width;
  float *packed_q, *mix, *states, *packed_k, *packed_v, *scores, *weights, *block_mix, *key_scales, *value_scales;
  RowState* state;

  Range range_at(int64_t i) const { return visible(s, q.position + i / s.G, k.length); }
  Range range_of(int64_t first, int64_t count) const { return {range_at(first).first, range_at(first + count - 1).last}; }

  void key_block(int64_t start, int64_t count) {
    int64_t row[KEY_BLOCK];
    k.rows(start, count, row);
    pack_transposed([&](int64_t i) { return k.keys + row[i] * k.key_stride; }, count, s.D, packed_k);
    pack_straight([&](int64_t i) { return k.values + row[i] * k.value_stride; }, count, s.Dv, packed_v);
    if (k.key_scales) {
      for (int64_t i = 0; i < KEY_BLOCK; i++) {
        key_scales[i] = i < count ? k.key_scales[row[i] * k.key_scale_stride] : 0;
        value_scales[i] = i < count ? k.value_scales[row[i] * k.value_scale_stride] : 0;
      }
    }
    for (int64_t i = 0; i < rows; i += ATTENTION_ROWS) {
      const int64_t tile = minimum(ATTENTION_ROWS, rows - i);
      const Range range = range_of(i, tile);
      if (range.last >= start && range.first < start + count) row_tile(start, count, i, tile, range);
    }
  }

  /** Rows i…i + tile - 1 against one block of keys. */
  void row_tile(int64_t start, int64_t count, int64_t i, int64_t tile, Range range) {
    const AttentionKernel multiply = attention_kernel(tile);
    const int64_t first = maximum(0, range.first - start) / TILE_COLUMNS * TILE_COLUMNS;
    const int64_t end = minimum(count, range.last - start + 1);
    for (int64_t j = first; j < end; j += TILE_COLUMNS) multiply({s.D, packed_q + i * depth, packed_k + j * s.D, scores + j, KEY_BLOCK});
    const int64_t from = first / PIECE * PIECE;
    const int64_t padded = minimum(round_up(end, maximum(PIECE, LANES)), KEY_BLOCK);
    RowState block[ATTENTION_ROWS];
    for (int64_t r = 0; r < tile; r++) {
      const Range mine = range_at(i + r);
      block[r] = weigh_row(cap, scores + r * KEY_BLOCK, {mine.first - start, minimum(mine.last - start, count - 1)}, from, padded,
                           k.key_scales ? key_scales : nullptr, k.key_scales ? value_scales : nullptr, weights + r * PIECE, tile * PIECE);
    }
    for (int64_t d = 0; d < width; d += TILE_COLUMNS) multiply({end - from, weights + from * tile, packed_v + d * count + from * TILE_COLUMNS, block_mix + d, width});
    for (int64_t r = 0; r < tile; r++) join_block(state[i + r], mix + (i + r) * width, block[r], block_mix + r * width, width);
  }
};

} // namespace frugal::FRUGAL_ISA
