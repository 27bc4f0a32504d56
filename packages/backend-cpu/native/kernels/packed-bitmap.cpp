// packedMatmul of bitmap formats on their parts: (x [..., columns], values, scales?, bitmap, rowStarts) → x Wᵀ. A row's kept values
// follow each other, and its bits say where they belong: a vector of columns is so many values moved apart. Attributes:
// rows, columns, type of the values. Lane l sums the columns that are l modulo the width of a vector, in two chains, whatever
// the number of rows and threads.
#include "rows.hpp"
#include "value-type.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Rows of x that share one reading of kept values; where there are more, rows of the weight are spread out, and tiles of both multiplied. */
#if defined(FRUGAL_AVX512)
constexpr int TILE = 8, TILE_ROWS = 4, TILE_WEIGHTS = 3;
#elif defined(FRUGAL_AVX2)
constexpr int TILE = 4, TILE_ROWS = 2, TILE_WEIGHTS = 2;
#else
constexpr int TILE = 2, TILE_ROWS = 2, TILE_WEIGHTS = 1;
#endif
/** Rows of the weight that are spread out together: they stay in the L2 cache. */
constexpr int64_t SPREAD_ROWS = 24;
/** Columns of one step: a vector for each chain. */
constexpr int STEP = 2 * LANES;
constexpr uint32_t ALL = LANES == 32 ? ~0u : (1u << LANES) - 1;

#if defined(FRUGAL_AVX2)
/** For each byte of bits, which of eight values in a row goes to each lane. */
struct ExpandTable {
  uint8_t from[256][8];
  constexpr ExpandTable() : from{} {
    for (int bits = 0; bits < 256; bits++)
      for (int lane = 0, next = 0; lane < 8; lane++) from[bits][lane] = static_cast<uint8_t>(bits >> lane & 1 ? next++ : 0);
  }
};
constexpr ExpandTable expand_table;
#endif

template <class T>
FRUGAL_INLINE float number_of(T value) {
  if constexpr (__is_same(T, int8_t)) return static_cast<float>(value);
  else return to_f32(value);
}

/** Values that follow each other, to the lanes whose bits are set; `count`: how many are set. Nothing from `end` on is read. */
template <class T>
FRUGAL_INLINE F expand(const T* values, const T* end, uint32_t bits, int64_t count) {
#if defined(FRUGAL_AVX512)
  (void)end;
  const auto mask = static_cast<__mmask16>(bits), first = static_cast<__mmask16>((1u << count) - 1);
  if constexpr (sizeof(T) == 4) return (F)_mm512_maskz_expandloadu_ps(mask, values);
  else if constexpr (__is_same(T, int8_t))
    return (F)_mm512_cvtepi32_ps(_mm512_maskz_expand_epi32(mask, _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(first, values))));
  else {
    const __m256i halves = _mm256_maskz_loadu_epi16(first, values);
    if constexpr (__is_same(T, bf16)) return (F)_mm512_slli_epi32(_mm512_maskz_expand_epi32(mask, _mm512_cvtepu16_epi32(halves)), 16);
    else return (F)_mm512_maskz_expand_ps(mask, _mm512_cvtph_ps(halves));
  }
#elif defined(FRUGAL_AVX2)
  const __m256 packed = (__m256)(end - values >= LANES ? load_f(values) : load_f_first(values, count));
  const __m256i from = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(expand_table.from[bits])));
  const __m256i lane_bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set_lanes = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), lane_bits), lane_bits);
  return (F)_mm256_and_ps(_mm256_permutevar8x32_ps(packed, from), _mm256_castsi256_ps(set_lanes));
#else
  F out = {};
  (void)end, (void)count;
  for (int lane = 0; lane < LANES; lane++)
    if (bits >> lane & 1) out[lane] = number_of(*values++);
  return out;
#endif
}

template <class V>
struct Weights {
  int64_t rows, columns, row_bytes;
  const V *values, *end;
  const float* scales; // null: the values are the numbers
  const uint8_t* bits;
  const int32_t* starts;

