#pragma once
// Elementary functions on vectors, each within about 2 ulp. A lane's result never depends on the other lanes.
#include "vector.hpp"

namespace frugal::FRUGAL_ISA {

/** p · 2^n for integral n from -252 to 252, right down to denormals. */
FRUGAL_INLINE F scale_by_power(F p, F n) {
#if defined(FRUGAL_AVX512)
  return (F)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  const I whole = to_int(n);
  const I half = whole >> 1;
  const F first = (F)((half + 127) << 23);
  const F second = (F)((whole - half + 127) << 23);
  return p * first * second;
#endif
}

/** e^x: n = round(x / ln 2), a polynomial of degree 7 on the rest (Cephes), times 2^n. */
FRUGAL_INLINE F exp(F x) {
  x = min(set(89.0f), max(set(-104.5f), x)); // NaN passes: it is the second operand
  const F n = round(x * set(1.44269504088896341f));
  F r = fma(n, set(-0.693359375f), x);
  r = fma(n, set(2.12194440e-4f), r);
  F p = set(1.9875691500e-4f);
  p = fma(p, r, set(1.3981999507e-3f));
  p = fma(p, r, set(8.3334519073e-3f));
  p = fma(p, r, set(4.1665795894e-2f));
  p = fma(p, r, set(1.6666665459e-1f));
  p = fma(p, r, set(5.0000001201e-1f));
  p = fma(p, r * r, r + set(1.0f));
  return scale_by_power(p, n);
}

/** Natural logarithm (Cephes); 0 gives -∞, negative values NaN. */
FRUGAL_INLINE F log(F x) {
  const F input = x;
  const I tiny = x < set(1.17549435e-38f);
  x = select(tiny, x * set(8388608.0f), x);
  // Mantissa in [√½, √2).
  const U shifted = (U)x - 0x3f3504f3u;
  const I exponent = (I)shifted >> 23;
  const F m = (F)((shifted & 0x007fffffu) + 0x3f3504f3u) - set(1.0f);
  const F e = to_float(exponent) - select(tiny, set(23.0f), set(0.0f));
  F p = set(7.0376836292e-2f);
  p = fma(p, m, set(-1.1514610310e-1f));
  p = fma(p, m, set(1.1676998740e-1f));
  p = fma(p, m, set(-1.2420140846e-1f));
  p = fma(p, m, set(1.4249322787e-1f));
  p = fma(p, m, set(-1.6668057665e-1f));
  p = fma(p, m, set(2.0000714765e-1f));
  p = fma(p, m, set(-2.4999993993e-1f));
  p = fma(p, m, set(3.3333331174e-1f));
  const F square = m * m;
  F y = p * m * square;
  y = fma(e, set(-2.12194440e-4f), y);
  y = fma(square, set(-0.5f), y);
  F result = fma(e, set(0.693359375f), m + y);
  result = select(input == set(__builtin_inff()), input, result);
  result = select(input == set(0.0f), set(-__builtin_inff()), result);
  result = select(input < set(0.0f), set(__builtin_nanf("")), result);
  return select(input != input, input, result);
}

FRUGAL_INLINE F sigmoid(F x) { return set(1.0f) / (set(1.0f) + exp(-x)); }

/** Cephes: an odd polynomial near 0, else by e^2|x|. */
FRUGAL_INLINE F tanh(F x) {
  const F z = x * x;
  F p = set(-5.70498872745e-3f);
  p = fma(p, z, set(2.06390887954e-2f));
  p = fma(p, z, set(-5.37397155531e-2f));
  p = fma(p, z, set(1.33314422036e-1f));
  p = fma(p, z, set(-3.33332819422e-1f));
  const F small = fma(p * z, x, x);
  const F magnitude = abs(x);
  const F large = set(1.0f) - set(2.0f) / (exp(magnitude + magnitude) + set(1.0f));
  const F sign = (F)((I)x & set_int(INT32_MIN));
  return select(magnitude < set(0.625f), small, (F)((I)large | (I)sign));
}

/** Own fit: x·P(x²) below 1, else 1 - e^-Q(x). */
FRUGAL_INLINE F erf(F x) {
  const F z = x * x;
  F p = set(-9.6735906209e-06f);
  p = fma(p, z, set(1.1268253823e-04f));
  p = fma(p, z, set(-8.4843965398e-04f));
  p = fma(p, z, set(5.2210534117e-03f));
  p = fma(p, z, set(-2.6865438310e-02f));
  p = fma(p, z, set(1.1283782622e-01f));
  p = fma(p, z, set(-3.7612638476e-01f));
  p = fma(p, z, set(1.1283791671e+00f));
  const F magnitude = min(set(4.0f), abs(x));
  F q = set(-1.6140616080e-06f);
  q = fma(q, magnitude, set(4.5590622540e-05f));
  q = fma(q, magnitude, set(-5.9276953860e-04f));
  q = fma(q, magnitude, set(4.7402223452e-03f));
  q = fma(q, magnitude, set(-2.6364717373e-02f));
  q = fma(q, magnitude, set(1.0997824514e-01f));
  q = fma(q, magnitude, set(6.3193709365e-01f));
  q = fma(q, magnitude, set(1.1301666755e+00f));
  q = fma(q, magnitude, set(-3.0321297208e-04f));
  const F large = set(1.0f) - exp(-q);
  const F sign = (F)((I)x & set_int(INT32_MIN));
  return select(magnitude < set(1.0f), p * x, (F)((I)large | (I)sign));
}

/** A scalar function of the C library, lane by lane: for what is not worth a polynomial. */
template <class Function>
FRUGAL_INLINE F per_lane(F x, Function f) {
  float lane[LANES];
  store(lane, x);
  for (int i = 0; i < LANES; i++) lane[i] = f(lane[i]);
  return load(lane);
}

FRUGAL_INLINE F sin(F x) {
  return per_lane(x, [](float v) { return __builtin_sinf(v); });
}
FRUGAL_INLINE F cos(F x) {
  return per_lane(x, [](float v) { return __builtin_cosf(v); });
}

// GELU and SiLU, and their derivatives.
constexpr float SQRT_2_OVER_PI = 0.79788456080286536f;

FRUGAL_INLINE F silu(F x) { return x * sigmoid(x); }
FRUGAL_INLINE F silu_derivative(F x) {
  const F s = sigmoid(x);
  return s * fma(x, set(1.0f) - s, set(1.0f));
}
FRUGAL_INLINE F gelu(F x) { return x * set(0.5f) * (erf(x * set(0.70710678118654752f)) + set(1.0f)); }
FRUGAL_INLINE F gelu_derivative(F x) {
  const F cumulative = set(0.5f) * (erf(x * set(0.70710678118654752f)) + set(1.0f));
  return fma(x, exp(x * x * set(-0.5f)) * set(0.39894228040143268f), cumulative);
}
FRUGAL_INLINE F gelu_tanh(F x) {
  const F inner = fma(x * x * x, set(0.044715f), x) * set(SQRT_2_OVER_PI);
  return x * set(0.5f) * (tanh(inner) + set(1.0f));
}
FRUGAL_INLINE F gelu_tanh_derivative(F x) {
  const F square = x * x;
  const F t = tanh(fma(square * x, set(0.044715f), x) * set(SQRT_2_OVER_PI));
  const F inner = fma(square, set(3 * 0.044715f), set(1.0f)) * set(SQRT_2_OVER_PI);
  return fma(x * set(0.5f) * (set(1.0f) - t * t), inner, (t + set(1.0f)) * set(0.5f));
}

} // namespace frugal::FRUGAL_ISA
