// packSuperBlocks: (f32 [blocks, 256], weights f32 [columns] or [0]) → u8 [blocks, bytes], i32 [chunks]: how many blocks hold numbers
// that are not finite, which are left as they are. Attributes: kind. The bytes are those of tensor-core's ggmlFormat: with weights, each
// block is fitted with them and without, and the fit with the smaller weighted error kept.
#include "block-fit.hpp"
#include "block-loop.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Numbers as in src/pack-blocks.ts. */
enum class Kind : int { q2_k, q3_k, q4_k, q5_k, q6_k };
constexpr int BYTES[] = {84, 110, 144, 176, 210};

/** Bit layouts as in ggml-common.h; column c lies in group c / 32 of 32 columns. */
void add_crumb(uint8_t* bytes, int c, int value) { bytes[c / 128 * 32 + c % 32] |= static_cast<uint8_t>((value & 3) << 2 * (c / 32 % 4)); }
void add_nibble(uint8_t* bytes, int c, int value) { bytes[c / 64 * 32 + c % 32] |= static_cast<uint8_t>((value & 15) << 4 * (c / 32 % 2)); }
void add_wide_nibble(uint8_t* bytes, int c, int value) { bytes[c / 128 * 64 + c % 64] |= static_cast<uint8_t>((value & 15) << (c & 64 ? 4 : 0)); }

void write_scale_and_min(uint8_t* bytes, int j, int scale, int min) {
  const auto add = [&](int at, int value) { bytes[at] |= static_cast<uint8_t>(value); };
  if (j < 4) return add(j, scale), add(j + 4, min);
  add(j + 4, (scale & 15) | (min & 15) << 4);
  add(j - 4, scale >> 4 << 6);
  add(j, min >> 4 << 6);
}

void write(Kind kind, const AffineSuper& fit, const uint8_t* codes, uint8_t* block) {
  const int at = kind == Kind::q2_k ? 80 : 0, low = kind == Kind::q5_k ? 48 : 16;
  put_half(block + at, fit.d);
  put_half(block + at + 2, fit.d_min);
  for (int j = 0; j < (kind == Kind::q2_k ? 16 : 8); j++) {
    const int scale = static_cast<int>(fit.scales[j]), min = static_cast<int>(fit.mins[j]);
    if (kind == Kind::q2_k) block[j] = static_cast<uint8_t>(scale | min << 4);
    else write_scale_and_min(block + 4, j, scale, min);
  }
  for (int c = 0; c < SUPER; c++) {
    if (kind == Kind::q2_k) add_crumb(block + 16, c, codes[c]);
    else add_nibble(block + low, c, codes[c]);
    if (kind == Kind::q5_k) block[16 + c % 32] |= static_cast<uint8_t>(codes[c] >> 4 << c / 32);
  }
}

void write(Kind kind, const SymmetricSuper& fit, const uint8_t* codes, uint8_t* block) {
  put_half(block + (kind == Kind::q3_k ? 108 : 208), fit.d);
  for (int j = 0; j < 16; j++) {
    const int scale = static_cast<int>(fit.scales[j]);
    if (kind == Kind::q6_k) {
      block[192 + j] = static_cast<uint8_t>(scale);
      continue;
    }
    const int stored = scale + 32;
    block[96 + j % 8] |= static_cast<uint8_t>((stored & 15) << (j < 8 ? 0 : 4));
    block[104 + j % 4] |= static_cast<uint8_t>(stored >> 4 << 2 * (j / 4));
  }
  for (int c = 0; c < SUPER; c++) {
    if (kind == Kind::q3_k) {
      add_crumb(block + 32, c, codes[c]);
      block[c % 32] |= static_cast<uint8_t>(codes[c] >> 2 << c / 32); // stored inverted: a set bit takes nothing off
    } else {
      add_wide_nibble(block, c, codes[c]);
      add_crumb(block + 128, c, codes[c] >> 4);
    }
  }
}

/** Numbers as they are read back. */
float decoded(Kind kind, const AffineSuper& fit, const uint8_t* codes, int c) {
  const int j = kind == Kind::q2_k ? c / 16 : c / 32;
  const float scale = static_cast<float>(fit.d * fit.scales[j]), min = static_cast<float>(fit.d_min * fit.mins[j]);
  return static_cast<float>(scale * static_cast<float>(codes[c])) - min;
}
float decoded(Kind kind, const SymmetricSuper& fit, const uint8_t* codes, int c) {
  return static_cast<float>(fit.d * fit.scales[c / 16]) * static_cast<float>(codes[c] - (kind == Kind::q3_k ? 4 : 32));
}

template <class Fit>
void pack(Kind kind, const float* values, const float* weights, uint8_t* block, const Fit& fit) {
  float equally[SUPER];
  for (float& weight : equally) weight = 1;
  uint8_t codes[SUPER], searched[SUPER];
  const auto plain = fit(equally, codes);
  if (!weights) return write(kind, plain, codes, block);
  const auto weighted = fit(weights, searched);
  double errors[2] = {0, 0};
  for (int c = 0; c < SUPER; c++) {
    const double off[2] = {
      static_cast<double>(values[c]) - static_cast<double>(decoded(kind, plain, codes, c)),
      static_cast<double>(values[c]) - static_cast<double>(decoded(kind, weighted, searched, c)),
    };
    for (int i = 0; i < 2; i++) errors[i] += static_cast<double>(weights[c]) * (off[i] * off[i]);
  }
  if (errors[1] < errors[0]) write(kind, weighted, searched, block);
  else write(kind, plain, codes, block);
}

void pack_block(Kind kind, const float* values, const float* weights, uint8_t* block) {
  const auto affine = [&]<int W>(double largest_code, double largest_scale) {
    pack(kind, values, weights, block, [&](const float* w, uint8_t* codes) { return fit_affine<W>(values, w, largest_code, largest_scale, codes); });
  };
  const auto symmetric = [&](const SymmetricShape& shape) {
    pack(kind, values, weights, block, [&](const float* w, uint8_t* codes) { return fit_symmetric<16>(values, w, shape, codes); });
  };
  switch (kind) {
    case Kind::q2_k: return affine.operator()<16>(3, 15);
    case Kind::q4_k: return affine.operator()<32>(15, 63);
    case Kind::q5_k: return affine.operator()<32>(31, 63);
    case Kind::q3_k: return symmetric({4, -32, 31});
    case Kind::q6_k: return symmetric({32, -128, 127});
  }
}

void pack_super_blocks(const Call& call) {
  const Kind kind = static_cast<Kind>(static_cast<int>(call.attributes[0]));
  pack_blocks<SUPER, 1>(call, BYTES[static_cast<int>(kind)], [&](const Block* block, int) { pack_block(kind, block->values, block->weights, block->bytes); });
}

constexpr KernelEntry entries[] = {{"packSuperBlocks", pack_super_blocks}};

} // namespace

extern const KernelTable super_blocks_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
