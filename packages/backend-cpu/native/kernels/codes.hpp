#pragma once
// Readers of int8 codes for exact products, by what the level multiplies: four signed bytes per dword (AMX), four bytes
// of which those of A must be unsigned (VNNI), or two codes widened to 16 bits (everything else).
#include "gemm.hpp"

namespace frugal::FRUGAL_ISA {

#if defined(__AVX512VNNI__)
#if defined(__AMX_TILE__)
using CodeDot = TileDotI8;
#else
using CodeDot = DotI8;
#endif

/** Four codes of neighbouring depth per dword, missing ones 0; FLIP turns codes into codes + 128. */
template <uint32_t FLIP>
struct Codes {
  using Element = int8_t;
  using Dot = CodeDot;
  static F along_k(const int8_t* p, int64_t count) {
    const __mmask64 mask = count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
    return (F)_mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, p), _mm512_set1_epi32(static_cast<int32_t>(FLIP)));
  }
  static F along_i(const int8_t* p, int64_t k_stride, int64_t depth, int64_t count) {
    const __mmask16 mask = count >= LANES ? 0xffff : (__mmask16)((1u << count) - 1);
    __m512i dwords = _mm512_set1_epi32(static_cast<int32_t>(FLIP));
    for (int64_t i = 0; i < 4 && i < depth; i++) {
      const __m512i bytes = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, p + i * k_stride));
      dwords = _mm512_xor_si512(dwords, _mm512_sll_epi32(bytes, _mm_cvtsi32_si128(static_cast<int>(8 * i))));
    }
    return (F)dwords;
  }
  static float single(const int8_t* p, int64_t k_stride, int64_t depth) {
    uint32_t bits = 0;
    for (int64_t i = 0; i < 4 && i < depth; i++) bits |= static_cast<uint32_t>(static_cast<uint8_t>(p[i * k_stride])) << (8 * i);
    bits ^= FLIP;
    float dword;
    __builtin_memcpy(&dword, &bits, 4);
    return dword;
  }
};
using ActivationCodes = Codes<CodeDot::SHIFTED ? 0x80808080u : 0>;
using WeightCodes = Codes<0>;
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
  static F along_i(const int8_t* p, int64_t k_stride, int64_t depth, int64_t count) {
    B low = {}, high = {};
    if (count >= LANES) {
      low = load_as<B>(p);
      if (depth > 1) high = load_as<B>(p + k_stride);
    } else {
      for (int64_t i = 0; i < count; i++) low[i] = p[i], high[i] = depth > 1 ? p[k_stride + i] : int8_t{0};
    }
    return (F)((__builtin_convertvector(low, I) & set_int(0xffff)) | (__builtin_convertvector(high, I) << 16));
  }
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
#endif

} // namespace frugal::FRUGAL_ISA
