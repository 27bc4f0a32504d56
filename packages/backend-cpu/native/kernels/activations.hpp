#pragma once
// Activations as types, for kernels that are compiled once per activation, and by number.
#include "../simd/math.hpp"

namespace frugal::FRUGAL_ISA {

struct Silu {
  static F value(F x) { return silu(x); }
  static void both(F x, F& value, F& derivative) {
    const F s = sigmoid(x);
    value = x * s;
    derivative = s * fma(x, set(1.0f) - s, set(1.0f));
  }
};
struct Gelu {
  static F value(F x) { return gelu(x); }
  static void both(F x, F& value, F& derivative) {
    value = gelu(x);
    derivative = gelu_derivative(x);
  }
};
struct GeluTanh {
  static F value(F x) { return gelu_tanh(x); }
  static void both(F x, F& value, F& derivative) {
    value = gelu_tanh(x);
    derivative = gelu_tanh_derivative(x);
  }
};
struct Relu {
  static F value(F x) { return max(F{}, x); }
  static void both(F x, F& value, F& derivative) {
    value = max(F{}, x);
    derivative = select(x > F{}, set(1.0f), F{});
  }
};

/** In the order of `activations` in src/attributes.ts. */
enum class Activation : int { silu, gelu, gelu_tanh, relu, none = -1 };

FRUGAL_INLINE F activate(Activation activation, F x) {
  switch (activation) {
    case Activation::silu: return Silu::value(x);
    case Activation::gelu: return Gelu::value(x);
    case Activation::gelu_tanh: return GeluTanh::value(x);
    case Activation::relu: return Relu::value(x);
    case Activation::none: break;
  }
  return x;
}

} // namespace frugal::FRUGAL_ISA
