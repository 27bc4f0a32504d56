#pragma once
// The layout rows16 of packed matrices: 16 rows side by side, so that one vector of dwords holds four neighbouring codes
// of 16 rows (or its part of them, where vectors are shorter) and sums need no shuffling. A panel of 16 rows is one
// stream of blocks of 32 columns, read strictly forward:
//
//   [header of a period] { codes of 32 columns | scales of the block } { … } … [header] …
//
// Codes are bit planes of unsigned numbers. Group i = columns 4i … 4i + 3 of the block; a dword of row r has a byte for
// each of the four. Plane of 4 bits: dword (i & 3) · 16 + r, low half for i < 4, high half else. Plane of 2 bits: dword
// (i & 1) · 16 + r, bits 2(i >> 1). Plane of 1 bit: dword r, bit i. Plane of 8 bits: dword 16i + r. Wider planes come
// first and hold the lower bits. Two of every four columns (2:4) are as many dwords of kept values, then a dword with the places of
// the block's 16 values, two bits each. Rows and columns are padded; behind the panels lie, where the format has them, an f32 scale
// per row, the i32 order of columns, or all parts of nested scales. src/packed-layout.ts computes the same sizes.
#include "rows.hpp"

#define FRUGAL_MEMBER inline __attribute__((always_inline))
// Whole loops in registers where there are many; plain loops elsewhere.
#if defined(__AVX2__)
#define FRUGAL_UNROLL _Pragma("GCC unroll 8")
#else
#define FRUGAL_UNROLL
#endif

namespace frugal::FRUGAL_ISA {

constexpr int PANEL = 16, BLOCK = 32, GROUPS = BLOCK / 4, VECTORS = PANEL / LANES;

/** How codes become numbers, and where the scales lie. Numbers as in src/packed-layout.ts. */
enum class Scheme : int {
  half,          // (code - 2^(bits-1)) · f16 per block: q4_0, q5_0, q8_0, iq4_nl
  half_min,      // code · f16 + f16 per block: q4_1, q5_1
  super_min,     // code · d · scale - dmin · min per block, f16 d and dmin per 256: q4_k, q5_k
  super_16,      // (code - 2^(bits-1)) · d · scale per 16 columns: q3_k, q6_k
  super_16_min,  // code · d · scale - dmin · min per 16 columns: q2_k
  group,         // (code - zero) · scale per group
  channel,       // (code - 128) · scale per row
  nf4,           // number of the code · f32 per 64 columns: nf4-plain
  nf4_nested,    // the same, its scales kept as codes beside: nf4
  fp8_block,     // e4m3 · f32 per 128 columns
  fp8_channel,   // e4m3 · f32 per row
  fp8_tensor,    // e4m3 · f32, repeated for each row
  sparse_int8,   // two of every four columns, code · f32 per row
  sparse_bf16,   // two of every four columns, as they are
};

enum class ScaleType : int { f16, bf16, f32 };

struct Matrix {
  int64_t rows, columns;
  Scheme scheme;
  int bits;
  bool table; // codes stand for the numbers of iq4_nl
  int64_t group;
  ScaleType scale_type;
  bool zeros, ordered;
  int64_t panels, blocks, period, block_bytes, header_bytes, panel_bytes;
  const char* data;

  int64_t code_bytes() const { return bits * 64; }
  /** Whether sums are scaled by row at their end. */
  bool scales_rows() const {
    return scheme == Scheme::channel || scheme == Scheme::fp8_channel || scheme == Scheme::fp8_tensor || scheme == Scheme::sparse_int8;
  }
  /** Whether codes stand for floats, so that x stays f32 as well. */
  bool is_float() const { return scheme >= Scheme::nf4; }
  bool is_sparse() const { return scheme == Scheme::sparse_int8 || scheme == Scheme::sparse_bf16; }
  const char* panel(int64_t p) const { return data + p * panel_bytes; }
  /** Header of the period of block b, and the block itself, from the start of the panel. */
  int64_t header_at(int64_t b) const { return b / period * (period * block_bytes + header_bytes); }
  int64_t block_at(int64_t b) const { return b * block_bytes + (b / period + 1) * header_bytes; }
  const float* row_scales() const { return reinterpret_cast<const float*>(data + panels * panel_bytes); }
  const int32_t* order() const {
    return ordered ? reinterpret_cast<const int32_t*>(data + panels * panel_bytes + (scales_rows() ? panels * PANEL * 4 : 0)) : nullptr;
  }
};

constexpr int MATRIX_ATTRIBUTES = 9;

/** From the first attributes: rows, columns, scheme, bits, table, group, scale type, zeros, ordered. */
static inline Matrix matrix_of(const double* a, const char* data) {
  Matrix m{};
  m.rows = static_cast<int64_t>(a[0]), m.columns = static_cast<int64_t>(a[1]);
  m.scheme = static_cast<Scheme>(static_cast<int>(a[2]));
  m.bits = static_cast<int>(a[3]), m.table = a[4] != 0;
  m.group = static_cast<int64_t>(a[5]);
  m.scale_type = static_cast<ScaleType>(static_cast<int>(a[6]));
  m.zeros = a[7] != 0, m.ordered = a[8] != 0;
  m.data = data;
  m.panels = (m.rows + PANEL - 1) / PANEL, m.blocks = (m.columns + BLOCK - 1) / BLOCK;
  m.block_bytes = m.code_bytes(), m.period = 1;
  switch (m.scheme) {
    case Scheme::half: m.block_bytes += 32; break;
    case Scheme::half_min: m.block_bytes += 64; break;
    case Scheme::super_min: m.block_bytes += 32, m.header_bytes = 64, m.period = 8; break;
    case Scheme::super_16: m.block_bytes += 32, m.header_bytes = 32, m.period = 8; break;
    case Scheme::super_16_min: m.block_bytes += 32, m.header_bytes = 64, m.period = 8; break;
    case Scheme::group:
      m.header_bytes = PANEL * (m.scale_type == ScaleType::f32 ? 4 : 2) + (m.zeros ? PANEL : 0);
      m.period = m.group / BLOCK;
      break;
    case Scheme::nf4:
    case Scheme::nf4_nested: m.header_bytes = PANEL * 4, m.period = 2; break;
    case Scheme::fp8_block: m.header_bytes = PANEL * 4, m.period = 4; break;
    case Scheme::sparse_int8:
    case Scheme::sparse_bf16: m.block_bytes += PANEL * 4; break;
    case Scheme::channel:
    case Scheme::fp8_channel:
    case Scheme::fp8_tensor: break;
  }
  m.panel_bytes = m.blocks * m.block_bytes + (m.blocks + m.period - 1) / m.period * m.header_bytes;
  return m;
}

/** Values of the codes of iq4_nl, plus 128. */
alignas(16) static const uint8_t iq4_table[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};

FRUGAL_INLINE U look_up(U codes) {
#if defined(FRUGAL_AVX512)
  return (U)_mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(iq4_table))), (__m512i)codes);
