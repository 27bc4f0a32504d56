#pragma once
// Rows of formats whose codes stand for floats (NF4, FP8, 2:4), between their parts and the layout rows16.
#include "packed-store.hpp"

namespace frugal::FRUGAL_ISA {

/** The parts in the order of the format. */
struct FloatParts {
  char* part[5];
  static FloatParts of(const Call& call, int first, int count) {
    FloatParts parts{};
    for (int i = 0; i < count; i++) parts.part[i] = call.tensors[first + i].data;
    return parts;
  }
};

/** Blocks of NF4 whose scales share one. */
constexpr int64_t NESTED_BLOCK = 256;
constexpr int64_t FP8_BLOCK = 128;

static inline float float_at(const char* p, int64_t i) {
  float value;
  __builtin_memcpy(&value, p + 4 * i, 4);
  return value;
}
static inline void put_float(uint8_t* p, float value) { __builtin_memcpy(p, &value, 4); }

/** Scale of block g of NF4: nested ones are table[code] · nested + offset. */
static inline float nf4_scale(const Matrix& m, const FloatParts& p, int64_t g) {
  if (m.scheme == Scheme::nf4) return float_at(p.part[1], g);
  const float scaled = float_at(p.part[3], *at(p.part[1], g)) * float_at(p.part[2], g / NESTED_BLOCK);
  return scaled + float_at(p.part[4], 0);
}

/** Kept values of a row of 2:4: two of every four columns begun. */
static inline int64_t kept_of(const Matrix& m) { return (m.columns + 3) / 4 * 2; }
static inline char* places_of(const Matrix& m, const FloatParts& p) { return p.part[m.scheme == Scheme::sparse_int8 ? 2 : 1]; }
static inline int64_t place_bytes(const Matrix& m) { return (kept_of(m) + 3) / 4; }

/** Bytes of block b of a row of 2:4: copy(in the parts, in the panel, how many). */
template <class Copy>
static void sparse_pieces(const Matrix& m, const FloatParts& p, int64_t row, int64_t b, uint8_t* block, const Copy& copy) {
  const int lane = static_cast<int>(row % PANEL);
  const int64_t value_bytes = m.scheme == Scheme::sparse_int8 ? 1 : 2, in_dword = 4 / value_bytes;
  for (int64_t i = 0; i < m.bits; i++) {
    const int64_t first = b * (BLOCK / 2) + i * in_dword, left = kept_of(m) - first;
    if (left > 0) copy(at(p.part[0], (row * kept_of(m) + first) * value_bytes), block + (i * PANEL + lane) * 4, (left < in_dword ? left : in_dword) * value_bytes);
  }
  const int64_t left = place_bytes(m) - 4 * b;
  copy(at(places_of(m, p), row * place_bytes(m) + 4 * b), block + m.code_bytes() + 4 * lane, left < 4 ? left : 4);
}

/** One row of the parts into its lane of a zeroed panel. */
static void store_float_row(const Matrix& m, const FloatParts& p, int64_t row, uint8_t* panel) {
  const int lane = static_cast<int>(row % PANEL);
  for (int64_t b = 0; b < m.blocks; b++) {
    uint8_t *header = panel + m.header_at(b) + 4 * lane, *to = panel + m.block_at(b);
    if (m.is_sparse()) {
      sparse_pieces(m, p, row, b, to, [](const uint8_t* part, uint8_t* lane_side, int64_t bytes) { __builtin_memcpy(lane_side, part, static_cast<size_t>(bytes)); });
      continue;
    }
    uint8_t codes[BLOCK] = {};
    const int64_t start = row * m.columns + b * BLOCK, count = m.columns - b * BLOCK < BLOCK ? m.columns - b * BLOCK : BLOCK;
    for (int64_t i = 0; i < count; i++) codes[i] = m.bits == 8 ? *at(p.part[0], start + i) : *at(p.part[0], (start + i) / 2) >> (i % 2 == 0 ? 4 : 0) & 15;
    Lane::write_codes(m, codes, lane, to);
    if (m.header_bytes == 0 || b % m.period != 0) continue;
    if (m.scheme == Scheme::fp8_block) put_float(header, float_at(p.part[1], row / FP8_BLOCK * ((m.columns + FP8_BLOCK - 1) / FP8_BLOCK) + b / m.period));
    else put_float(header, nf4_scale(m, p, row * (m.blocks / m.period) + b / m.period));
  }
}

/** The reverse. */
static void restore_float_row(const Matrix& m, const FloatParts& p, int64_t row, uint8_t* panel) {
  const int lane = static_cast<int>(row % PANEL);
  for (int64_t b = 0; b < m.blocks; b++) {
    uint8_t *header = panel + m.header_at(b) + 4 * lane, *from = panel + m.block_at(b);
    if (m.is_sparse()) {
      sparse_pieces(m, p, row, b, from, [](uint8_t* part, const uint8_t* lane_side, int64_t bytes) { __builtin_memcpy(part, lane_side, static_cast<size_t>(bytes)); });
      continue;
    }
    uint8_t codes[BLOCK];
    Lane::read_codes(m, from, lane, codes);
    const int64_t start = row * m.columns + b * BLOCK, count = m.columns - b * BLOCK < BLOCK ? m.columns - b * BLOCK : BLOCK;
    if (m.bits == 8) __builtin_memcpy(p.part[0] + start, codes, static_cast<size_t>(count));
    else
      for (int64_t i = 0; i < count; i += 2) *at(p.part[0], (start + i) / 2) = static_cast<uint8_t>(codes[i] << 4 | codes[i + 1]);
    if (m.header_bytes == 0 || b % m.period != 0) continue;
    if (m.scheme == Scheme::nf4) __builtin_memcpy(p.part[1] + 4 * (row * (m.blocks / m.period) + b / m.period), header, 4);
    if (m.scheme == Scheme::fp8_block && row % FP8_BLOCK == 0)
      __builtin_memcpy(p.part[1] + 4 * (row / FP8_BLOCK * ((m.columns + FP8_BLOCK - 1) / FP8_BLOCK) + b / m.period), header, 4);
  }
}

/** What lies behind the panels. READ: from the blob to the parts. */
template <bool READ>
static void copy_float_tail(const Matrix& m, const FloatParts& p, char* blob) {
  char* tail = blob + m.panels * m.panel_bytes;
  const auto copy = [&](char* part, int64_t bytes) {
    READ ? __builtin_memcpy(part, tail, static_cast<size_t>(bytes)) : __builtin_memcpy(tail, part, static_cast<size_t>(bytes));
    tail += bytes;
  };
  if (m.scales_rows()) {
    if (!READ) __builtin_memset(tail, 0, static_cast<size_t>(m.panels * PANEL * 4));
    if (m.scheme != Scheme::fp8_tensor) copy(p.part[1], m.rows * 4);
    else if (READ && m.panels > 0) copy(p.part[1], 4);
    else
      for (int64_t i = 0; i < m.panels * PANEL; i++) copy(p.part[1], 4);
  }
  if (m.scheme == Scheme::nf4_nested) {
    const int64_t groups = m.rows * m.columns / 64;
    copy(p.part[1], groups);
    copy(p.part[2], (groups + NESTED_BLOCK - 1) / NESTED_BLOCK * 4);
    copy(p.part[3], 256 * 4);
    copy(p.part[4], 4);
  }
}

} // namespace frugal::FRUGAL_ISA
