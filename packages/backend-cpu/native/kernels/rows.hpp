#pragma once
// Ops over the last axis: [rows, columns], contiguous, of any floating dtype, computed in f32.
#include "../core/parallel.hpp"
#include "../simd/convert.hpp"
#include "../simd/math.hpp"

namespace frugal::FRUGAL_ISA {

struct Rows {
  int64_t rows, columns;
};

static inline Rows rows_of(const Tensor& t) {
  Rows r{1, t.rank > 0 ? t.dims[t.rank - 1] : 1};
  for (int i = 0; i + 1 < t.rank; i++) r.rows *= t.dims[i];
  return r;
}

static inline int64_t size_of(const Tensor& t) {
  int64_t size = 1;
  for (int i = 0; i < t.rank; i++) size *= t.dims[i];
  return size;
}

/** Whether two tensors are the same view of the same memory. */
static inline bool same_tensor(const Tensor& a, const Tensor& b) {
  if (a.data != b.data || a.dtype != b.dtype || a.rank != b.rank) return false;
  for (int i = 0; i < a.rank; i++)
    if (a.dims[i] != b.dims[i] || a.strides[i] != b.strides[i]) return false;
  return true;
}

template <class T>
FRUGAL_INLINE T* data_of(const Tensor& t) {
  return reinterpret_cast<T*>(t.data);
}

/** body(row) for all rows, in chunks of about 8192 elements; `cost` in nanoseconds per element. */
template <class Body>
static inline void for_each_row(const Call& call, const Rows& r, double cost, const Body& body) {
  const int64_t group = r.columns >= 8192 ? 1 : 8192 / (r.columns + 1) + 1;
  parallel(call, (r.rows + group - 1) / group, cost * static_cast<double>(group * r.columns) + 50, [&](int64_t chunk) {
    const int64_t end = (chunk + 1) * group < r.rows ? (chunk + 1) * group : r.rows;
    for (int64_t row = chunk * group; row < end; row++) body(row);
  });
}

/** step(position, lanes in use) for each vector of a row. */
template <class Step>
FRUGAL_INLINE void for_vectors(int64_t count, const Step& step) {
  for (int64_t i = 0; i < count; i += LANES) step(i, count - i < LANES ? count - i : static_cast<int64_t>(LANES));
}

/** Σ term(position, lanes): four chains of vectors, then one number; unused lanes must be 0. */
template <class Term>
FRUGAL_INLINE float sum_vectors(int64_t count, const Term& term) {
  F acc[4] = {};
  int64_t i = 0;
  for (; i + 4 * LANES <= count; i += 4 * LANES)
    for (int k = 0; k < 4; k++) acc[k] += term(i + k * LANES, static_cast<int64_t>(LANES));
  for (; i < count; i += LANES) acc[0] += term(i, count - i < LANES ? count - i : static_cast<int64_t>(LANES));
  return reduce_add((acc[0] + acc[1]) + (acc[2] + acc[3]));
}

/** log Σ exp(scale · x) of a row, in one pass over blocks that fit the L1 cache. */
template <class T>
static float log_sum_exp(const T* x, int64_t count, float scale) {
  constexpr int64_t BLOCK = 2048;
  const F factor = set(scale), lowest = set(-__builtin_inff());
  float top = -__builtin_inff();
  double sum = 0;
  for (int64_t start = 0; start < count; start += BLOCK) {
    const int64_t n = count - start < BLOCK ? count - start : BLOCK;
    const T* block = x + start;
    F best[2] = {lowest, lowest};
    for_vectors(n, [&](int64_t i, int64_t lanes) {
      const F v = load_f_first(block + i, lanes) * factor;
      F& slot = best[i / LANES & 1];
      slot = max(slot, lanes < LANES ? select(first_lanes(lanes), v, lowest) : v);
    });
    const float block_top = reduce_max(max(best[0], best[1]));
    const float next = block_top > top ? block_top : top;
    if (next == -__builtin_inff()) continue;
    if (next == __builtin_inff()) return next;
    if (next > top) sum *= __builtin_exp(static_cast<double>(top) - static_cast<double>(next));
    top = next;
    sum += static_cast<double>(sum_vectors(n, [&](int64_t i, int64_t lanes) {
      const F e = exp(fma(load_f_first(block + i, lanes), factor, set(-next)));
      return lanes < LANES ? select(first_lanes(lanes), e, F{}) : e;
    }));
  }
  return static_cast<float>(static_cast<double>(top) + __builtin_log(sum));
}

} // namespace frugal::FRUGAL_ISA
