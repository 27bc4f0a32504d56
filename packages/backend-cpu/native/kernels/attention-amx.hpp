#pragma once
// Many bf16 query rows of one key head on AMX tiles, which multiply pairs of bf16 into f32. Weights are rounded to bf16 for
// the values; all else is as in attention-rows.hpp, with the same blocks of keys.
#include "amx.hpp"
#include "attention-rows.hpp"

#if defined(__AMX_BF16__)
namespace frugal::FRUGAL_ISA {

/** Rows and columns of C that are computed together: two tiles each way. */
constexpr int64_t AMX_ROWS = 32;
/** Numbers along the depth of a tile. */
constexpr int64_t AMX_DEPTH = 32;
/** bf16 numbers in a tile. */
constexpr int64_t AMX_TILE = 16 * AMX_DEPTH;

/** Panels of 16 rows (of A) or columns (of B) lie `panel` numbers apart; in each, tiles along the depth follow each other. */
struct AmxOperand {
  bf16* data;
  int64_t panel;
  AmxOperand from(int64_t row, int64_t depth) const { return {data + row / 16 * panel + depth / AMX_DEPTH * AMX_TILE, panel}; }
};

/** C [32, 32] = A · B over `chunks` tiles of depth. */
static inline void amx_product(const AmxOperand& a, const AmxOperand& b, int64_t chunks, float* c, int64_t ldc) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t k = 0; k < chunks * AMX_TILE; k += AMX_TILE) {
    _tile_loadd(4, a.data + k, 64);
    _tile_loadd(5, a.data + a.panel + k, 64);
    _tile_loadd(6, b.data + k, 64);
    _tile_loadd(7, b.data + b.panel + k, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, ldc * 4);
  _tile_stored(1, c + 16, ldc * 4);
  _tile_stored(2, c + 16 * ldc, ldc * 4);
  _tile_stored(3, c + 16 * ldc + 16, ldc * 4);
}

/** 2 · LANES numbers, those beyond the n-th 0; n may be anything. */
FRUGAL_INLINE F load_pairs(const bf16* p, int64_t n) {
  if (n >= 2 * LANES) return load_as<F>(p);
  bf16 padded[2 * LANES] = {};
  for (int64_t i = 0; i < n; i++) padded[i] = p[i];
  return load_as<F>(padded);
}

class AmxRowBlock {
 public:
  AmxRowBlock(const AttentionShape& shape, const Queries& queries, const Keys<bf16>& keys) : s(shape), q(queries), k(keys), cap(shape.soft_cap) {}