#elif defined(FRUGAL_AVX2)
  return (U)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(iq4_table))), (__m256i)codes);
#else
  uint8_t bytes[sizeof(U)];
  store_as(bytes, codes);
  for (uint8_t& byte : bytes) byte = iq4_table[byte];
  return load_as<U>(bytes);
#endif
}

/** Codes of one block as bytes: codes[group][vector of rows]. */
using Codes32 = U[GROUPS][VECTORS];

template <int BITS, bool TABLE>
FRUGAL_INLINE void load_codes(const char* p, Codes32& codes) {
  const auto dwords = [&](int plane_start, int i, int v) { return load_as<U>(p + plane_start + (i * PANEL + v * LANES) * 4); };
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) {
    if constexpr (BITS == 8) {
FRUGAL_UNROLL for (int i = 0; i < GROUPS; i++) codes[i][v] = dwords(0, i, v);
    }
    if constexpr (BITS == 4 || BITS == 5 || BITS == 6) {
FRUGAL_UNROLL for (int i = 0; i < 4; i++) {
        const U both = dwords(0, i, v);
        codes[i][v] = both & 0x0f0f0f0fu;
        codes[i + 4][v] = (both >> 4) & 0x0f0f0f0fu;
      }
    }
    if constexpr (BITS == 2 || BITS == 3 || BITS == 6) {
      constexpr int start = BITS == 6 ? 256 : 0;
FRUGAL_UNROLL for (int j = 0; j < 2; j++) {
        const U four = dwords(start, j, v);
FRUGAL_UNROLL for (int s = 0; s < 4; s++) {
          const U part = (four >> (2 * s)) & 0x03030303u;
          if constexpr (BITS == 6) codes[2 * s + j][v] |= part << 4;
          else codes[2 * s + j][v] = part;
        }
      }
    }
    if constexpr (BITS == 3 || BITS == 5) {
      constexpr int start = BITS == 3 ? 128 : 256, shift = BITS - 1;
      const U all = dwords(start, 0, v);
FRUGAL_UNROLL for (int i = 0; i < GROUPS; i++) codes[i][v] |= ((all >> i) & 0x01010101u) << shift;
    }
    if constexpr (TABLE) {
FRUGAL_UNROLL for (int i = 0; i < GROUPS; i++) codes[i][v] = look_up(codes[i][v]);
    }
  }
}

/** The first dwords of a block as they are. */
template <int COUNT>
FRUGAL_INLINE void load_dwords(const char* p, Codes32& codes) {
FRUGAL_UNROLL for (int i = 0; i < COUNT; i++)
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) codes[i][v] = load_as<U>(p + (i * PANEL + v * LANES) * 4);
}

/** Where products go. */
struct Output {
  const Matrix* m;
  Tensor tensor;
  template <class T>
  FRUGAL_MEMBER void store(int64_t row, int64_t panel, const F (&sums)[VECTORS]) const {
    T* y = data_of<T>(tensor) + row * m->rows + panel * PANEL;
    const int64_t count = m->rows - panel * PANEL;
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++)
      if (count > v * LANES) store_f_first(y + v * LANES, sums[v], count - v * LANES < LANES ? count - v * LANES : LANES);
  }
};

} // namespace frugal::FRUGAL_ISA
