#pragma once
// Scales of ggml's super-blocks of 256 values, found as packages/tensor-core/src/formats/ggml/super-block-fit.ts finds them,
// to the bit: the same sums in f64, in the same order. Sub-blocks lie in the lanes of a vector, so that no sum is split.
#include "wide-doubles.hpp"

namespace frugal::FRUGAL_ISA {

constexpr int SUPER = 256;
/** How often units are fitted anew to the codes. */
constexpr int ROUNDS = 3;

/** A super-block in sub-blocks of W columns: column i of sub-block g · WIDE + lane, and its weight. */
template <int W>
struct SubBlocks {
  static constexpr int COUNT = SUPER / W, GROUPS = COUNT / WIDE;
  D value[GROUPS][W], weight[GROUPS][W], product[GROUPS][W];
  const float* values;
  const float* weights;

  SubBlocks(const float* values, const float* weights) : values(values), weights(weights) {
    for (int g = 0; g < GROUPS; g++)
      for (int i = 0; i < W; i++)
        for (int lane = 0; lane < WIDE; lane++) {
          const int c = (g * WIDE + lane) * W + i;
          value[g][i][lane] = static_cast<double>(values[c]);
          weight[g][i][lane] = static_cast<double>(weights[c]);
          product[g][i][lane] = static_cast<double>(weights[c]) * static_cast<double>(values[c]);
        }
  }
};

struct Affine {
  D scale, min;
};

template <int W>
FRUGAL_INLINE void keep_codes(const D& code, int g, int i, double offset, uint8_t* codes) {
  for (int lane = 0; lane < WIDE; lane++) {
    const double number = code[lane] + offset;
    codes[(g * WIDE + lane) * W + i] = number == number ? static_cast<uint8_t>(number) : 0;
  }
}

template <int W>
FRUGAL_INLINE D affine_error(const SubBlocks<W>& b, int g, D largest, const Affine& fit, uint8_t* codes = nullptr) {
  const D zero{}, inverse = fit.scale == 0 ? zero : 1.0 / fit.scale;
  D error{};
  for (int i = 0; i < W; i++) {
    const D value = b.value[g][i], code = clamp(round_up_ties((value + fit.min) * inverse), zero, largest);
    const D off = value - fit.scale * code + fit.min;
    error += b.weight[g][i] * (off * off);
    if (codes) keep_codes<W>(code, g, i, 0, codes);
  }
  return error;
}

/** Σ weight and Σ weight · value, which no guess changes. */
struct Sums {
  D weight, value;
};

template <int W>
FRUGAL_INLINE Affine improve_affine(const SubBlocks<W>& b, int g, D largest, const Sums& sums, D low, D inverse) {
  const D zero{};
  D sum_code{}, sum_square{}, sum_product{};
  for (int i = 0; i < W; i++) {
    const D code = clamp(round_up_ties((b.value[g][i] - low) * inverse), zero, largest), weighted = b.weight[g][i] * code;
    sum_code += weighted;
    sum_square += weighted * code;
    sum_product += code * b.product[g][i];
  }
  const D determinant = sums.weight * sum_square - sum_code * sum_code;
  const D scale = (sums.weight * sum_product - sum_code * sums.value) / determinant;
  const D min = -(sum_square * sums.value - sum_code * sum_product) / determinant;
  const D alone = sum_product / sum_square, mean = -sums.value / sums.weight;
  const auto is_flat = determinant <= 0, is_good = (min >= 0) & (scale >= 0);
  return {is_flat ? zero : is_good ? scale : (sum_square > 0) & (alone > 0) ? alone : zero,
    is_flat ? (mean > 0 ? mean : zero) : is_good ? min : zero};
}

template <int W>
static Affine best_affine(const SubBlocks<W>& b, int g, double largest_code) {
  const D zero{}, largest = set_wide(largest_code);
  D low{}, high = b.value[g][0];
  Sums sums{};
  for (int i = 0; i < W; i++) {
    const D value = b.value[g][i];
    low = value < low ? value : low;
    high = value > high ? value : high;
    sums.weight += b.weight[g][i];
    sums.value += b.product[g][i];
  }
  // Math.min(0, -0) is -0, so that the minimum of a block without negative numbers is 0 where it has one and -0 elsewhere.
  for (int i = 0; i < W; i++)
    for (int lane = 0; lane < WIDE; lane++)
      if (low[lane] == 0 && b.value[g][i][lane] == 0 && __builtin_signbit(b.value[g][i][lane])) low[lane] = -0.0;
  const auto is_range = high > low;
  Affine best{(high - low) / largest, -low};
  D least = affine_error(b, g, largest, best);
  const auto consider = [&](D lowest, D inverse, const auto& counts) __attribute__((always_inline)) {
    const Affine candidate = improve_affine(b, g, largest, sums, lowest, inverse);
    const D error = affine_error(b, g, largest, candidate);
    const auto is_better = (error < least) & counts;
    least = is_better ? error : least;
    best.scale = is_better ? candidate.scale : best.scale;
    best.min = is_better ? candidate.min : best.min;
    return candidate;
  };
  for (int step = -10; step <= 20; step++) {
    const D reach = set_wide(largest_code + step * 0.1);
    const Affine first = consider(low, reach / (high - low), is_range);
    consider(-first.min, 1.0 / first.scale, first.scale > 0);
    // Without an offset: right where one value is far from all others.
    consider(zero, reach / high, is_range);
  }
  return {is_range ? best.scale : zero, is_range ? best.min : -low};
}

struct AffineSuper {
  double d, d_min, scales[16], mins[16], error;
};

/** The best whole-number scales and minima near the wished ones, for given units. */
template <int W>
static AffineSuper whole_affine(const SubBlocks<W>& b, double largest_code, double largest_scale, const Affine* wishes, double d, double d_min, uint8_t* codes) {
  AffineSuper fit{d, d_min, {}, {}, 0};
  const D zero{}, largest = set_wide(largest_code), top = set_wide(largest_scale);
  const D unit = set_wide(d), unit_min = set_wide(d_min);
  for (int g = 0; g < b.GROUPS; g++) {
    D least = set_wide(__builtin_inf()), scale{}, min{};
    const D near_scale = round_up_ties(d == 0 ? zero : wishes[g].scale / unit), near_min = round_up_ties(d_min == 0 ? zero : wishes[g].min / unit_min);
    for (double step = -1; step <= 1; step++)
      for (double step_min = -1; step_min <= 1; step_min++) {
        const D s = clamp(near_scale + step, zero, top), m = clamp(near_min + step_min, zero, top);
        const D error = affine_error(b, g, largest, {unit * s, unit_min * m});
        const auto is_better = error < least;
        least = is_better ? error : least;
        scale = is_better ? s : scale;
        min = is_better ? m : min;
      }
    const D error = affine_error(b, g, largest, {unit * scale, unit_min * min}, codes);
    for (int lane = 0; lane < WIDE; lane++) {
      fit.scales[g * WIDE + lane] = scale[lane];
      fit.mins[g * WIDE + lane] = min[lane];
      fit.error += error[lane];
    }
  }
  return fit;
}

/** Units by least squares for the codes and whole numbers of a fit. */
template <int W>
static void improve_units(const SubBlocks<W>& b, const AffineSuper& fit, const uint8_t* codes, double& d, double& d_min) {
  double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
  for (int i = 0; i < SUPER; i++) {
    const double a = fit.scales[i / W] * codes[i], m = -fit.mins[i / W], weight = static_cast<double>(b.weights[i]), value = static_cast<double>(b.values[i]);
    const double wa = weight * a, wm = weight * m;
    aa += wa * a;
    ab += wa * m;
    bb += wm * m;
    ax += wa * value;
    bx += wm * value;
  }
  const double determinant = aa * bb - ab * ab;
  if (determinant <= 1e-9 * aa * bb) {
    d = aa > 0 ? to_half(max_of(0, ax / aa)) : 0;
    d_min = 0;
    return;
  }
  d = to_half(max_of(0, (ax * bb - bx * ab) / determinant));
  d_min = to_half(max_of(0, (bx * aa - ax * ab) / determinant));
}

/** Scales and minima of a super-block as whole numbers times d and d_min; fills `codes`. */
template <int W>
static AffineSuper fit_affine(const float* values, const float* weights, double largest_code, double largest_scale, uint8_t* codes) {
  const SubBlocks<W> b(values, weights);
  Affine wishes[SubBlocks<W>::GROUPS];
  double scale = -__builtin_inf(), min = -__builtin_inf();
  for (int g = 0; g < b.GROUPS; g++) {
    wishes[g] = best_affine(b, g, largest_code);
    for (int lane = 0; lane < WIDE; lane++) {
      scale = max_of(scale, wishes[g].scale[lane]);
      min = max_of(min, wishes[g].min[lane]);
    }
  }
  double d = to_half(scale / largest_scale), d_min = to_half(min / largest_scale);
  AffineSuper best{};
  uint8_t trial[SUPER];
  for (int round = 0; round < ROUNDS; round++) {
    const AffineSuper fit = whole_affine(b, largest_code, largest_scale, wishes, d, d_min, trial);
    if (round > 0 && fit.error >= best.error) break;
    best = fit;
    __builtin_memcpy(codes, trial, SUPER);
    improve_units(b, fit, trial, d, d_min);
  }
  return best;
}

/** Codes stand for -half … half - 1. */
struct SymmetricShape {
  double half, lowest_scale, highest_scale;
};

template <int W>
FRUGAL_INLINE D symmetric_error(const SubBlocks<W>& b, int g, double half, D scale, uint8_t* codes = nullptr) {
  const D zero{}, inverse = scale == 0 ? zero : 1.0 / scale, bottom = set_wide(-half), top = set_wide(half - 1);
  D error{};
  for (int i = 0; i < W; i++) {
    const D value = b.value[g][i], level = clamp(round_up_ties(value * inverse), bottom, top), off = value - scale * level;
    error += b.weight[g][i] * (off * off);
    if (codes) keep_codes<W>(level, g, i, half, codes);
  }
  return error;
}

template <int W>
static D best_symmetric(const SubBlocks<W>& b, int g, double half) {
  const D zero{}, bottom = set_wide(-half), top = set_wide(half - 1);
  D extreme{}, best{}, least = set_wide(__builtin_inf());
  for (int i = 0; i < W; i++) {
    const D value = b.value[g][i], size = value < 0 ? -value : value, known = extreme < 0 ? -extreme : extreme;
    extreme = size > known ? value : extreme;
  }
  for (int step = -9; step <= 9; step++) {
    const D inverse = -(half + 0.1 * step) / extreme;
    D dot{}, squares{};
    for (int i = 0; i < W; i++) {
      const D level = clamp(round_up_ties(b.value[g][i] * inverse), bottom, top);
      dot += b.product[g][i] * level;
      squares += b.weight[g][i] * level * level;
    }
    const D scale = squares > 0 ? dot / squares : zero, error = symmetric_error(b, g, half, scale);
    const auto is_better = error < least;
    least = is_better ? error : least;
    best = is_better ? scale : best;
  }
  return extreme == 0 ? zero : best;
}

struct SymmetricSuper {
  double d, scales[16], error;
};

/** The best whole-number scales near the wished ones, for a given unit. */
template <int W>
static SymmetricSuper whole_symmetric(const SubBlocks<W>& b, const SymmetricShape& shape, const D* wishes, double d, uint8_t* codes) {
  SymmetricSuper fit{d, {}, 0};
  const D zero{}, unit = set_wide(d), bottom = set_wide(shape.lowest_scale), top = set_wide(shape.highest_scale);
  for (int g = 0; g < b.GROUPS; g++) {
    const D nearest = round_up_ties(d == 0 ? zero : wishes[g] / unit);
    D least = set_wide(__builtin_inf()), scale{};
    constexpr double STEPS[] = {0, -1, 1, -2, 2};
    for (const double step : STEPS) {
      const D candidate = clamp(nearest + step, bottom, top), error = symmetric_error(b, g, shape.half, unit * candidate);
      const auto is_better = error < least;
      least = is_better ? error : least;
      scale = is_better ? candidate : scale;
    }
    const D error = symmetric_error(b, g, shape.half, unit * scale, codes);
    for (int lane = 0; lane < WIDE; lane++) {
      fit.scales[g * WIDE + lane] = scale[lane];
      fit.error += error[lane];
    }
  }
  return fit;
}

/** Scales of a super-block as whole numbers times d; fills `codes`. */
template <int W>
static SymmetricSuper fit_symmetric(const float* values, const float* weights, const SymmetricShape& shape, uint8_t* codes) {
  const SubBlocks<W> b(values, weights);
  D wishes[SubBlocks<W>::GROUPS];
  for (int g = 0; g < b.GROUPS; g++) wishes[g] = best_symmetric(b, g, shape.half);
  double extreme = wishes[0][0];
  for (int g = 0; g < b.GROUPS; g++)
    for (int lane = 0; lane < WIDE; lane++)
      if (__builtin_fabs(wishes[g][lane]) > __builtin_fabs(extreme)) extreme = wishes[g][lane];
  SymmetricSuper best = whole_symmetric(b, shape, wishes, to_half(extreme / shape.lowest_scale), codes);
  uint8_t trial[SUPER];
  for (int round = 1; round < ROUNDS; round++) {
    double dot = 0, squares = 0;
    for (int i = 0; i < SUPER; i++) {
      const double level = best.scales[i / W] * (codes[i] - shape.half), weighted = static_cast<double>(weights[i]) * level;
      dot += weighted * static_cast<double>(values[i]);
      squares += weighted * level;
    }
    const SymmetricSuper fit = whole_symmetric(b, shape, wishes, squares > 0 ? to_half(dot / squares) : 0, trial);
    if (fit.error >= best.error) break;
    best = fit;
    __builtin_memcpy(codes, trial, SUPER);
  }
  return best;
}

} // namespace frugal::FRUGAL_ISA
