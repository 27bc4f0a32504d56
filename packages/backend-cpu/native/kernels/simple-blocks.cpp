// packSimpleBlocks: (f32 [blocks, 32], weights f32 [columns] or [0]) → u8 [blocks, bytes], i32 [chunks], as in block-loop.hpp. Attributes:
// kind. The bytes are those of tensor-core's ggmlFormat: with weights, each block is fitted with them and without, and the fit with
// the smaller weighted error kept. Formats and searches: tensor-core's formats/ggml/simple-blocks.ts and simple-block-fit.ts.
#include "block-loop.hpp"
#include "simple-block-fit.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Numbers as in src/pack-blocks.ts. */
enum class Kind : int { q8_0, q4_0, q5_0, q4_1, q5_1, iq4_nl };
constexpr int BYTES[] = {34, 18, 22, 20, 24, 18};

bool is_affine(Kind kind) { return kind == Kind::q4_1 || kind == Kind::q5_1; }
int bits_of(Kind kind) { return kind == Kind::q5_0 || kind == Kind::q5_1 ? 5 : 4; }

/** 1 / d in f32, 0 for 0: what ggml multiplies by. */
float inverse_of(float d) { return d == 0 ? 0 : static_cast<float>(1 / static_cast<double>(d)); }

/** The code that a Uint8Array keeps of a number. */
uint8_t code_of(double number) { return __builtin_fabs(number) < 9e15 ? static_cast<uint8_t>(static_cast<int64_t>(number)) : 0; }

/** ggml's reference quantisation, with its roundings in f32. */
SimpleFit fit_plainly(Kind kind, const float* values) {
  SimpleFit fit{};
  if (kind == Kind::q8_0) {
    const float d = static_cast<float>(__builtin_fabs(extreme_of(values)) / 127), factor = inverse_of(d);
    fit.scale = static_cast<double>(d);
    for (int i = 0; i < SIMPLE; i++) {
      const float scaled = values[i] * factor;
      const double magnitude = __builtin_floor(__builtin_fabs(static_cast<double>(scaled)) + 0.5);
      fit.codes[i] = code_of(scaled < 0 ? -magnitude : magnitude);
    }
  } else if (is_affine(kind)) {
    double low = static_cast<double>(values[0]), high = low;
    for (int i = 1; i < SIMPLE; i++) low = min_of(low, static_cast<double>(values[i])), high = max_of(high, static_cast<double>(values[i]));
    const double largest = (1 << bits_of(kind)) - 1;
    const float d = static_cast<float>(static_cast<double>(static_cast<float>(high - low)) / largest), factor = inverse_of(d);
    fit.scale = static_cast<double>(d), fit.low = low;
    for (int i = 0; i < SIMPLE; i++) {
      const double scaled = static_cast<double>((values[i] - static_cast<float>(low)) * factor + 0.5f);
      fit.codes[i] = code_of(scaled > largest ? largest : __builtin_trunc(scaled));
    }
  } else {
    const double half = 1 << (bits_of(kind) - 1);
    const float d = static_cast<float>(extreme_of(values) / -half), factor = inverse_of(d);
    fit.scale = static_cast<double>(d);
    for (int i = 0; i < SIMPLE; i++) {
      const double shifted = static_cast<double>(values[i] * factor + static_cast<float>(half + 0.5));
      fit.codes[i] = code_of(shifted > 2 * half - 1 ? 2 * half - 1 : __builtin_trunc(shifted));
    }
  }
  return fit;
}

/** Numbers as they are read back. */
float decoded(Kind kind, const SimpleFit& fit, int i) {
  const double d = to_half(fit.scale);
  switch (kind) {
    case Kind::q8_0: return static_cast<float>(d * static_cast<int8_t>(fit.codes[i]));
    case Kind::iq4_nl: return static_cast<float>(d * IQ4_VALUES[fit.codes[i]]);
    case Kind::q4_1:
    case Kind::q5_1: return static_cast<float>(static_cast<double>(static_cast<float>(d * fit.codes[i])) + to_half(fit.low));
    default: return static_cast<float>(d * (fit.codes[i] - (1 << (bits_of(kind) - 1))));
  }
}

double error_of(Kind kind, const SimpleFit& fit, const Block& block) {
  double error = 0;
  for (int i = 0; i < SIMPLE; i++) {
    const double off = static_cast<double>(block.values[i]) - static_cast<double>(decoded(kind, fit, i));
    error += static_cast<double>(block.weights[i]) * (off * off);
  }
  return error;
}

/** Columns i and i + 16 share a byte; a fifth bit of each lies in a word of 32 bits before them. */
void write(Kind kind, const SimpleFit& fit, uint8_t* block) {
  put_half(block, fit.scale);
  if (is_affine(kind)) put_half(block + 2, fit.low);
  uint8_t* at = block + (is_affine(kind) ? 4 : 2);
  if (kind == Kind::q8_0) {
    __builtin_memcpy(at, fit.codes, SIMPLE);
    return;
  }
  if (bits_of(kind) == 5) {
    for (int i = 0; i < SIMPLE; i++) at[i >> 3] |= static_cast<uint8_t>(fit.codes[i] >> 4 << (i & 7));
    at += 4;
  }
  for (int i = 0; i < 16; i++) at[i] = static_cast<uint8_t>((fit.codes[i] & 15) | fit.codes[i + 16] << 4);
}

void search(Kind kind, const SimpleBlocks& blocks, bool is_weighted, SimpleFit* fits) {
  switch (kind) {
    case Kind::q4_0: return fit_scale(blocks, SymmetricLevels{8}, fits);
    case Kind::q5_0: return fit_scale(blocks, SymmetricLevels{16}, fits);
    case Kind::q4_1: return fit_signed_affine(blocks, 15, fits);
    case Kind::q5_1: return fit_signed_affine(blocks, 31, fits);
    default: return fit_scale(blocks, Iq4Levels{is_weighted}, fits);
  }
}

/** Whether weights of columns change anything, and whether scales are searched without them too. */
bool weighs(Kind kind) { return kind != Kind::q8_0; }
bool always_searches(Kind kind) { return kind == Kind::iq4_nl; }

void pack_simple_blocks(const Call& call) {
  const Kind kind = static_cast<Kind>(static_cast<int>(call.attributes[0]));
  pack_blocks<SIMPLE, WIDE>(call, BYTES[static_cast<int>(kind)], [&](const Block* blocks, int count) {
    SimpleFit plain[WIDE], searched[WIDE];
    const bool is_weighted = blocks[0].weights && weighs(kind);
    if (always_searches(kind)) search(kind, SimpleBlocks(blocks, count, false), false, plain);
    else
      for (int b = 0; b < count; b++) plain[b] = fit_plainly(kind, blocks[b].values);
    if (is_weighted) search(kind, SimpleBlocks(blocks, count, true), true, searched);
    for (int b = 0; b < count; b++) {
      const bool is_better = is_weighted && error_of(kind, searched[b], blocks[b]) < error_of(kind, plain[b], blocks[b]);
      write(kind, is_better ? searched[b] : plain[b], blocks[b].bytes);
    }
  });
}

constexpr KernelEntry entries[] = {{"packSimpleBlocks", pack_simple_blocks}};

} // namespace

extern const KernelTable simple_blocks_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
