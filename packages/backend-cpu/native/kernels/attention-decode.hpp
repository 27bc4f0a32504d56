#pragma once
// A few query rows of one key head (a decoded token, a draft) against blocks of its keys: bound by reading the cache, so
// keys are transposed in registers and nothing is packed. Gives the same bits as attention-rows.hpp: every score is one
// chain of multiply-adds over the head size, every mixed value one chain over the keys of a block.
#include "attention-rows.hpp"

namespace frugal::FRUGAL_ISA {

/** With more rows, packing the keys pays. */
constexpr int64_t DECODE_ROWS = 8;

/** How many keys ahead are fetched: rows of one head lie apart, which no prefetcher of the processor follows. */
constexpr int64_t AHEAD = 2 * 2 * LANES;

FRUGAL_INLINE F widen(H words, f16) { return widen_f16(words); }
FRUGAL_INLINE F widen(H words, bf16) { return widen_bf16(words); }

/** Columns of LANES keys, transposed while they are as narrow as in the cache. */
template <class S>
struct KeyTile {
  using Vector = H;
  static constexpr int COLUMNS = LANES;
  Vector v[LANES];
};
template <class S>
FRUGAL_INLINE F column(const KeyTile<S>& tile, int i) {
  return widen(tile.v[i], S{});
}
template <>
struct KeyTile<float> {
  using Vector = F;
  static constexpr int COLUMNS = LANES;
  Vector v[LANES];
};
FRUGAL_INLINE F column(const KeyTile<float>& tile, int i) { return tile.v[i]; }
/** Four columns in a dword. */
template <>
struct KeyTile<int8_t> {
  using Vector = F;
  static constexpr int COLUMNS = 4 * LANES;
  Vector v[LANES];
};
FRUGAL_INLINE F column(const KeyTile<int8_t>& tile, int i) { return to_float(((I)tile.v[i / 4] << (24 - 8 * (i % 4))) >> 24); }

template <class S>
FRUGAL_INLINE void load_tile(KeyTile<S>& tile, const S* const* keys, int64_t k, int64_t count) {
  using V = typename KeyTile<S>::Vector;
  if (count >= KeyTile<S>::COLUMNS) {
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) tile.v[i] = load_as<V>(keys[i] + k);
  } else {
    for (int i = 0; i < LANES; i++) {
      S padded[KeyTile<S>::COLUMNS] = {};
      for (int64_t j = 0; j < count; j++) padded[j] = keys[i][k + j];
      tile.v[i] = load_as<V>(padded);
    }
  }
  transpose(tile.v);
}

