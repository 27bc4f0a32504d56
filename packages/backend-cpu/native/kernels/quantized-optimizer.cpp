// adamw8bit: per group (parameter, codes [blocks, G] and scales [blocks] of the first moment, the same of the second,
// gradient[, rounded copy]), all but the gradient changed in place; then scale [], finite [] and the maps of both moments
// [256]. Attributes: [learningRate, beta1, beta2, epsilon, weightDecay, step, tensors of a group].
#include "optimizer-rule.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

constexpr int64_t LONGEST_BLOCK = 4096;
constexpr int64_t CHUNK = 8192;

/** A map from codes to ascending numbers, with a table that finds the nearest entry of a number in [-1, 1]. */
struct CodeMap {
  // Sign, exponent and the first mantissa bits of a number are its cell; magnitudes below 2^-31 share the first one.
  static constexpr int MANTISSA = 7, EXPONENTS = 32, CELLS = EXPONENTS << MANTISSA;
  static constexpr int BELOW = (127 - EXPONENTS + 1) << MANTISSA;
  const float* entries;
  float midpoints[256];
  uint8_t first_code[2 * CELLS];
  /** Midpoints in the fullest cell: so often must a code be compared. 1 for the maps that optimizers use. */
  int comparisons = 0;

  explicit CodeMap(const float* map) : entries(map) {
    for (int i = 0; i < 255; i++) midpoints[i] = (map[i] + map[i + 1]) * 0.5f;
    midpoints[255] = __builtin_inff();
    int code = 0;
    // From -1 to 1; of negative numbers the lowest of a cell is where the next cell begins.
    for (int cell = CELLS - 1; cell >= 0; cell--) code = fill(CELLS + cell, code, -edge_of(cell + 1), -edge_of(cell));
    for (int cell = 0; cell < CELLS; cell++) code = fill(cell, code, edge_of(cell), edge_of(cell + 1));
  }

  int cell_of(float x) const {
    const uint32_t bits = __builtin_bit_cast(uint32_t, x);
    const int place = static_cast<int>((bits & 0x7fffffff) >> (23 - MANTISSA)) - BELOW;
    const int cell = place < 0 ? 0 : place < CELLS ? place : CELLS - 1;
    return static_cast<int>(bits >> 31) * CELLS + cell;
  }

 private:
  static float edge_of(int cell) {
    return cell == 0 ? 0.0f : __builtin_bit_cast(float, static_cast<uint32_t>(cell + BELOW) << (23 - MANTISSA));
  }

  /** The code of the lowest number of a cell is how many midpoints are below it. */
  int fill(int place, int code, float low, float high) {
    while (midpoints[code] < low) code++;
    first_code[place] = static_cast<uint8_t>(code);
    int inside = 0;
    while (code + inside < 255 && midpoints[code + inside] <= high) inside++;
    if (inside > comparisons) comparisons = inside;
    return code;
  }
};

struct Moment {
  uint8_t* codes;
  float* scale;
  const CodeMap& map;
  /** A positive number gets at least this code. */
  int smallest_positive;
};

void unpack(const Moment& moment, float* values, int64_t length) {
  for (int64_t i = 0; i < length; i++) values[i] = moment.map.entries[moment.codes[i]] * *moment.scale;
}

/** `COMPARISONS`: those of the map when they are known, else 0. */
template <int COMPARISONS>
void store_codes(const Moment& moment, const float* units, int64_t length) {
  const CodeMap& map = moment.map;
  for (int64_t i = 0; i < length; i++) {
    int code = map.first_code[map.cell_of(units[i])];
    for (int k = 0; k < (COMPARISONS ? COMPARISONS : map.comparisons); k++) code += map.midpoints[code] < units[i];
    const int smallest = units[i] > 0.0f ? moment.smallest_positive : 0;
    moment.codes[i] = static_cast<uint8_t>(code < smallest ? smallest : code);
  }
}

/** Overwrites the values. */
void pack(const Moment& moment, float* values, int64_t length) {
  F largest{};
  for_vectors(length, [&](int64_t i, int64_t lanes) { largest = max(largest, abs(load_first(values + i, lanes))); });
  const float scale = reduce_max(largest);
  *moment.scale = scale;
  const F divisor = set(scale == 0.0f ? 1.0f : scale);
  for_vectors(length, [&](int64_t i, int64_t lanes) { store_first(values + i, load_first(values + i, lanes) / divisor, lanes); });
  if (moment.map.comparisons == 1) return store_codes<1>(moment, values, length);
  store_codes<0>(moment, values, length);
}

