#pragma once
// What a kernel sees of one call. Plain data only: this header is compiled at every ISA level, and inline code shared
// between levels could be merged by the linker into the version of a level that the machine does not have.
#include <stdint.h>

namespace frugal {

enum class DType : int32_t { f32, bf16, f16, i8, u8, i32, boolean };

constexpr int MAX_RANK = 12;
constexpr int MAX_TENSORS = 512; // optimizers take all parameters at once

/** Strides count elements; `data` points at the first element, the tensor's offset included. */
struct Tensor {
  char* data;
  DType dtype;
  int32_t rank;
  int64_t dims[MAX_RANK];
  int64_t strides[MAX_RANK];
};

struct Call {
  int32_t input_count;
  int32_t output_count;
  int32_t threads;
  double minimum_work; // nanoseconds of work from which on a kernel uses several threads
  const double* attributes;
  const Tensor* tensors; // inputs, then outputs
};

using Kernel = void (*)(const Call&);

/** How calls that read the same become one, so that threads share their work together. */
struct Joint {
  /** Whether `other` can run with `first`; that neither needs the result of the other is seen to by who asks. */
  bool (*fits)(const Call& first, const Call& other);
  /** At least 1 and at most MAX_JOINT calls that fit the first of them; the same bits as each alone. */
  void (*run)(const Call* const* calls, int32_t count);
};

constexpr int MAX_JOINT = 8;

struct KernelEntry {
  const char* name;
  Kernel kernel;
  const Joint* joint = nullptr;
};

/** The kernels of one family at one ISA level. */
struct KernelTable {
  const KernelEntry* entries;
  int32_t count;
};

} // namespace frugal