/** Scores of ROWS queries [depth] against GROUPS · LANES keys: several chains of sums, which wait less for each other. */
template <class S, int ROWS, int GROUPS>
void score_keys(const float* q, int64_t depth, const S* const* keys, int64_t D, float* scores) {
  constexpr int COLUMNS = KeyTile<S>::COLUMNS;
  F acc[GROUPS][ROWS] = {};
  KeyTile<S> tiles[GROUPS];
  const auto add_column = [&](int64_t k, int i) __attribute__((always_inline)) {
    F x[GROUPS];
#pragma GCC unroll 2
    for (int g = 0; g < GROUPS; g++) x[g] = column(tiles[g], i);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) {
      const F wanted = set(q[r * depth + k + i]);
#pragma GCC unroll 2
      for (int g = 0; g < GROUPS; g++) acc[g][r] = fma(wanted, x[g], acc[g][r]);
    }
  };
  for (int64_t k = 0; k < D; k += COLUMNS) {
#pragma GCC unroll 2
    for (int g = 0; g < GROUPS; g++) load_tile<S>(tiles[g], keys + g * LANES, k, D - k);
    if (D - k >= COLUMNS) {
#pragma GCC unroll 64
      for (int i = 0; i < COLUMNS; i++) add_column(k, i);
    } else {
      for (int i = 0; k + i < D; i++) add_column(k, i);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
    for (int g = 0; g < GROUPS; g++) store(scores + r * KEY_BLOCK + g * LANES, acc[g][r]);
}

/** mix [ROWS, COLUMNS vectors] = Σ weights · values over keys first…end - 1; `lanes` of the last vector exist. */
template <class S, int ROWS, int COLUMNS>
void mix_values(const float* weights, const S* values, const int64_t* row, int64_t stride, int64_t first, int64_t end, int64_t lanes, float* mix, int64_t width) {
  F acc[ROWS][COLUMNS] = {};
  for (int64_t j = first; j < end; j++) {
    const S* v = values + row[j] * stride;
    F x[COLUMNS];
#pragma GCC unroll 4
    for (int c = 0; c + 1 < COLUMNS; c++) x[c] = load_f(v + c * LANES);
    x[COLUMNS - 1] = load_f_first(v + (COLUMNS - 1) * LANES, lanes);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) {
      const F w = set(weights[r * KEY_BLOCK + j]);
#pragma GCC unroll 4
      for (int c = 0; c < COLUMNS; c++) acc[r][c] = fma(w, x[c], acc[r][c]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; r++)
    for (int c = 0; c < COLUMNS; c++) store(mix + r * width + c * LANES, acc[r][c]);
}

/** Asks for the cache lines of one stored row. */
template <class S>
static inline void fetch_row(const S* row, int64_t columns) {
  const char* at = reinterpret_cast<const char*>(row);
  for (int64_t i = 0; i < columns * static_cast<int64_t>(sizeof(S)); i += 64) __builtin_prefetch(at + i);
}

/** Up to DECODE_ROWS rows of one key head. */
template <class S>
class DecodeRows {
 public:
  int64_t rows, width;
  int64_t first_block, blocks; // that some row sees

  DecodeRows(const AttentionShape& shape, const Queries& queries, const Keys<S>& keys) : s(shape), q(queries), k(keys), cap(shape.soft_cap) {
    rows = q.count * s.G;
    width = round_up(s.Dv, LANES);
    depth = round_up(s.D, PIECE);
    const Range whole{visible(s, q.position, k.length).first, visible(s, q.position + q.count - 1, k.length).last};
    first_block = whole.first / KEY_BLOCK;
    blocks = whole.last / KEY_BLOCK - first_block + 1;
  }

  /** What one block gives: a RowState per row, then the mixes. In floats. */
  int64_t block_floats() const { return 2 * DECODE_ROWS + rows * width; }

  void run_blocks(int64_t first, int64_t count, float* to) {
    float* packed = static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(2 * rows * depth) * 4));
    float* query = packed + rows * depth; // rows one after another
    pack_queries(s, q, 0, rows, packed);
    for (int64_t r = 0; r < rows; r++)
      for (int64_t d = 0; d < depth; d += PIECE) __builtin_memcpy(query + r * depth + d, packed + d * rows + r * PIECE, PIECE * 4);
    for (int64_t b = first; b < first + count; b++) run_block((first_block + b) * KEY_BLOCK, query, to + b * block_floats());
  }

  /** Joins all blocks in ascending order and writes the output. */
  void join(const float* from) {
    float* mix = static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(width) * 4));
    for (int64_t r = 0; r < rows; r++) {
      RowState state{-__builtin_inff(), 0.0f};
      __builtin_memset(mix, 0, static_cast<size_t>(width) * 4);
      for (int64_t b = 0; b < blocks; b++) {
        const float* block = from + b * block_floats();
        join_block(state, mix, reinterpret_cast<const RowState*>(block)[r], block + 2 * DECODE_ROWS + r * width, width);
      }
      write_row(s, q, r, state, mix);
    }
  }

 private:
  const AttentionShape s;
  const Queries q;
  const Keys<S> k;
  const Cap cap;
  int64_t depth;

  void run_block(int64_t start, const float* query, float* to) {
    const int64_t first = maximum(0, visible(s, q.position, k.length).first - start);
    const int64_t end = minimum(KEY_BLOCK, visible(s, q.position + q.count - 1, k.length).last + 1 - start);
    const int64_t from = first / PIECE * PIECE;
    int64_t row[KEY_BLOCK + LANES];
    k.rows(start + from, end - from, row + from);
    const int64_t padded = minimum(KEY_BLOCK, round_up(end, maximum(PIECE, LANES)));
    for (int64_t j = end; j < padded; j++) row[j] = row[end - 1]; // hidden, but must exist
    float scores[DECODE_ROWS * KEY_BLOCK], key_scales[KEY_BLOCK], value_scales[KEY_BLOCK];
    const S* keys[2 * LANES];
    for (int64_t j = from; j < padded;) {
      const int64_t count = padded - j < 2 * LANES ? LANES : 2 * LANES;
      for (int64_t i = 0; i < count; i++) {
        keys[i] = k.keys + row[j + i] * k.key_stride;
        fetch_row(k.keys + row[minimum(j + AHEAD + i, padded - 1)] * k.key_stride, s.D);
        fetch_row(k.values + row[j + i] * k.value_stride, s.Dv);
      }
      score(query, keys, count, scores + j);
      j += count;
    }
    for (int64_t j = from; k.key_scales && j < padded; j++) {
      key_scales[j] = k.key_scales[row[j] * k.key_scale_stride];
      value_scales[j] = k.value_scales[row[j] * k.value_scale_stride];
    }
    for (int64_t r = 0; r < rows; r++) {
      const Range range = visible(s, q.position + r / s.G, k.length);
      float* mine = scores + r * KEY_BLOCK;
      reinterpret_cast<RowState*>(to)[r] = weigh_row(cap, mine, {range.first - start, minimum(range.last - start, end - 1)}, from, padded,
                                                     k.key_scales ? key_scales : nullptr, k.key_scales ? value_scales : nullptr, mine, PIECE);
    }
    mix(scores, row, from, end, to + 2 * DECODE_ROWS);
  }

  void score(const float* query, const S* const* keys, int64_t count, float* scores) {
    using Kernel = decltype(&score_keys<S, 1, 1>);
    static constexpr Kernel one[] = {score_keys<S, 1, 1>, score_keys<S, 2, 1>, score_keys<S, 3, 1>, score_keys<S, 4, 1>,
                                     score_keys<S, 5, 1>, score_keys<S, 6, 1>, score_keys<S, 7, 1>, score_keys<S, 8, 1>};
    static constexpr Kernel two[] = {score_keys<S, 1, 2>, score_keys<S, 2, 2>, score_keys<S, 3, 2>, score_keys<S, 4, 2>,
                                     score_keys<S, 5, 2>, score_keys<S, 6, 2>, score_keys<S, 7, 2>, score_keys<S, 8, 2>};
    (count > LANES ? two : one)[rows - 1](query, depth, keys, s.D, scores);
  }

  void mix(const float* weights, const int64_t* row, int64_t from, int64_t end, float* to) {
    constexpr int WIDE = 4;
    using Kernel = decltype(&mix_values<S, 1, 1>);
    static constexpr Kernel wide[] = {mix_values<S, 1, WIDE>, mix_values<S, 2, WIDE>, mix_values<S, 3, WIDE>, mix_values<S, 4, WIDE>};
    static constexpr Kernel narrow[] = {mix_values<S, 1, 1>, mix_values<S, 2, 1>, mix_values<S, 3, 1>, mix_values<S, 4, 1>};
    for (int64_t r = 0; r < rows; r += 4) {
      const int64_t n = minimum(4, rows - r);
      for (int64_t d = 0; d < s.Dv;) {
        const bool whole = s.Dv - d > (WIDE - 1) * LANES;
        const int64_t lanes = minimum(LANES, s.Dv - d - (whole ? (WIDE - 1) * LANES : 0));
        (whole ? wide : narrow)[n - 1](weights + r * KEY_BLOCK, k.values + d, row, k.value_stride, from, end, lanes, to + r * width + d, width);
        d += whole ? WIDE * LANES : LANES;
      }
    }
  }
};

} // namespace frugal::FRUGAL_ISA
