#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "call.hpp"
#include "joining.hpp"

namespace frugal {

/** A piece of memory that a program finds somewhere else each time it runs. */
struct Slot {
  uintptr_t start;
  size_t bytes;
};

/** How often a kernel ran inside a program, and for how long. */
struct KernelTime {
  int kernel;
  int64_t calls;
  double nanoseconds;
};

/**
 * A list of calls, recorded as they ran and run again without JavaScript between them. All workers stay awake meanwhile,
 * so that even short calls are worth sharing. Results do not depend on that: kernels split their work by shape alone.
 * Times of calls that run as one are those of the first.
 */
class Program {
 public:
  void add(int number, const KernelEntry& entry, const Call& call, int attribute_count);

  /** After the last call: which memory changes from run to run. Calls that can run as one are joined. */
  void bind(const std::vector<Slot>& slots);

  /** addresses[i] is where slot i lies now. With `measure`, times are taken. */
  void run(const double* addresses, bool measure);

  size_t slot_count() const { return slots_.size(); }
  /** Times of all measured runs so far, by kernel; forgets them. */
  std::vector<KernelTime> take_times();

 private:
  struct Step {
    int number;
    const KernelEntry* entry;
    Call call;
    std::vector<Tensor> tensors;
    std::vector<double> attributes;
    int64_t calls = 0;
    double nanoseconds = 0;
  };
  /** A tensor inside a slot, `offset` bytes from its start. */
  struct Place {
    char** data;
    size_t slot;
    ptrdiff_t offset;
  };

  void run(const Run& run) const;

  std::vector<std::unique_ptr<Step>> steps_;
  std::vector<Run> runs_;
  std::vector<Place> places_;
  std::vector<Slot> slots_;
  int threads_ = 1;
};

} // namespace frugal
