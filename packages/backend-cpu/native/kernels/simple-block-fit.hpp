#pragma once
// Scales of blocks of 32 values, found as packages/tensor-core/src/formats/ggml/simple-block-fit.ts finds them, to the bit: the same
// sums in f64, in the same order. Each lane of a vector is a block of its own, so that no sum is split.
#include "block-loop.hpp"

namespace frugal::FRUGAL_ISA {

constexpr int SIMPLE = 32;

/** A block as it will be stored: numbers that become f16, and codes. */
struct SimpleFit {
  double scale, low;
  uint8_t codes[SIMPLE];
};

/** The first value of the largest magnitude, with its sign. */
static inline double extreme_of(const float* values) {
  float best = values[0];
  for (int i = 1; i < SIMPLE; i++)
    if (__builtin_fabsf(values[i]) > __builtin_fabsf(best)) best = values[i];
  return static_cast<double>(best);
}

/** Column i of block `lane`, and its weight; lanes without a block have the last one. */
struct SimpleBlocks {
  D value[SIMPLE], weight[SIMPLE];
  D extreme, low, high;
  int count;

  SimpleBlocks(const Block* blocks, int count, bool is_weighted) : count(count) {
    for (int lane = 0; lane < WIDE; lane++) {
      const Block& block = blocks[lane < count ? lane : count - 1];
      extreme[lane] = extreme_of(block.values);
      double least = static_cast<double>(block.values[0]), most = least;
      for (int i = 0; i < SIMPLE; i++) {
        const double x = static_cast<double>(block.values[i]);
        value[i][lane] = x;
        weight[i][lane] = is_weighted ? static_cast<double>(block.weights[i]) : 1;
        least = min_of(least, x), most = max_of(most, x);
      }
      low[lane] = least, high[lane] = most;
    }
  }
};

FRUGAL_INLINE D halves(D x) {
  for (int lane = 0; lane < WIDE; lane++) x[lane] = to_half(x[lane]);
  return x;
}

FRUGAL_INLINE void keep_code(const D& code, int i, SimpleFit* fits) {
  for (int lane = 0; lane < WIDE; lane++) fits[lane].codes[i] = code[lane] == code[lane] ? static_cast<uint8_t>(code[lane]) : 0;
}

/** Shares of the range that first guesses of a scale cover. */
constexpr double COVERED[] = {1.12 - 0.02 * 0, 1.12 - 0.02 * 1, 1.12 - 0.02 * 2, 1.12 - 0.02 * 3, 1.12 - 0.02 * 4, 1.12 - 0.02 * 5, 1.12 - 0.02 * 6,
  1.12 - 0.02 * 7, 1.12 - 0.02 * 8, 1.12 - 0.02 * 9, 1.12 - 0.02 * 10, 1.12 - 0.02 * 11, 1.12 - 0.02 * 12, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2};

/** Whole numbers from -half to half - 1; the code of a level is its distance from the lowest. */
struct SymmetricLevels {
  double half;

  D nearest(D scaled) const { return clamp(round_up_ties(scaled), set_wide(-half), set_wide(half - 1)); }
  D code(D scaled) const { return nearest(scaled) + half; }
  /** The extreme value may get the lowest code or, one step less, the highest. */
  template <class Try>
  void guesses(D extreme, const Try& consider) const {
    for (const double share : COVERED) {
      consider(share * extreme / -half);
      consider(share * extreme / (half - 1));
    }
  }
};

/** ggml's kvalues_iq4nl. */
constexpr double IQ4_VALUES[] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

struct Iq4Levels {
  bool is_weighted;

