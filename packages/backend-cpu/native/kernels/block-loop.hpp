#pragma once
// Goes through a matrix of f32 block by block and packs each: what the kernels of block formats share.
#include "../core/parallel.hpp"
#include "wide-doubles.hpp"

namespace frugal::FRUGAL_ISA {

struct Block {
  const float* values;
  const float* weights; // one for each value, or null
  uint8_t* bytes;       // zeroed
};

static inline void put_half(uint8_t* at, double value) {
  const uint16_t bits = half_bits(value);
  at[0] = static_cast<uint8_t>(bits), at[1] = static_cast<uint8_t>(bits >> 8);
}

/**
 * (f32 [blocks, WIDTH], weights f32 [columns] or [0]) → u8 [blocks, size], i32 [chunks]: how many blocks hold numbers that are not
 * finite. pack(blocks, count) gets up to MANY blocks, none of which does.
 */
template <int WIDTH, int MANY, class Pack>
static void pack_blocks(const Call& call, int64_t size, const Pack& pack) {
  const Tensor &values = call.tensors[0], &weights = call.tensors[1], &packed = call.tensors[2], &strange = call.tensors[3];
  const int64_t count = values.dims[0], columns = weights.dims[0], chunk = (count + strange.dims[0] - 1) / strange.dims[0];
  int32_t* not_finite = reinterpret_cast<int32_t*>(strange.data);
  parallel(call, strange.dims[0], static_cast<double>(chunk) * WIDTH * 100, [&](int64_t i) {
    not_finite[i] = 0;
    const int64_t end = minimum(count, (i + 1) * chunk);
    for (int64_t first = i * chunk; first < end; first += MANY) {
      const int many = static_cast<int>(minimum(MANY, end - first));
      Block blocks[MANY];
      int strange_blocks = 0;
      for (int b = 0; b < many; b++) {
        const int64_t at = (first + b) * WIDTH;
        blocks[b] = {reinterpret_cast<const float*>(values.data) + at, columns ? reinterpret_cast<const float*>(weights.data) + at % columns : nullptr,
          reinterpret_cast<uint8_t*>(packed.data) + (first + b) * size};
        bool is_finite = true;
        for (int c = 0; c < WIDTH; c++) is_finite &= __builtin_fabsf(blocks[b].values[c]) <= 3.4028234663852886e38f;
        strange_blocks += !is_finite;
      }
      __builtin_memset(blocks[0].bytes, 0, static_cast<size_t>(size * many));
      if (strange_blocks) not_finite[i] += strange_blocks;
      else pack(blocks, many);
    }
  });
}

} // namespace frugal::FRUGAL_ISA
