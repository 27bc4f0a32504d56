#pragma once
// Scales of the layout rows16: one small struct per Scheme. `header` reads what comes before a period, `block` what
// follows the codes of a block; then `add` adds a block's products to the sums, and `weight` makes numbers of codes.
#include "packed-rows.hpp"

namespace frugal::FRUGAL_ISA {

/** 32 columns of a row of x as int8 codes, with what sums need of them: one cache line. */
struct alignas(64) XBlock {
  int32_t dwords[GROUPS];
  float scale;
  float sum;      // of the codes
  float offset;   // scale · sum
  float half[2];  // sums of the codes of the first and the last 16 columns
  float unused[3];
};

FRUGAL_INLINE F load_halves(const char* p, int v) { return load_f(reinterpret_cast<const f16*>(p) + v * LANES); }
FRUGAL_INLINE F load_signed(const char* p, int v) { return load_f(reinterpret_cast<const int8_t*>(p) + v * LANES); }
FRUGAL_INLINE U load_bytes(const char* p, int v) {
  typedef uint8_t Bytes __attribute__((vector_size(LANES)));
  return __builtin_convertvector(load_as<Bytes>(p + v * LANES), U);
}
FRUGAL_INLINE F from_bytes(U bytes) { return to_float((I)bytes); }

/** Σ of the products of a block, first and last 16 columns, as whole numbers. */
struct Products {
  I first, last;
  F sum() const { return to_float(first + last); }
};

// `centre` is what every code stands above its number, where that is one constant. Sums of a block are whole numbers below
// 2²⁴ with and without it, so `add` of the products of codes and `add_centred` of those of code - centre give the same bits.
// HALVES: there is a scale for each 16 columns, so that the two halves of Products count separately. X is XBlock
// or the same numbers from elsewhere.

template <int ZERO>
struct Half {
  static constexpr int centre = ZERO;
  static constexpr bool halves = false;
  F scale[VECTORS];
  void header(const char*, const Matrix&) {}
  FRUGAL_MEMBER void block(const char* p, int v) { scale[v] = load_halves(p, v); }
  template <class X>
  FRUGAL_MEMBER F add(F acc, const Products& p, const X& x, int v) const {
    return fma(fma(set(-ZERO), set(x.sum), p.sum()) * scale[v], set(x.scale), acc);
  }
  template <class X>
  FRUGAL_MEMBER F add_centred(F acc, const Products& p, const X& x, int v) const { return fma(p.sum() * scale[v], set(x.scale), acc); }
  FRUGAL_MEMBER F weight(F code, int, int v) const { return (code - set(ZERO)) * scale[v]; }
};

struct HalfMin {
  static constexpr int centre = 0;
  static constexpr bool halves = false;
  F scale[VECTORS], low[VECTORS];
  void header(const char*, const Matrix&) {}
  FRUGAL_MEMBER void block(const char* p, int v) { scale[v] = load_halves(p, v), low[v] = load_halves(p + 32, v); }
  template <class X>
  FRUGAL_MEMBER F add(F acc, const Products& p, const X& x, int v) const {
    return fma(low[v], set(x.offset), fma(p.sum() * scale[v], set(x.scale), acc));
  }
  FRUGAL_MEMBER F weight(F code, int, int v) const { return code * scale[v] + low[v]; }
};

struct SuperMin {
  static constexpr int centre = 0;
  static constexpr bool halves = false;
  F d[VECTORS], d_min[VECTORS], scale[VECTORS], low[VECTORS];
  void header(const char* p, const Matrix&) {
    for (int v = 0; v < VECTORS; v++) d[v] = load_halves(p, v), d_min[v] = load_halves(p + 32, v);
  }
  FRUGAL_MEMBER void block(const char* p, int v) {
    scale[v] = d[v] * from_bytes(load_bytes(p, v)), low[v] = d_min[v] * from_bytes(load_bytes(p + 16, v));
  }
  template <class X>
  FRUGAL_MEMBER F add(F acc, const Products& p, const X& x, int v) const {
    return fma(-low[v], set(x.offset), fma(p.sum() * scale[v], set(x.scale), acc));
  }
  FRUGAL_MEMBER F weight(F code, int, int v) const { return code * scale[v] - low[v]; }
};

template <int ZERO>
struct Super16 {
  static constexpr int centre = ZERO;
  static constexpr bool halves = true;
  F d[VECTORS], scale[2][VECTORS];
  void header(const char* p, const Matrix&) {
    for (int v = 0; v < VECTORS; v++) d[v] = load_halves(p, v);
  }
  FRUGAL_MEMBER void block(const char* p, int v) {
    for (int h = 0; h < 2; h++) scale[h][v] = d[v] * load_signed(p + 16 * h, v);
  }
  template <class X>
  FRUGAL_MEMBER F add(F acc, const Products& p, const X& x, int v) const {
    const F first = fma(set(-ZERO), set(x.half[0]), to_float(p.first)), last = fma(set(-ZERO), set(x.half[1]), to_float(p.last));
    return fma(fma(first, scale[0][v], last * scale[1][v]), set(x.scale), acc);
  }
  template <class X>
  FRUGAL_MEMBER F add_centred(F acc, const Products& p, const X& x, int v) const {
    return fma(fma(to_float(p.first), scale[0][v], to_float(p.last) * scale[1][v]), set(x.scale), acc);
  }
  FRUGAL_MEMBER F weight(F code, int h, int v) const { return (code - set(ZERO)) * scale[h][v]; }
};

struct Super16Min {
  static constexpr int centre = 0;
  static constexpr bool halves = true;
  F d[VECTORS], d_min[VECTORS], scale[2][VECTORS], low[2][VECTORS];
  void header(const char* p, const Matrix&) {
    for (int v = 0; v < VECTORS; v++) d[v] = load_halves(p, v), d_min[v] = load_halves(p + 32, v);
  }
  FRUGAL_MEMBER void block(const char* p, int v) {
    for (int h = 0; h < 2; h++) {
      const U both = load_bytes(p + 16 * h, v);
      scale[h][v] = d[v] * from_bytes(both & 15u), low[h][v] = d_min[v] * from_bytes(both >> 4);
    }
  }
  template <class X>
  FRUGAL_MEMBER F add(F acc, const Products& p, const X& x, int v) const {
    F sum = fma(to_float(p.first), scale[0][v], to_float(p.last) * scale[1][v]);
    sum = fma(-low[0][v], set(x.half[0]), sum);
    return fma(fma(-low[1][v], set(x.half[1]), sum), set(x.scale), acc);
  }
  FRUGAL_MEMBER F weight(F code, int h, int v) const { return code * scale[h][v] - low[h][v]; }
};

struct Group {
  static constexpr int centre = 0;
  static constexpr bool halves = false;
  F scale[VECTORS], zero[VECTORS];
  void header(const char* p, const Matrix& m) {
    const char* zeros = p + m.header_bytes - PANEL;
    for (int v = 0; v < VECTORS; v++) {
      switch (m.scale_type) {
        case ScaleType::f16: scale[v] = load_halves(p, v); break;
        case ScaleType::bf16: scale[v] = load_f(reinterpret_cast<const bf16*>(p) + v * LANES); break;
        case ScaleType::f32: scale[v] = load_f(reinterpret_cast<const float*>(p) + v * LANES); break;
      }
      zero[v] = m.zeros ? from_bytes(load_bytes(zeros, v)) : set(static_cast<float>(1 << (m.bits - 1)));
    }
  }
  FRUGAL_MEMBER void block(const char*, int) {}
  template <class X>
  FRUGAL_MEMBER F add(F acc, const Products& p, const X& x, int v) const {
    return fma(fma(-zero[v], set(x.sum), p.sum()) * scale[v], set(x.scale), acc);
  }
  FRUGAL_MEMBER F weight(F code, int, int v) const { return (code - zero[v]) * scale[v]; }
};

/** The scale of a row is applied at the end: Output. */
struct Channel {
  static constexpr int centre = 128;
  static constexpr bool halves = false;
  void header(const char*, const Matrix&) {}
  FRUGAL_MEMBER void block(const char*, int) {}
  template <class X>
  FRUGAL_MEMBER F add(F acc, const Products& p, const X& x, int) const {
    return fma(fma(set(-128.0f), set(x.sum), p.sum()), set(x.scale), acc);
  }
  template <class X>
  FRUGAL_MEMBER F add_centred(F acc, const Products& p, const X& x, int) const { return fma(p.sum(), set(x.scale), acc); }
  FRUGAL_MEMBER F weight(F code, int, int) const { return code - set(128.0f); }
};

template <class S, int B, bool T = false>
struct Kind {
  using Scales = S;
  static constexpr int bits = B;
  static constexpr bool table = T;
};

/** Whether sums are scaled by row at their end. */
template <class S>
constexpr bool scales_rows = __is_same(S, Channel);
/** Whether a block holds some of its columns only, and their places. */
template <class S>
constexpr bool is_sparse = false;
/** Whether codes stand for floats: the scales make them. */
template <class S>
constexpr bool is_float = false;

/** Calls f with the Kind of a matrix whose codes are whole numbers. */
template <class Function>
static inline void with_kind(const Matrix& m, const Function& f) {
  switch (m.scheme) {
    case Scheme::half:
      if (m.table) return f(Kind<Half<128>, 4, true>{});
      if (m.bits == 4) return f(Kind<Half<8>, 4>{});
      if (m.bits == 5) return f(Kind<Half<16>, 5>{});
      return f(Kind<Half<128>, 8>{});
    case Scheme::half_min: return m.bits == 4 ? f(Kind<HalfMin, 4>{}) : f(Kind<HalfMin, 5>{});
    case Scheme::super_min: return m.bits == 4 ? f(Kind<SuperMin, 4>{}) : f(Kind<SuperMin, 5>{});
    case Scheme::super_16: return m.bits == 3 ? f(Kind<Super16<4>, 3>{}) : f(Kind<Super16<32>, 6>{});
    case Scheme::super_16_min: return f(Kind<Super16Min, 2>{});
    case Scheme::group:
      if (m.bits == 2) return f(Kind<Group, 2>{});
      if (m.bits == 3) return f(Kind<Group, 3>{});
      if (m.bits == 4) return f(Kind<Group, 4>{});
      return f(Kind<Group, 8>{});
    case Scheme::channel: return f(Kind<Channel, 8>{});
    default: return;
  }
}

/** How far ahead of a product its weights are fetched. */
constexpr int64_t PREFETCH_BYTES = 4096;

/** Fetches what `for_blocks` of another panel would have been fetching by the time it begins. */
FRUGAL_INLINE void fetch_ahead(const char* panel, int64_t panel_bytes) {
  for (int64_t at = 0; at < PREFETCH_BYTES && at < panel_bytes; at += 64) __builtin_prefetch(panel + at);
}

/** step(block, codes, scales) for the blocks [first, end) of a panel. */
template <class K, class Step>
FRUGAL_INLINE void for_blocks(const Matrix& m, const char* panel, int64_t first, int64_t end, const Step& step) {
  typename K::Scales scales{};
  if (first >= end) return;
  scales.header(panel + m.header_at(first), m);
  const char* p = panel + m.block_at(first);
  int64_t left = m.period - first % m.period;
  for (int64_t b = first; b < end; b++) {
    if (m.header_bytes > 0 && left == 0) {
      scales.header(p, m);
      p += m.header_bytes;
      left = m.period;
    }
    left--;
    // Weights are read once and forward, but the hardware alone fetches them too late: two to three times slower here.
    for (int64_t line = 0; line < m.block_bytes; line += 64) __builtin_prefetch(p + PREFETCH_BYTES + line);
    Codes32 codes;
    if constexpr (is_sparse<typename K::Scales>) load_dwords<K::bits>(p, codes);
    else load_codes<K::bits, K::table>(p, codes);
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) scales.block(p + K::bits * 64, v);
    step(b, codes, scales);
    p += m.block_bytes;
  }
}

/** Number `t` of group `i`; the scale of a row left out. */
template <class K>
FRUGAL_INLINE F weight_at(const Codes32& codes, const typename K::Scales& scales, int i, int t, int v) {
  if constexpr (is_float<typename K::Scales>) return scales.weight(codes, i, t, v);
  else return scales.weight(from_bytes((codes[i][v] >> (8 * t)) & 255u), i / 4, v);
}

/** The numbers of a block: step(column in the block, vector of rows, values); the scale of a row left out. */
template <class K, class Step>
FRUGAL_INLINE void for_weights(const Codes32& codes, const typename K::Scales& scales, const Step& step) {
FRUGAL_UNROLL for (int i = 0; i < GROUPS; i++) {
FRUGAL_UNROLL for (int t = 0; t < 4; t++) {
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) step(4 * i + t, v, weight_at<K>(codes, scales, i, t, v));
    }
  }
}

} // namespace frugal::FRUGAL_ISA