  template <bool WANTS_CODE>
  static D find(D scaled) {
    D best = set_wide(WANTS_CODE ? 0 : IQ4_VALUES[0]), least = IQ4_VALUES[0] - scaled;
    least = least < 0 ? -least : least;
    for (int i = 1; i < 16; i++) {
      const D off = IQ4_VALUES[i] - scaled, distance = off < 0 ? -off : off;
      const auto is_nearer = distance < least;
      least = is_nearer ? distance : least;
      best = is_nearer ? set_wide(WANTS_CODE ? i : IQ4_VALUES[i]) : best;
    }
    return best;
  }
  D nearest(D scaled) const { return find<false>(scaled); }
  D code(D scaled) const { return find<true>(scaled); }
  template <class Try>
  void guesses(D extreme, const Try& consider) const {
    for (int i = 0; i < 15; i++) consider(extreme / (IQ4_VALUES[0] + i - 7));
    if (!is_weighted) return;
    // Columns that hardly count may lie outside the range.
    for (const double share : COVERED) consider(share * extreme / IQ4_VALUES[15]);
  }
};

/** The best f16 scale d for value ≈ d · level, and codes. */
template <class Levels>
static void fit_scale(const SimpleBlocks& b, const Levels& levels, SimpleFit* fits) {
  const D zero{};
  D best{}, least = set_wide(__builtin_inf());
  /** Judges one scale; returns the one that suits its levels better. */
  const auto judge = [&](D wished) __attribute__((always_inline)) {
    const D d = halves(wished);
    const auto is_zero = d == 0;
    D error{}, dot{}, squares{};
    for (int i = 0; i < SIMPLE; i++) {
      const D nearest = levels.nearest(is_zero ? zero : b.value[i] / d), weighted = b.weight[i] * nearest, off = b.value[i] - d * nearest;
      error += b.weight[i] * (off * off);
      dot += weighted * b.value[i];
      squares += weighted * nearest;
    }
    const auto is_better = error < least;
    least = is_better ? error : least;
    best = is_better ? d : best;
    return squares == 0 ? zero : dot / squares;
  };
  levels.guesses(b.extreme, [&](D guess) { judge(judge(guess)); });
  for (int lane = 0; lane < WIDE; lane++) fits[lane].scale = best[lane];
  for (int i = 0; i < SIMPLE; i++) keep_code(levels.code(best == 0 ? zero : b.value[i] / best), i, fits);
}

/** What is left of the distance from 0 to either end of a block in first guesses. */
constexpr double SHARES[] = {1, 0.85, 0.7, 0.5, 0.3};

/** The best f16 numbers for value ≈ scale · code + low with codes 0 … largest. */
static inline void fit_signed_affine(const SimpleBlocks& b, double largest_code, SimpleFit* fits) {
  struct Guess {
    D scale, low;
  };
  const D zero{}, largest = set_wide(largest_code), middle = (b.low + b.high) / 2.0;
  Guess best{zero, halves(b.low)};
  D least = set_wide(__builtin_inf());
  const auto code_at = [&](int i, D low, D inverse) __attribute__((always_inline)) { return clamp(round_up_ties((b.value[i] - low) * inverse), zero, largest); };
  /** Judges a fit, rounded to f16; returns the least-squares fit of its codes. */
  const auto judge = [&](const Guess& wished) {
    const D scale = halves(wished.scale), low = halves(wished.low), inverse = scale == 0 ? zero : 1.0 / scale;
    D error{}, sum{}, sum_code{}, sum_square{}, sum_value{}, sum_product{};
    for (int i = 0; i < SIMPLE; i++) {
      const D weight = b.weight[i], value = b.value[i], code = code_at(i, low, inverse), weighted = weight * code, off = value - scale * code - low;
      error += weight * (off * off);
      sum += weight;
      sum_code += weighted;
      sum_square += weighted * code;
      sum_value += weight * value;
      sum_product += weighted * value;
    }
    const auto is_better = error < least;
    least = is_better ? error : least;
    best.scale = is_better ? scale : best.scale;
    best.low = is_better ? low : best.low;
    const D determinant = sum * sum_square - sum_code * sum_code;
    const auto is_flat = determinant <= 1e-12 * sum * sum_square;
    const D slope = (sum * sum_product - sum_code * sum_value) / determinant;
    return Guess{is_flat ? zero : slope <= 0 ? zero : slope, is_flat ? sum_value / sum : (sum_value - slope * sum_code) / sum};
  };
  const auto consider = [&](const Guess& first) { judge(judge(judge(first))); };
  for (const double below : SHARES)
    for (const double above : SHARES) {
      const D from = middle - below * (middle - b.low);
      consider({(middle + above * (b.high - middle) - from) / largest, from});
    }
  // Close to the full range small steps count: the more codes, the more.
  for (int step = -9; step <= 36; step++) consider({(b.high - b.low) / (largest_code + 0.1 * step), b.low});
  const D inverse = best.scale == 0 ? zero : 1.0 / best.scale;
  for (int lane = 0; lane < WIDE; lane++) fits[lane].scale = best.scale[lane], fits[lane].low = best.low[lane];
  for (int i = 0; i < SIMPLE; i++) keep_code(code_at(i, best.low, inverse), i, fits);
}

} // namespace frugal::FRUGAL_ISA