  /** Bits of the columns [first, first + STEP). */
  uint32_t bits_at(int64_t row, int64_t first) const {
    const uint8_t* p = bits + row * row_bytes + first / 8;
    uint32_t word = 0;
    if (row_bytes - first / 8 >= STEP / 8) __builtin_memcpy(&word, p, STEP / 8);
    else
      for (int64_t i = 0; i < row_bytes - first / 8; i++) word |= static_cast<uint32_t>(p[i]) << (8 * i);
    const int64_t left = columns - first;
    return left < STEP ? word & ((1u << left) - 1) : word;
  }
};

/** step(column, chain, numbers) for each vector of a row. */
template <class V, class Step>
FRUGAL_INLINE void for_weights(const Weights<V>& w, int64_t row, int64_t depth, const Step& step) {
  const V* next = w.values + w.starts[row];
  for (int64_t c = 0; c < depth; c += STEP) {
    const uint32_t bits = w.bits_at(row, c);
#pragma GCC unroll 2
    for (int chain = 0; chain < 2; chain++) {
      const uint32_t mask = bits >> (chain * LANES) & ALL;
      const int count = __builtin_popcount(mask);
      step(c + chain * LANES, chain, expand(next, w.end, mask, count));
      next += count;
    }
  }
}

template <class V>
FRUGAL_INLINE float finish(const Weights<V>& w, int64_t row, const F (&acc)[2]) {
  return reduce_add(acc[0] + acc[1]) * (w.scales ? w.scales[row] : 1.0f);
}

/** ROWS rows of x, `depth` apart, times one row of the weight. */
template <int ROWS, class V>
FRUGAL_INLINE void multiply_row(const Weights<V>& w, int64_t row, const float* x, int64_t depth, float (&sums)[ROWS]) {
  F acc[ROWS][2] = {};
  for_weights(w, row, depth, [&](int64_t c, int chain, F weights) {
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) acc[r][chain] = fma(load(x + r * depth + c), weights, acc[r][chain]);
  });
  for (int r = 0; r < ROWS; r++) sums[r] = finish(w, row, acc[r]);
}

/** Rows of x times rows of the weight that lie spread out, with the same sums. */
template <int ROWS, int WEIGHTS, class T, class V>
static void multiply_tile(const Weights<V>& w, int64_t row, const float* spread, const float* x, int64_t depth, T* y) {
  F acc[ROWS][WEIGHTS][2] = {};
  for (int64_t c = 0; c < depth; c += STEP) {
#pragma GCC unroll 2
    for (int chain = 0; chain < 2; chain++) {
      const int64_t at = c + chain * LANES;
      F weights[WEIGHTS];
#pragma GCC unroll 4
      for (int i = 0; i < WEIGHTS; i++) weights[i] = load(spread + i * depth + at);
#pragma GCC unroll 4
      for (int r = 0; r < ROWS; r++) {
        const F numbers = load(x + r * depth + at);
#pragma GCC unroll 4
        for (int i = 0; i < WEIGHTS; i++) acc[r][i][chain] = fma(numbers, weights[i], acc[r][i][chain]);
      }
    }
  }
  for (int r = 0; r < ROWS; r++)
    for (int i = 0; i < WEIGHTS; i++) store_f_first(y + r * w.rows + row + i, set(finish(w, row + i, acc[r][i])), 1);
}

/** All rows of x times the rows [first, end) of the weight. */
template <class T, class V>
static void multiply_spread(const Weights<V>& w, int64_t first, int64_t end, const float* x, int64_t depth, int64_t count, T* y) {
  float* spread = static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>((end - first) * depth) * 4 + 64));
  for (int64_t row = first; row < end; row++)
    for_weights(w, row, depth, [&](int64_t c, int, F weights) { store(spread + (row - first) * depth + c, weights); });
  const auto across = [&]<int ROWS>(int64_t r) {
    int64_t row = first;
    for (; end - row >= TILE_WEIGHTS; row += TILE_WEIGHTS)
      multiply_tile<ROWS, TILE_WEIGHTS>(w, row, spread + (row - first) * depth, x + r * depth, depth, y + r * w.rows);
    for (; row < end; row++) multiply_tile<ROWS, 1>(w, row, spread + (row - first) * depth, x + r * depth, depth, y + r * w.rows);
  };
  int64_t r = 0;
  for (; count - r >= TILE_ROWS; r += TILE_ROWS) across.template operator()<TILE_ROWS>(r);
  for (; r < count; r++) across.template operator()<1>(r);
}

