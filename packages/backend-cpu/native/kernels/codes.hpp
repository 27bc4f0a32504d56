#pragma once
// Whole numbers -127..127 as operands of matrix products, contiguous along the depth: how they are read for the tile
// kernel, and what must be taken off its sums.
#include "gemm.hpp"

namespace frugal::FRUGAL_ISA {

#if defined(__AVX512VNNI__)
/** Four codes of neighbouring depth per dword; those of the weight as codes + 128. */
template <uint32_t FLIP>
struct Codes {
  using Element = int8_t;
  using Dot = DotI8;
  static F along_k(const int8_t* p, int64_t count) {
    const __mmask64 mask = count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
    return (F)_mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, p), _mm512_set1_epi32(static_cast<int32_t>(FLIP)));
  }
  static F along_i(const int8_t*, int64_t, int64_t, int64_t) { return F{}; }
  static float single(const int8_t* p, int64_t k_stride, int64_t depth) {
    uint32_t bits = 0;
    for (int64_t i = 0; i < 4 && i < depth; i++) bits |= static_cast<uint32_t>(static_cast<uint8_t>(p[i * k_stride])) << (8 * i);
    bits ^= FLIP;
    float dword;
    __builtin_memcpy(&dword, &bits, 4);
    return dword;
  }
};
using ActivationCodes = Codes<0>;
using WeightCodes = Codes<0x80808080u>;
constexpr int32_t WEIGHT_OFFSET = 128;
#else
/** Two codes of neighbouring depth per dword, widened to 16 bits. */
struct WideCodes {
  using Element = int8_t;
  using Dot = DotI16;
  static F along_k(const int8_t* p, int64_t count) {
    typedef int8_t Narrow __attribute__((vector_size(LANES * 2)));
    typedef int16_t Wide __attribute__((vector_size(LANES * 4)));
    Narrow narrow = {};
    if (count >= 2 * LANES) narrow = load_as<Narrow>(p);
    else for (int64_t i = 0; i < count; i++) narrow[i] = p[i];
    return (F)__builtin_convertvector(narrow, Wide);
  }
  static F along_i(const int8_t*, int64_t, int64_t, int64_t) { return F{}; }
  static float single(const int8_t* p, int64_t k_stride, int64_t depth) {
    const uint32_t low = static_cast<uint16_t>(static_cast<int16_t>(p[0]));
    const uint32_t high = depth < 2 ? 0u : static_cast<uint16_t>(static_cast<int16_t>(p[k_stride]));
    const uint32_t bits = low | high << 16;
    float dword;
    __builtin_memcpy(&dword, &bits, 4);
    return dword;
  }
};
using ActivationCodes = WideCodes;
using WeightCodes = WideCodes;
constexpr int32_t WEIGHT_OFFSET = 0;
#endif

} // namespace frugal::FRUGAL_ISA
