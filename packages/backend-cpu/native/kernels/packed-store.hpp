#pragma once
// Codes and scales of one block of a row, between the parts of a format and the layout rows16. All that is done to codes is
// done to four at a time, in the bytes of a word: in both layouts four neighbours lie in four neighbouring bytes.
#include "packed-rows.hpp"

namespace frugal::FRUGAL_ISA {

/** One block of 32 columns of one row. */
struct RowBlock {
  uint8_t codes[BLOCK];
  uint16_t halves[2];    // scale and minimum of the block, or d and dmin of its super-block
  uint8_t scales[2];     // of super-blocks: scale and minimum, or one per 16 columns
  uint32_t group_scale;  // bits
  uint8_t zero;
};

/** Where the parts of a matrix lie. */
struct Parts {
  char* codes; // blocks, or codes
  char* scales;
  char* zeros;
};

static inline uint8_t* at(char* p, int64_t offset) { return reinterpret_cast<uint8_t*>(p + offset); }
static inline uint16_t half_at(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }
static inline void put_half(uint8_t* p, uint16_t half) { p[0] = static_cast<uint8_t>(half), p[1] = static_cast<uint8_t>(half >> 8); }

constexpr int WORDS = BLOCK / 4;

static inline uint32_t word_at(const uint8_t* p) {
  uint32_t word;
  __builtin_memcpy(&word, p, 4);
  return word;
}
static inline void put_word(uint8_t* p, uint32_t word) { __builtin_memcpy(p, &word, 4); }
/** The lowest `bits` of each byte. */
static inline uint32_t mask_of(int bits) { return ((1u << bits) - 1) * 0x01010101u; }
/** Four bits as the lowest of four bytes, and back. */
static inline uint32_t spread(uint32_t bits) { return (bits * 0x00204081u) & 0x01010101u; }
static inline uint32_t gather(uint32_t word) { return ((word & 0x01010101u) * 0x01020408u) >> 24 & 15; }

// Blocks of 32 (q4_0, q4_1, q5_0, q5_1, q8_0, iq4_nl): halves, then for 5 bits a word of fifth bits, then nibbles or bytes.
struct SimpleBlocks {
  static int64_t bytes(const Matrix& m) { return (m.scheme == Scheme::half_min ? 4 : 2) + m.bits * 4; }
  static int start(const Matrix& m) { return m.scheme == Scheme::half_min ? 4 : 2; }

  static void read(const Matrix& m, const uint8_t* p, RowBlock& out) {
    out.halves[0] = half_at(p);
    if (m.scheme == Scheme::half_min) out.halves[1] = half_at(p + 2);
    const uint8_t *q = p + start(m), *low = m.bits == 5 ? q + 4 : q;
    const uint32_t fifth = m.bits == 5 ? word_at(q) : 0;
    for (int w = 0; w < WORDS; w++) {
      if (m.bits == 8) put_word(out.codes + 4 * w, word_at(q + 4 * w) ^ 0x80808080u);
      else put_word(out.codes + 4 * w, (word_at(low + 4 * (w & 3)) >> (w < 4 ? 0 : 4) & mask_of(4)) | spread(fifth >> 4 * w & 15) << 4);
    }
  }
  static void write(const Matrix& m, const RowBlock& in, uint8_t* p) {
    put_half(p, in.halves[0]);
    if (m.scheme == Scheme::half_min) put_half(p + 2, in.halves[1]);
    uint8_t *q = p + start(m), *low = m.bits == 5 ? q + 4 : q;
    if (m.bits == 8) {
      for (int w = 0; w < WORDS; w++) put_word(q + 4 * w, word_at(in.codes + 4 * w) ^ 0x80808080u);
      return;
    }
    for (int w = 0; w < 4; w++) put_word(low + 4 * w, (word_at(in.codes + 4 * w) & mask_of(4)) | (word_at(in.codes + 4 * w + 16) & mask_of(4)) << 4);
    if (m.bits == 5) {
      uint32_t fifth = 0;
      for (int w = 0; w < WORDS; w++) fifth |= gather(word_at(in.codes + 4 * w) >> 4) << 4 * w;
      put_word(q, fifth);
    }
  }
};

// Super-blocks of 256; `j` is the block of 32 within. Bit layouts as in packages/tensor-core/src/formats/ggml/super-blocks.ts.
struct SuperBlocks {
  static int64_t bytes(const Matrix& m) {
    if (m.scheme == Scheme::super_16_min) return 84;
    if (m.scheme == Scheme::super_16) return m.bits == 3 ? 110 : 210;
    return m.bits == 4 ? 144 : 176;
  }

