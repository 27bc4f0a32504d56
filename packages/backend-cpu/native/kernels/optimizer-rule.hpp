#pragma once
// How AdamW moves a parameter from its moments: Loshchilov & Hutter 2019, as torch does it.
#include "rows.hpp"

namespace frugal::FRUGAL_ISA {

struct AdamWRule {
  F scale, b1, c1, b2, c2, step_size, correction, epsilon, decay;

  F apply(F parameter, F first, F second) const {
    return fma(parameter, decay, -(step_size * first / (sqrt(second * correction) + epsilon)));
  }
};

/** `a`: [learningRate, beta1, beta2, epsilon, weightDecay, step]. */
static inline AdamWRule adamw_rule(const double* a, float scale) {
  const double rate = a[0], beta1 = a[1], beta2 = a[2], step = a[5];
  const auto narrow = [](double x) { return set(static_cast<float>(x)); };
  return {set(scale),
          narrow(beta1),
          narrow(1 - beta1),
          narrow(beta2),
          narrow(1 - beta2),
          narrow(rate / (1 - __builtin_pow(beta1, step))),
          narrow(1 / (1 - __builtin_pow(beta2, step))),
          narrow(a[3]),
          narrow(1 - rate * a[4])};
}

} // namespace frugal::FRUGAL_ISA
