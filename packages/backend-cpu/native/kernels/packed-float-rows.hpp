#pragma once
// Products of rows of f32 with packed matrices of any kind. Every element has four chains of sums, whose columns do not depend on
// the number of rows: few rows are multiplied straight from the codes, more by panels unpacked to f32.
#include "packed-floats.hpp"
#include "packed-pieces.hpp"
#include "packed-quantize.hpp"

namespace frugal::FRUGAL_ISA {

/** A panel as f32, [column][row], for products with f32 rows. */
template <class K>
static void unpack_panel(const Matrix& m, int64_t panel, float* out) {
  for_blocks<K>(m, m.panel(panel), 0, m.blocks, [&](int64_t b, const Codes32& codes, const typename K::Scales& scales) {
    for_weights<K>(codes, scales, [&](int c, int v, F values) { store(out + (b * BLOCK + c) * PANEL + v * LANES, values); });
  });
}

/** Sums in four chains each. */
template <int ROWS>
using Chains = F[ROWS][4][VECTORS];

template <class T, int ROWS>
FRUGAL_INLINE void store_chains(const Matrix& m, int64_t panel, const Chains<ROWS>& acc, int64_t row, const Output& out) {
  for (int r = 0; r < ROWS; r++) {
    F y[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
      y[v] = (acc[r][0][v] + acc[r][1][v]) + (acc[r][2][v] + acc[r][3][v]);
      if (m.scales_rows()) y[v] *= load(m.row_scales() + panel * PANEL + v * LANES);
    }
    out.store<T>(row + r, panel, y);
  }
}

/** ROWS rows of x times an unpacked panel. */
template <class K, class T, int ROWS>
static void float_tile(const Matrix& m, int64_t panel, const float* weights, const float* x, int64_t row, const Output& out) {
  const int64_t depth = m.blocks * BLOCK;
  Chains<ROWS> acc = {};
  for (int64_t k = 0; k < depth; k += 16) {
#pragma GCC unroll 16
    for (int j = 0; j < 16; j++) {
      F w[VECTORS];
      for (int v = 0; v < VECTORS; v++) w[v] = load(weights + (k + j) * PANEL + v * LANES);
FRUGAL_UNROLL for (int r = 0; r < ROWS; r++)
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) acc[r][chain_of<K>(j)][v] = fma(set(x[r * depth + k + j]), w[v], acc[r][chain_of<K>(j)][v]);
    }
  }
  store_chains<T, ROWS>(m, panel, acc, row, out);
}

/** The same sums straight from the codes: for so few rows that unpacked panels would not be read often enough. */
template <class K, class T, int ROWS>
static void float_tile_of_codes(const Matrix& m, int64_t panel, const float* x, int64_t row, const Output& out) {
  const int64_t depth = m.blocks * BLOCK;
  Chains<ROWS> acc = {};
  for_blocks<K>(m, m.panel(panel), 0, m.blocks, [&](int64_t b, const Codes32& codes, const typename K::Scales& scales) {
    const float* xb = x + b * BLOCK;
    if constexpr (is_sparse<typename K::Scales>) {
FRUGAL_UNROLL for (int i = 0; i < GROUPS; i++)
FRUGAL_UNROLL for (int which = 0; which < 2; which++)
FRUGAL_UNROLL for (int v = 0; v < VECTORS; v++) {
        const F w = scales.kept(codes, i, which, v);
FRUGAL_UNROLL for (int r = 0; r < ROWS; r++) acc[r][i % 4][v] = fma(scales.pick(xb + r * depth + 4 * i, i, which, v), w, acc[r][i % 4][v]);
      }
    } else {
      for_weights<K>(codes, scales, [&](int c, int v, F w) __attribute__((always_inline)) {
FRUGAL_UNROLL for (int r = 0; r < ROWS; r++) acc[r][c % 4][v] = fma(set(xb[r * depth + c]), w, acc[r][c % 4][v]);
      });
    }
  });
  store_chains<T, ROWS>(m, panel, acc, row, out);
}

template <class T>
static void multiply_floats(const Call& call, const Matrix& m, int64_t count, const Output& out) {
  const int64_t depth = m.blocks * BLOCK;
  float* x = static_cast<float*>(scratch(Scratch::shared, static_cast<size_t>(count * depth) * 4 + 64));
  for_each_row(call, Rows{count, m.columns}, 0.1, [&](int64_t row) {
    float block[BLOCK];
    for (int64_t b = 0; b < m.blocks; b++) {
      stored_block(data_of<T>(call.tensors[0]) + row * m.columns, m, b, block);
      __builtin_memcpy(x + row * depth + b * BLOCK, block, sizeof(block));
    }
  });
  with_any_kind(m, [&](auto kind) {
    using K = decltype(kind);
    for_chunks(call, Panels::of(m), count, INT64_MAX / 2, 0.012, [&](int64_t first, int64_t end, int64_t, int64_t) {
      if (count <= FLOAT_TILE) {
        for (int64_t panel = first; panel < end; panel++)
          for_tiles<FLOAT_TILE>(0, count, [&]<int ROWS>(int64_t row) { float_tile_of_codes<K, T, ROWS>(m, panel, x + row * depth, row, out); });
        return;
      }
      float* weights = static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(depth * PANEL) * 4 + 64));
      for (int64_t panel = first; panel < end; panel++) {
        unpack_panel<K>(m, panel, weights);
        for_tiles<FLOAT_TILE>(0, count, [&]<int ROWS>(int64_t row) { float_tile<K, T, ROWS>(m, panel, weights, x + row * depth, row, out); });
      }
    });
  });
}

} // namespace frugal::FRUGAL_ISA