  /** visit(first code, byte, shift in the byte, bits, shift in the code) for every piece of every four codes. */
  template <class Visit>
  static void pieces(const Matrix& m, int j, const Visit& visit) {
    for (int l = 0; l < BLOCK; l += 4) {
      const int quarter = (j >> 2) * 32 + l, pair = (j >> 1) * 32 + l;
      if (m.scheme == Scheme::super_16_min) visit(l, 16 + quarter, 2 * (j & 3), 2, 0);
      else if (m.bits == 3) visit(l, 32 + quarter, 2 * (j & 3), 2, 0), visit(l, l, j, 1, 2);
      else if (m.bits == 6) {
        const int c = j * BLOCK + l;
        visit(l, (c >> 7) * 64 + (c & 63), c & 64 ? 4 : 0, 4, 0), visit(l, 128 + quarter, 2 * (j & 3), 2, 4);
      } else {
        visit(l, (m.bits == 5 ? 48 : 16) + pair, 4 * (j & 1), 4, 0);
        if (m.bits == 5) visit(l, 16 + l, j, 1, 4);
      }
    }
  }
  static int halves_at(const Matrix& m) {
    if (m.scheme == Scheme::super_16_min) return 80;
    if (m.scheme == Scheme::super_16) return m.bits == 3 ? 108 : 208;
    return 0;
  }

  static void read(const Matrix& m, const uint8_t* p, int j, RowBlock& out) {
    __builtin_memset(out.codes, 0, BLOCK);
    pieces(m, j, [&](int l, int byte, int shift, int bits, int to) { put_word(out.codes + l, word_at(out.codes + l) | (word_at(p + byte) >> shift & mask_of(bits)) << to); });
    out.halves[0] = half_at(p + halves_at(m));
    if (m.scheme != Scheme::super_16) out.halves[1] = half_at(p + halves_at(m) + 2);
    if (m.scheme == Scheme::super_16_min) out.scales[0] = p[2 * j], out.scales[1] = p[2 * j + 1];
    else if (m.scheme == Scheme::super_min) read_scale_min(p + 4, j, out.scales);
    else if (m.bits == 6) out.scales[0] = p[192 + 2 * j], out.scales[1] = p[193 + 2 * j];
    else
      for (int h = 0; h < 2; h++) {
        const int s = 2 * j + h;
        const int stored = (p[96 + (s & 7)] >> (s < 8 ? 0 : 4) & 15) | (p[104 + (s & 3)] >> (2 * (s >> 2)) & 3) << 4;
        out.scales[h] = static_cast<uint8_t>(stored - 32);
      }
  }

  /** Into a block whose bytes were 0 before its first j. */
  static void write(const Matrix& m, const RowBlock& in, int j, uint8_t* p) {
    pieces(m, j, [&](int l, int byte, int shift, int bits, int to) { put_word(p + byte, word_at(p + byte) | (word_at(in.codes + l) >> to & mask_of(bits)) << shift); });
    put_half(p + halves_at(m), in.halves[0]);
    if (m.scheme != Scheme::super_16) put_half(p + halves_at(m) + 2, in.halves[1]);
    if (m.scheme == Scheme::super_16_min) p[2 * j] = in.scales[0], p[2 * j + 1] = in.scales[1];
    else if (m.scheme == Scheme::super_min) write_scale_min(p + 4, j, in.scales);
    else if (m.bits == 6) p[192 + 2 * j] = in.scales[0], p[193 + 2 * j] = in.scales[1];
    else
      for (int h = 0; h < 2; h++) {
        const int s = 2 * j + h, stored = static_cast<int8_t>(in.scales[h]) + 32;
        p[96 + (s & 7)] |= static_cast<uint8_t>((stored & 15) << (s < 8 ? 0 : 4));
        p[104 + (s & 3)] |= static_cast<uint8_t>((stored >> 4) << (2 * (s >> 2)));
      }
  }

