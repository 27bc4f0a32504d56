#pragma once
// Kinds of the layout rows16 whose codes stand for floats: NF4, FP8 E4M3, and 2:4 with some columns left out. Rows of x stay
// f32 with them, so they need no more than a number for every column.
#include "packed-scales.hpp"

namespace frugal::FRUGAL_ISA {

/** Numbers of the codes of NF4 (QLoRA, Dettmers et al. 2023). */
alignas(64) static const float nf4_numbers[16] = {-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
  -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f,
  0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};

/** By the lowest four bits of each lane. */
FRUGAL_INLINE F nf4_number(U codes) {
#if defined(FRUGAL_AVX512)
  return (F)_mm512_permutexvar_ps((__m512i)codes, _mm512_load_ps(nf4_numbers));
#elif defined(FRUGAL_AVX2)
  const __m256 low = _mm256_permutevar8x32_ps(_mm256_load_ps(nf4_numbers), (__m256i)codes);
  const __m256 high = _mm256_permutevar8x32_ps(_mm256_load_ps(nf4_numbers + 8), (__m256i)codes);
  return (F)_mm256_blendv_ps(low, high, (__m256)(codes << 28));
#else
  F numbers;
  for (int lane = 0; lane < LANES; lane++) numbers[lane] = nf4_numbers[codes[lane] & 15u];
  return numbers;
#endif
}

/**
 * The code in the highest byte of each lane as E4M3 (OCP FP8, Micikevicius et al. 2022): its seven lower bits, read as the top of a
 * float, are 2^-120 of the number, denormals among them as well; 127 is NaN.
 */
FRUGAL_INLINE F e4m3_number(U codes) {
  const U bits = (U)((I)codes >> 4) & 0x87f00000u;
  const F number = (F)bits * set(0x1p120f);
  return (F)((U)number | ((U)((bits & 0x07f00000u) == 0x07f00000u) & 0x7fc00000u));
}

struct NormalFloat {
  F scale[VECTORS];
  void header(const char* p, const Matrix&) {
    for (int v = 0; v < VECTORS; v++) scale[v] = load_as<F>(p + v * LANES * 4);
  }
  FRUGAL_MEMBER void block(const char*, int) {}
  FRUGAL_MEMBER F weight(const Codes32& codes, int i, int t, int v) const { return nf4_number(codes[i][v] >> (8 * t)) * scale[v]; }
};

template <bool PER_ROW>
struct Fp8 {
  F scale[VECTORS];
  void header(const char* p, const Matrix&) {
    if constexpr (!PER_ROW)
      for (int v = 0; v < VECTORS; v++) scale[v] = load_as<F>(p + v * LANES * 4);
  }
  FRUGAL_MEMBER void block(const char*, int) {}
  FRUGAL_MEMBER F weight(const Codes32& codes, int i, int t, int v) const {
    const F number = e4m3_number(codes[i][v] << (24 - 8 * t));
    if constexpr (PER_ROW) return number;
    else return number * scale[v];
  }
};

/** Two of every four columns: int8 (two groups to a dword) or bf16 (one), the earlier column in the lower half. */
template <class Value>
struct Sparse {
  U places[VECTORS];
  void header(const char*, const Matrix&) {}
  FRUGAL_MEMBER void block(const char* p, int v) { places[v] = load_as<U>(p + v * LANES * 4); }
  FRUGAL_MEMBER F kept(const Codes32& codes, int i, int which, int v) const {
    if constexpr (sizeof(Value) == 2) return (F)(which == 0 ? codes[i][v] << 16 : codes[i][v] & 0xffff0000u);
    else return to_float((I)(codes[i / 2][v] << (24 - 16 * (i % 2) - 8 * which)) >> 24);
  }
  /** Of four neighbours of x, that which meets the kept value `which` of group `i` in each row. */
  FRUGAL_MEMBER F pick(const float* x, int i, int which, int v) const {
    const U at = places[v] >> (4 * i + 2 * which);
#if defined(FRUGAL_AVX512)
    return (F)_mm512_permutevar_ps(_mm512_broadcast_f32x4(_mm_loadu_ps(x)), (__m512i)at);
#elif defined(FRUGAL_AVX2)
    return (F)_mm256_permutevar_ps(_mm256_broadcast_ps(reinterpret_cast<const __m128*>(x)), (__m256i)at);
#else
    F picked;
    for (int lane = 0; lane < LANES; lane++) picked[lane] = x[at[lane] & 3u];
    return picked;
#endif
  }
  FRUGAL_MEMBER F weight(const Codes32& codes, int i, int t, int v) const {
    U bits = {};
FRUGAL_UNROLL for (int which = 0; which < 2; which++) {
      const U place = (places[v] >> (4 * i + 2 * which)) & 3u;
      bits |= (U)kept(codes, i, which, v) & (U)(place == static_cast<uint32_t>(t));
    }
    return (F)bits;
  }
};

template <>
constexpr bool scales_rows<Fp8<true>> = true;
template <>
constexpr bool scales_rows<Sparse<int8_t>> = true;
template <class Value>
constexpr bool is_sparse<Sparse<Value>> = true;
template <>
constexpr bool is_float<NormalFloat> = true;
template <bool PER_ROW>
constexpr bool is_float<Fp8<PER_ROW>> = true;
template <class Value>
constexpr bool is_float<Sparse<Value>> = true;

/** Which of four chains of sums takes a column of a block: neighbours take turns, or groups of them where only some are kept. */
template <class K>
constexpr int chain_of(int column) {
  return is_sparse<typename K::Scales> ? column / 4 % 4 : column % 4;
}

/** Calls f with the Kind of any matrix. */
template <class Function>
static inline void with_any_kind(const Matrix& m, const Function& f) {
  switch (m.scheme) {
    case Scheme::nf4:
    case Scheme::nf4_nested: return f(Kind<NormalFloat, 4>{});
    case Scheme::fp8_block: return f(Kind<Fp8<false>, 8>{});
    case Scheme::fp8_channel:
    case Scheme::fp8_tensor: return f(Kind<Fp8<true>, 8>{});
    case Scheme::sparse_int8: return f(Kind<Sparse<int8_t>, 4>{});
    case Scheme::sparse_bf16: return f(Kind<Sparse<bf16>, 8>{});
    default: return with_kind(m, f);
  }
}

} // namespace frugal::FRUGAL_ISA
