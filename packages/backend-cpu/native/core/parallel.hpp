#pragma once
#include "call.hpp"
#include "pool.hpp"

namespace frugal::FRUGAL_ISA {

static inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
static inline int64_t minimum(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t maximum(int64_t a, int64_t b) { return a > b ? a : b; }

/**
 * body(chunk) for every chunk; `cost` estimates the nanoseconds of one chunk. Little work in all is not worth handing
 * to other threads.
 */
template <class Body>
static inline void parallel(const Call& call, int64_t chunks, double cost, const Body& body) {
  if (chunks <= 1 || call.threads <= 1 || cost * static_cast<double>(chunks) < call.minimum_work) {
    for (int64_t i = 0; i < chunks; i++) body(i);
    return;
  }
  run_parallel(
      call.threads, chunks, cost,
      [](void* context, int64_t chunk) { (*static_cast<const Body*>(context))(chunk); }, const_cast<Body*>(&body));
}

} // namespace frugal::FRUGAL_ISA