/** Rows of x in tiles, the largest first. */
template <int ROWS, class T, class V>
FRUGAL_INLINE void multiply_tiles(const Weights<V>& w, int64_t row, const float* x, int64_t depth, int64_t first, int64_t count, T* y) {
  for (; count - first >= ROWS; first += ROWS) {
    float sums[ROWS];
    multiply_row<ROWS>(w, row, x + first * depth, depth, sums);
    for (int r = 0; r < ROWS; r++) store_f_first(y + (first + r) * w.rows + row, set(sums[r]), 1);
  }
  if constexpr (ROWS > 1) multiply_tiles<ROWS / 2>(w, row, x, depth, first, count, y);
}

template <class T, class V>
void multiply(const Call& call, const Weights<V>& w) {
  const int64_t count = rows_of(call.tensors[0]).rows, depth = (w.columns + STEP - 1) / STEP * STEP;
  float* x = static_cast<float*>(scratch(Scratch::shared, static_cast<size_t>(count * depth) * 4 + 64));
  for_each_row(call, Rows{count, depth}, 0.1, [&](int64_t row) {
    const T* from = data_of<T>(call.tensors[0]) + row * w.columns;
    for_vectors(depth, [&](int64_t i, int64_t) {
      const int64_t left = w.columns - i;
      store(x + row * depth + i, left <= 0 ? F{} : load_f_first(from + i, left < LANES ? left : LANES));
    });
  });
  const Tensor& out = call.tensors[call.input_count];
  T* y = data_of<T>(out);
  if (count > TILE) {
    const int64_t cost = SPREAD_ROWS * w.columns * count / 25;
    return parallel(call, (w.rows + SPREAD_ROWS - 1) / SPREAD_ROWS, static_cast<double>(cost), [&](int64_t chunk) {
      const int64_t first = chunk * SPREAD_ROWS, end = first + SPREAD_ROWS < w.rows ? first + SPREAD_ROWS : w.rows;
      multiply_spread(w, first, end, x, depth, count, y);
    });
  }
  for_each_row(call, Rows{w.rows, w.columns}, 0.1 + 0.02 * static_cast<double>(count), [&](int64_t row) { multiply_tiles<TILE>(w, row, x, depth, 0, count, y); });
}

void packed_bitmap_matmul(const Call& call) {
  const double* a = call.attributes;
  const auto with_values = [&](auto* type) {
    using V = ElementOf<decltype(type)>;
    constexpr bool scaled = __is_same(V, int8_t);
    const int64_t columns = static_cast<int64_t>(a[1]);
    const V* values = data_of<V>(call.tensors[1]);
    const Weights<V> w{static_cast<int64_t>(a[0]), columns, (columns + 7) / 8, values, values + call.tensors[1].dims[0], scaled ? data_of<float>(call.tensors[2]) : nullptr,
      data_of<uint8_t>(call.tensors[scaled ? 3 : 2]), data_of<int32_t>(call.tensors[scaled ? 4 : 3])};
    with_float_type(call.tensors[0].dtype, [&](auto* x) { multiply<ElementOf<decltype(x)>>(call, w); });
  };
  switch (static_cast<ValueType>(static_cast<int>(a[2]))) {
    case ValueType::f32: return with_values(static_cast<float*>(nullptr));
    case ValueType::bf16: return with_values(static_cast<bf16*>(nullptr));
    case ValueType::f16: return with_values(static_cast<f16*>(nullptr));
    case ValueType::int8: return with_values(static_cast<int8_t*>(nullptr));
  }
}

constexpr KernelEntry entries[] = {{"packedBitmapMatmul", packed_bitmap_matmul}};

} // namespace

extern const KernelTable packed_bitmap_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
