// Numbers of matrices in the layout rows16: unpack and packedGather.
// Attributes: those of matrix_of, then for unpack the first row.
#include "packed-floats.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Blocks [first, end) of a panel as f32 [PANEL][(end - first) · BLOCK], row-major, scales of rows included. */
template <class K>
void unpack_blocks(const Matrix& m, int64_t panel, int64_t first, int64_t end, float* out) {
  const int64_t width = (end - first) * BLOCK;
  for_blocks<K>(m, m.panel(panel), first, end, [&](int64_t b, const Codes32& codes, const typename K::Scales& scales) {
    float tile[BLOCK][PANEL];
    for_weights<K>(codes, scales, [&](int c, int v, F values) {
      if constexpr (scales_rows<typename K::Scales>) values *= load(m.row_scales() + panel * PANEL + v * LANES);
      store(tile[c] + v * LANES, values);
    });
    float* to = out + (b - first) * BLOCK;
    for (int i = 0; i < PANEL; i += LANES) {
      for (int c = 0; c < BLOCK; c += LANES) {
        F square[LANES];
        for (int j = 0; j < LANES; j++) square[j] = load(tile[c + j] + i);
        transpose(square);
        for (int j = 0; j < LANES; j++) store(to + (i + j) * width + c, square[j]);
      }
    }
  });
}

/** A row in the order of storage, to the order of the matrix. */
void place_row(const Matrix& m, const float* from, float* to) {
  const int32_t* order = m.order();
  if (!order) __builtin_memcpy(to, from, static_cast<size_t>(m.columns) * 4);
  else
    for (int64_t c = 0; c < m.columns; c++) to[order[c]] = from[c];
}

/** (blob) → f32 [rowCount, columns] */
void packed_rows_unpack(const Call& call) {
  const Matrix m = matrix_of(call.attributes, call.tensors[0].data);
  const int64_t first = static_cast<int64_t>(call.attributes[MATRIX_ATTRIBUTES]), count = call.tensors[1].dims[0], width = m.blocks * BLOCK;
  if (count == 0) return;
  float* out = data_of<float>(call.tensors[1]);
  const int64_t first_panel = first / PANEL, last_panel = (first + count - 1) / PANEL;
  with_any_kind(m, [&](auto kind) {
    parallel(call, last_panel - first_panel + 1, static_cast<double>(PANEL * m.columns) * 0.3, [&](int64_t i) {
      const int64_t panel = first_panel + i;
      float* rows = static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(PANEL * width) * 4 + 64));
      unpack_blocks<decltype(kind)>(m, panel, 0, m.blocks, rows);
      for (int64_t r = 0; r < PANEL; r++) {
        const int64_t row = panel * PANEL + r;
        if (row >= first && row < first + count) place_row(m, rows + r * width, out + (row - first) * m.columns);
      }
    });
  });
}

/** (indices, blob) → f32 [...indices, columns]. Whole panels are unpacked for one row: few rows are asked for. */
void packed_rows_gather(const Call& call) {
  const Matrix m = matrix_of(call.attributes, call.tensors[1].data);
  const int32_t* indices = data_of<int32_t>(call.tensors[0]);
  const int64_t width = m.blocks * BLOCK;
  with_any_kind(m, [&](auto kind) {
    parallel(call, size_of(call.tensors[0]), static_cast<double>(PANEL * m.columns) * 0.2, [&](int64_t i) {
      float* rows = static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(PANEL * width) * 4 + 64));
      unpack_blocks<decltype(kind)>(m, indices[i] / PANEL, 0, m.blocks, rows);
      place_row(m, rows + indices[i] % PANEL * width, data_of<float>(call.tensors[2]) + i * m.columns);
    });
  });
}

constexpr KernelEntry entries[] = {{"packedRowsUnpack", packed_rows_unpack}, {"packedRowsGather", packed_rows_gather}};

} // namespace

extern const KernelTable packed_unpack_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