/** One block; `count` of its elements are there, the last block of a parameter may be longer than what is left. */
template <class Gradient, class Copy>
void update_block(float* parameter, const Gradient* gradient, Copy* copy, const Moment& first, const Moment& second,
                  const AdamWRule& r, int64_t length, int64_t count) {
  alignas(64) float ms[LONGEST_BLOCK], vs[LONGEST_BLOCK];
  unpack(first, ms, length);
  unpack(second, vs, length);
  for (int64_t i = 0; i < length; i += LANES) {
    const auto lanes_of = [&](int64_t end) { return end - i < LANES ? end - i : static_cast<int64_t>(LANES); };
    const int64_t lanes = lanes_of(length), there = i < count ? lanes_of(count) : 0;
    const F g = there > 0 ? load_f_first(gradient + i, there) * r.scale : F{};
    const F m = fma(r.b1, load_first(ms + i, lanes), r.c1 * g);
    const F v = fma(r.b2, load_first(vs + i, lanes), r.c2 * g * g);
    store_first(ms + i, m, lanes);
    store_first(vs + i, v, lanes);
    if (there <= 0) continue;
    const F next = r.apply(load_first(parameter + i, there), m, v);
    store_first(parameter + i, next, there);
    if (copy) store_f_first(copy + i, next, there);
  }
  pack(first, ms, length);
  pack(second, vs, length);
}

struct Maps {
  CodeMap first, second;
};

template <class Gradient, class Copy>
void update_blocks(const Tensor* group, const Maps& maps, const AdamWRule& rule, int64_t from, int64_t to, bool has_copy) {
  const int64_t length = group[1].dims[1], size = size_of(group[0]);
  for (int64_t block = from; block < to; block++) {
    const int64_t start = block * length;
    const auto moment = [&](int codes, const CodeMap& map, int smallest) {
      return Moment{data_of<uint8_t>(group[codes]) + start, data_of<float>(group[codes + 1]) + block, map, smallest};
    };
    update_block<Gradient, Copy>(data_of<float>(group[0]) + start, data_of<Gradient>(group[5]) + start,
                                 has_copy ? data_of<Copy>(group[6]) + start : nullptr, moment(1, maps.first, 0),
                                 moment(3, maps.second, 1), rule, length, size - start < length ? size - start : length);
  }
}

void update_group(const Call& call, const Tensor* group, bool has_copy, const Maps& maps, const AdamWRule& rule) {
  const int64_t blocks = group[1].dims[0], length = group[1].dims[1];
  const int64_t per_chunk = length < CHUNK ? CHUNK / length : 1;
  parallel(call, (blocks + per_chunk - 1) / per_chunk, CHUNK * 4.0, [&](int64_t chunk) {
    const int64_t from = chunk * per_chunk, to = from + per_chunk < blocks ? from + per_chunk : blocks;
    with_float_type(group[5].dtype, [&](auto* gradient) {
      using G = ElementOf<decltype(gradient)>;
      if (!has_copy) return update_blocks<G, float>(group, maps, rule, from, to, false);
      with_float_type(group[6].dtype, [&](auto* copy) {
        update_blocks<G, ElementOf<decltype(copy)>>(group, maps, rule, from, to, true);
      });
    });
  });
}

void adamw8bit(const Call& call) {
  const Tensor* shared = call.tensors + call.input_count - 4;
  if (*data_of<float>(shared[1]) == 0.0f) return;
  const int width = static_cast<int>(call.attributes[6]), groups = (call.input_count - 4) / width;
  const AdamWRule rule = adamw_rule(call.attributes, *data_of<float>(shared[0]));
  const Maps maps{CodeMap(data_of<float>(shared[2])), CodeMap(data_of<float>(shared[3]))};
  for (int g = 0; g < groups; g++) update_group(call, call.tensors + g * width, width == 7, maps, rule);
}

constexpr KernelEntry entries[] = {{"adamw8bit", adamw8bit}};

} // namespace

extern const KernelTable quantized_optimizer_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
