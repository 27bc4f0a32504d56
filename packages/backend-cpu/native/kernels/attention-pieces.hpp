#pragma once
// Cuts the queries of all sequences into pieces of work. How they are cut never shows in a result.
#include "attention-rows.hpp"

namespace frugal::FRUGAL_ISA {

/** Query rows (queries × heads that share a key head) per piece of work: packing keys must pay, and rows fit the L2 cache. */
constexpr int64_t FEWEST_ROWS = 4 * ATTENTION_ROWS;
constexpr int64_t ROW_BYTES = 1 << 19;

/** Queries of one sequence and key head; `first` counts from the sequence's first query. */
struct Piece {
  int64_t sequence, head, first, count;
};

/** Queries per piece: enough pieces for all threads, but never so small that packing keys costs too much. */
static inline int64_t queries_per_piece(const Call& call, const AttentionShape& s, int64_t queries) {
  const int64_t most = maximum(FEWEST_ROWS, ROW_BYTES / ((s.D + s.Dv) * 4) / ATTENTION_ROWS * ATTENTION_ROWS);
  const int64_t wanted = maximum(FEWEST_ROWS, minimum(most, round_up(queries * s.H / (4 * call.threads), ATTENTION_ROWS)));
  return maximum(1, wanted / s.G);
}

/** Where piece number `index` of a sequence with `queries` lies; its last pieces, which see the most keys, come first. */
static inline Piece piece_at(int64_t sequence, int64_t head, int64_t queries, int64_t size, int64_t index) {
  const int64_t last = (queries - 1) / size;
  const int64_t first = (last - index) * size;
  return {sequence, head, first, minimum(size, queries - first)};
}

/** Queries of a piece; `start` is the row of its sequence's first query, `length` the length of the sequence. */
static inline Queries queries_of(const AttentionShape& s, const Tensor& q, const Tensor& out, float* totals, const Piece& piece, int64_t start,
                                 int64_t queries, int64_t length) {
  const int64_t bytes = element_bytes(q.dtype), first = start + piece.first, row = first * s.H + piece.head * s.G;
  return {q.data + (first * q.strides[0] + piece.head * s.G * q.strides[1]) * bytes, q.dtype, q.strides[0], q.strides[1], out.data + row * s.Dv * bytes,
          totals ? totals + row : nullptr, piece.count, length - queries + piece.first};
}

/** Nanoseconds of a piece, about. */
static inline double piece_cost(const AttentionShape& s, double queries, double keys) { return keys * queries * static_cast<double>(s.G * (s.D + s.Dv)) * 0.02; }

} // namespace frugal::FRUGAL_ISA