 private:
  static void read_scale_min(const uint8_t* s, int j, uint8_t (&out)[2]) {
    if (j < 4) {
      out[0] = s[j] & 63, out[1] = s[j + 4] & 63;
      return;
    }
    out[0] = static_cast<uint8_t>((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
    out[1] = static_cast<uint8_t>(s[j + 4] >> 4 | (s[j] >> 6) << 4);
  }
  static void write_scale_min(uint8_t* s, int j, const uint8_t (&in)[2]) {
    if (j < 4) {
      s[j] |= in[0], s[j + 4] |= in[1];
      return;
    }
    s[j + 4] |= static_cast<uint8_t>((in[0] & 15) | (in[1] & 15) << 4);
    s[j - 4] |= static_cast<uint8_t>((in[0] >> 4) << 6);
    s[j] |= static_cast<uint8_t>((in[1] >> 4) << 6);
  }
};

// Codes as one stream of bits per row, lowest first (integer groups), or as signed bytes (int8-channel).
struct CodeStream {
  static int64_t row_bytes(const Matrix& m) { return (m.columns * m.bits + 7) / 8; }
  static void read(const Matrix& m, const uint8_t* row, int64_t b, uint8_t (&codes)[BLOCK]) {
    const int64_t start = b * BLOCK, bytes = row_bytes(m);
    if (start + BLOCK <= m.columns && (m.bits == 4 || m.scheme == Scheme::channel)) return read_words(m, row, start, codes);
    for (int64_t i = 0; i < BLOCK; i++) {
      codes[i] = 0;
      if (start + i >= m.columns) continue;
      if (m.scheme == Scheme::channel) {
        codes[i] = row[start + i] ^ 128;
        continue;
      }
      const int64_t bit = (start + i) * m.bits, byte = bit >> 3;
      const int word = row[byte] | (byte + 1 < bytes ? row[byte + 1] << 8 : 0);
      codes[i] = static_cast<uint8_t>(word >> (bit & 7) & ((1 << m.bits) - 1));
    }
  }
  /** Into bytes that were 0. */
  static void write(const Matrix& m, const uint8_t (&codes)[BLOCK], int64_t b, uint8_t* row) {
    const int64_t start = b * BLOCK;
    for (int64_t i = 0; i < BLOCK && start + i < m.columns; i++) {
      if (m.scheme == Scheme::channel) {
        row[start + i] = codes[i] ^ 128;
        continue;
      }
      const int64_t bit = (start + i) * m.bits, byte = bit >> 3;
      row[byte] |= static_cast<uint8_t>(codes[i] << (bit & 7));
      if ((bit & 7) + m.bits > 8) row[byte + 1] |= static_cast<uint8_t>(codes[i] >> (8 - (bit & 7)));
    }
  }

 private:
  /** {@link read} of a whole block, where four codes are two bytes or four. */
  static void read_words(const Matrix& m, const uint8_t* row, int64_t start, uint8_t (&codes)[BLOCK]) {
    for (int w = 0; w < WORDS; w++) {
      if (m.scheme == Scheme::channel) {
        put_word(codes + 4 * w, word_at(row + start + 4 * w) ^ 0x80808080u);
        continue;
      }
      const uint32_t x = half_at(row + start / 2 + 2 * w);
      put_word(codes + 4 * w, (x & 0xf) | (x & 0xf0) << 4 | (x & 0xf00) << 8 | (x & 0xf000) << 12);
    }
  }
};

// The layout itself, one lane (row of a panel) at a time.
struct Lane {
  /** visit(first code, byte, where the bits begin there, bits, shift in the code) for every piece of every four codes. */
  template <class Visit>
  static void planes(const Matrix& m, int lane, const Visit& visit) {
    for (int i = 0; i < WORDS; i++) {
      int start = 0, to = 0;
      if (m.bits == 8) visit(4 * i, (i * PANEL + lane) * 4, 0, 8, 0);
      if (m.bits == 4 || m.bits == 5 || m.bits == 6) visit(4 * i, ((i & 3) * PANEL + lane) * 4, 4 * (i >> 2), 4, 0), start = 256, to = 4;
      if (m.bits == 2 || m.bits == 3 || m.bits == 6) visit(4 * i, start + ((i & 1) * PANEL + lane) * 4, 2 * (i >> 1), 2, to), start += 128, to += 2;
      if (m.bits == 3 || m.bits == 5) visit(4 * i, start + lane * 4, i, 1, to);
    }
  }
  static void read_codes(const Matrix& m, const uint8_t* block, int lane, uint8_t (&codes)[BLOCK]) {
    __builtin_memset(codes, 0, BLOCK);
    planes(m, lane, [&](int c, int byte, int shift, int bits, int to) { put_word(codes + c, word_at(codes + c) | (word_at(block + byte) >> shift & mask_of(bits)) << to); });
  }
  /** Into bytes that were 0. */
  static void write_codes(const Matrix& m, const uint8_t (&codes)[BLOCK], int lane, uint8_t* block) {
    planes(m, lane, [&](int c, int byte, int shift, int bits, int to) { put_word(block + byte, word_at(block + byte) | (word_at(codes + c) >> to & mask_of(bits)) << shift); });
  }
};

} // namespace frugal::FRUGAL_ISA
