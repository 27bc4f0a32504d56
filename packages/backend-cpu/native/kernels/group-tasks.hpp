#pragma once
// Rows sorted by group (expert, adapter), cut into tasks.
#include "gemm.hpp"

namespace frugal::FRUGAL_ISA {

/** Rows of one group that one task multiplies: enough that packing the weight again does not matter. */
constexpr int64_t ROWS_PER_TASK = 512;

/** How groups are cut into tasks: by their sizes alone. */
struct GroupTasks {
  const int32_t* offsets;
  int64_t groups;

  int64_t rows(int64_t group) const { return larger(0, offsets[group + 1] - offsets[group]); }
  int64_t rows_of_task(int64_t group, int64_t first) const { return smaller(ROWS_PER_TASK, rows(group) - first); }
  int64_t count() const {
    int64_t all = 0;
    for (int64_t e = 0; e < groups; e++) all += ceil_div(rows(e), ROWS_PER_TASK);
    return all;
  }
  /** The group and first row within it of task number `task`. */
  void find(int64_t task, int64_t& group, int64_t& first) const {
    for (group = 0;; group++) {
      const int64_t here = ceil_div(rows(group), ROWS_PER_TASK);
      if (task < here) break;
      task -= here;
    }
    first = task * ROWS_PER_TASK;
  }
};

/** Zeros; an empty tensor may have no address. */
static inline void clear(char* to, int64_t bytes) {
  if (bytes > 0) __builtin_memset(to, 0, static_cast<size_t>(bytes));
}

} // namespace frugal::FRUGAL_ISA