  void run() {
    rows = q.count * s.G;
    const int64_t padded = round_up(rows, AMX_ROWS);
    depth = round_up(s.D, AMX_DEPTH);
    width = round_up(s.Dv, AMX_ROWS);
    float *qs, *ks, *vs, *ws, *states;
    const int64_t sizes[] = {padded * depth / 2, KEY_BLOCK * depth / 2, KEY_BLOCK * width / 2, AMX_ROWS * KEY_BLOCK / 2,
                             padded * width, rows * 2, AMX_ROWS * KEY_BLOCK, AMX_ROWS * width};
    float** const places[] = {&qs, &ks, &vs, &ws, &mix, &states, &scores, &block_mix};
    int64_t total = 0;
    for (int64_t size : sizes) total += Arena::floats(size);
    Arena arena{static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(total) * 4))};
    for (int i = 0; i < 8; i++) *places[i] = arena.take(sizes[i]);
    state = reinterpret_cast<RowState*>(states);
    packed_q = {reinterpret_cast<bf16*>(qs), 16 * depth};
    packed_k = {reinterpret_cast<bf16*>(ks), 16 * depth};
    packed_v = {reinterpret_cast<bf16*>(vs), 16 * KEY_BLOCK};
    weights = {reinterpret_cast<bf16*>(ws), 16 * KEY_BLOCK};
    __builtin_memset(mix, 0, static_cast<size_t>(padded * width) * 4);
    __builtin_memset(ws, 0, static_cast<size_t>(AMX_ROWS * KEY_BLOCK) * 2);
    for (int64_t i = 0; i < rows; i++) state[i] = {-__builtin_inff(), 0.0f};
    for (int64_t i = 0; i < padded; i++) pack_query(i);
    configure_tiles();
    const Range whole = range_of(0, rows);
    for (int64_t start = whole.first / KEY_BLOCK * KEY_BLOCK; start <= whole.last; start += KEY_BLOCK) key_block(start, minimum(KEY_BLOCK, whole.last + 1 - start));
    _tile_release();
    for (int64_t i = 0; i < rows; i++) write_row(s, q, i, state[i], mix + i * width);
  }

 private:
  const AttentionShape& s;
  const Queries& q;
  const Keys<bf16>& k;
  const Cap cap;
  int64_t rows, depth, width;
  AmxOperand packed_q, packed_k, packed_v, weights;
  float *mix, *scores, *block_mix;
  RowState* state;

  Range range_at(int64_t i) const { return visible(s, q.position + i / s.G, k.length); }
  Range range_of(int64_t first, int64_t count) const { return {range_at(first).first, range_at(first + count - 1).last}; }

  /** Rows beyond the last are 0. */
  void pack_query(int64_t i) {
    const bf16* from = reinterpret_cast<const bf16*>(q.q) + (i < rows ? i / s.G * q.query_stride + i % s.G * q.head_stride : 0);
    for (int64_t d = 0; d < depth; d += AMX_DEPTH) store_as(packed_q.from(i, d).data + i % 16 * AMX_DEPTH, load_pairs(from + d, i < rows ? s.D - d : 0));
  }

  void pack_keys(const int64_t* row, int64_t count) {
    for (int64_t j = 0; j < round_up(count, AMX_ROWS); j += 16) {
      for (int64_t d = 0; d < depth; d += AMX_DEPTH) {
        F v[LANES];
        for (int64_t i = 0; i < 16; i++) v[i] = j + i < count ? load_pairs(k.keys + row[j + i] * k.key_stride + d, s.D - d) : F{};
        transpose(v);
        for (int64_t i = 0; i < 16; i++) store_as(packed_k.from(j, d).data + i * AMX_DEPTH, v[i]);
      }
    }
  }

  /** Two values that follow each other meet in pairs. */
  void pack_values(const int64_t* row, int64_t count) {
    for (int64_t j = 0; j < round_up(count, AMX_DEPTH); j += 2) {
      for (int64_t d = 0; d < width; d += 16) {
        const auto bits = [&](int64_t i) {
          const int64_t left = i < count ? s.Dv - d : 0;
          return left > 0 ? (U)load_f_first(k.values + row[i] * k.value_stride + d, minimum(16, left)) : U{};
        };
        store_as(packed_v.from(d, j).data + j % AMX_DEPTH * 16, bits(j) >> 16 | bits(j + 1));
      }
    }
  }

  void key_block(int64_t start, int64_t count) {
    int64_t row[KEY_BLOCK];
    k.rows(start, count, row);
    pack_keys(row, count);
    pack_values(row, count);
    for (int64_t i = 0; i < rows; i += AMX_ROWS) {
      const int64_t tile = minimum(AMX_ROWS, rows - i);
      const Range range = range_of(i, tile);
      if (range.last >= start && range.first < start + count) row_tile(start, count, i, tile, range);
    }
  }

  void row_tile(int64_t start, int64_t count, int64_t i, int64_t tile, Range range) {
    const int64_t first = maximum(0, range.first - start) / AMX_ROWS * AMX_ROWS;
    const int64_t end = round_up(minimum(count, range.last - start + 1), AMX_ROWS);
    for (int64_t j = first; j < end; j += AMX_ROWS) amx_product(packed_q.from(i, 0), packed_k.from(j, 0), depth / AMX_DEPTH, scores + j, KEY_BLOCK);
    RowState block[AMX_ROWS];
    for (int64_t r = 0; r < tile; r++) {
      const Range mine = range_at(i + r);
      block[r] = weigh(r, {mine.first - start, minimum(mine.last - start, count - 1)}, first, end);
    }
    for (int64_t d = 0; d < width; d += AMX_ROWS) amx_product(weights.from(0, first), packed_v.from(d, first), (end - first) / AMX_DEPTH, block_mix + d, width);
    for (int64_t r = 0; r < tile; r++) join_block(state[i + r], mix + (i + r) * width, block[r], block_mix + r * width, width);
  }

  /** Scores of one row, not yet scaled, to weights. */
  RowState weigh(int64_t r, Range range, int64_t from, int64_t end) {
    float* score = scores + r * KEY_BLOCK;
    const F scale = set(s.scale * LOG2_E), lowest = set(-__builtin_inff());
    F best = lowest;
    I index;
    for (int l = 0; l < LANES; l++) index[l] = l;
    for (int64_t j = from; j < end; j += LANES) {
      F x = load(score + j) * scale;
      if (cap) x = cap.tangent(x) * set(cap.size);
      if (j < range.first || j + LANES - 1 > range.last) {
        const I at = index + set_int(static_cast<int32_t>(j));
        x = select((at >= set_int(static_cast<int32_t>(range.first))) & (at <= set_int(static_cast<int32_t>(range.last))), x, lowest);
      }
      best = max(x, best);
      store(score + j, x);
    }
    const float top = reduce_max(best);
    const F shift = set(top == -__builtin_inff() ? 0.0f : top);
    F sum = {};
    for (int64_t j = from; j < end; j += LANES) {
      const F e = exp2_weight(load(score + j) - shift);
      sum += e;
      store_as(weights.from(r, j).data + r % 16 * AMX_DEPTH + j % AMX_DEPTH, narrow_weight(e));
    }
    return {top, reduce_add(sum)};
  }

  /** Weights are neither subnormal nor need their NaN kept quiet by hand. */
  static H narrow_weight(F e) { return (H)_mm512_cvtneps_pbh((__m512)e); }
};

} // namespace frugal::FRUGAL_ISA
#endif
