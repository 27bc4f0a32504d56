// silu, gelu and gated MLPs: swiglu = activation(gate) · up. Attributes: gelu [1 when approximated by tanh];
// swiglu [activation: 0 silu, 1 gelu, 2 gelu-tanh, 3 relu].
#include "activations.hpp"
#include "rows.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

constexpr int64_t BLOCK = 8192;

/** step(first element, lanes) for every vector of contiguous tensors. */
template <class Step>
void for_elements(const Call& call, double cost, const Step& step) {
  const int64_t size = size_of(call.tensors[0]);
  parallel(call, (size + BLOCK - 1) / BLOCK, cost * BLOCK, [&](int64_t chunk) {
    const int64_t first = chunk * BLOCK, count = size - first < BLOCK ? size - first : BLOCK;
    for_vectors(count, [&](int64_t i, int64_t lanes) { step(first + i, lanes); });
  });
}

template <class Activation>
void plain(const Call& call) {
  with_float_type(call.tensors[0].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    const T* x = data_of<T>(call.tensors[0]);
    T* y = data_of<T>(call.tensors[1]);
    for_elements(call, 1.0, [&](int64_t i, int64_t lanes) {
      store_f_first(y + i, Activation::value(load_f_first(x + i, lanes)), lanes);
    });
  });
}

void gelu_op(const Call& call) {
  if (call.attributes[0] != 0) plain<GeluTanh>(call);
  else plain<Gelu>(call);
}

template <class Activation>
void gated(const Call& call) {
  with_float_type(call.tensors[0].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    const T *gate = data_of<T>(call.tensors[0]), *up = data_of<T>(call.tensors[1]);
    T* y = data_of<T>(call.tensors[2]);
    for_elements(call, 1.0, [&](int64_t i, int64_t lanes) {
      store_f_first(y + i, Activation::value(load_f_first(gate + i, lanes)) * load_f_first(up + i, lanes), lanes);
    });
  });
}

/** (gradient, gate, up) → (g · up · activation'(gate), g · activation(gate)) */
template <class Activation>
void gated_backward(const Call& call) {
  with_float_type(call.tensors[1].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    const T *gradient = data_of<T>(call.tensors[0]), *gate = data_of<T>(call.tensors[1]), *up = data_of<T>(call.tensors[2]);
    T *gate_gradient = data_of<T>(call.tensors[3]), *up_gradient = data_of<T>(call.tensors[4]);
    for_elements(call, 1.3, [&](int64_t i, int64_t lanes) {
      const F g = load_f_first(gradient + i, lanes);
      F value, derivative;
      Activation::both(load_f_first(gate + i, lanes), value, derivative);
      store_f_first(gate_gradient + i, g * load_f_first(up + i, lanes) * derivative, lanes);
      store_f_first(up_gradient + i, g * value, lanes);
    });
  });
}

void swiglu(const Call& call) {
  constexpr Kernel kernels[] = {gated<Silu>, gated<Gelu>, gated<GeluTanh>, gated<Relu>};
  kernels[static_cast<int>(call.attributes[0])](call);
}

void swiglu_backward(const Call& call) {
  constexpr Kernel kernels[] = {gated_backward<Silu>, gated_backward<Gelu>, gated_backward<GeluTanh>, gated_backward<Relu>};
  kernels[static_cast<int>(call.attributes[0])](call);
}

constexpr KernelEntry entries[] = {
    {"silu", plain<Silu>}, {"gelu", gelu_op}, {"swiglu", swiglu}, {"swigluBackward", swiglu_backward}};

} // namespace

extern const KernelTable activation_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
