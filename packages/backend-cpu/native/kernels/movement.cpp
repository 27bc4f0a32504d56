// copy, pad, assign, and place (the parts of concat): elements move and keep their bits. Attributes: place [start of each axis], pad [value, before…].
#include "copy.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

void copy(const Call& call) { copy_tensor(call, call.tensors[1], call.tensors[0]); }

/** The part of `whole` that starts at `start` along each axis and has the shape of `part`. */
Tensor window_of(const Tensor& whole, const Tensor& part, const double* start) {
  Tensor window = whole;
  for (int axis = 0; axis < whole.rank; axis++) {
    window.dims[axis] = part.dims[axis];
    window.data += static_cast<int64_t>(start[axis]) * whole.strides[axis] * element_bytes(whole.dtype);
  }
  return window;
}

/** One input of a concatenation. Attributes: where it starts along each axis. */
void place(const Call& call) { copy_tensor(call, window_of(call.tensors[1], call.tensors[0], call.attributes), call.tensors[0]); }

void pad(const Call& call) {
  const Tensor &input = call.tensors[0], &output = call.tensors[1];
  const float tile[LANES] = {static_cast<float>(call.attributes[0])};
  char narrow[LANES * 4];
  write_tile(narrow, output.dtype, tile, 1);
  Tensor one = output;
  one.rank = 0;
  one.data = narrow;
  copy_tensor(call, output, one);
  copy_tensor(call, window_of(output, input, call.attributes + 1), input);
}

void assign(const Call& call) { copy_tensor(call, call.tensors[0], call.tensors[1]); }

constexpr KernelEntry entries[] = {{"copy", copy}, {"place", place}, {"pad", pad}, {"assign", assign}};

} // namespace

extern const KernelTable movement_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
