// The layout rows16 made from the parts of a format, and taken apart again. Attributes: those of matrix_of; tensors: the
// parts (blocks; codes, scales, zeros?, order?; or those of packed-store-floats.hpp) and the blob.
#include "packed-store-floats.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

bool is_simple(const Matrix& m) { return m.scheme == Scheme::half || m.scheme == Scheme::half_min; }
bool is_super(const Matrix& m) { return m.scheme == Scheme::super_min || m.scheme == Scheme::super_16 || m.scheme == Scheme::super_16_min; }

struct PartPointers {
  char *codes, *scales, *zeros, *order;
};

PartPointers parts_of(const Call& call, const Matrix& m, int first) {
  PartPointers p{call.tensors[first].data, nullptr, nullptr, nullptr};
  int next = first + 1;
  if (m.scheme == Scheme::group || m.scheme == Scheme::channel) p.scales = call.tensors[next++].data;
  if (m.zeros) p.zeros = call.tensors[next++].data;
  if (m.ordered) p.order = call.tensors[next++].data;
  return p;
}

int64_t scale_bytes(const Matrix& m) { return m.scale_type == ScaleType::f32 ? 4 : 2; }
int64_t groups_of(const Matrix& m) { return m.group ? (m.columns + m.group - 1) / m.group : 0; }

/** What lies behind the panels: scales per row, and the order of columns. READ: from the blob to the parts. */
template <bool READ>
void copy_tail(const Matrix& m, const PartPointers& p, char* blob) {
  char* tail = blob + m.panels * m.panel_bytes;
  const auto copy = [](char* blob_side, char* part, int64_t bytes) { READ ? __builtin_memcpy(part, blob_side, static_cast<size_t>(bytes)) : __builtin_memcpy(blob_side, part, static_cast<size_t>(bytes)); };
  if (m.scheme == Scheme::channel) {
    if (!READ) __builtin_memset(tail, 0, static_cast<size_t>(m.panels * PANEL * 4));
    copy(tail, p.scales, m.rows * 4);
    tail += m.panels * PANEL * 4;
  }
  if (m.ordered) copy(tail, p.order, m.columns * 4);
}

/** One row of the parts into its lane of a zeroed panel. */
void store_row(const Matrix& m, const PartPointers& p, int64_t row, uint8_t* panel) {
  const int lane = static_cast<int>(row % PANEL);
  for (int64_t b = 0; b < m.blocks; b++) {
    RowBlock block;
    uint8_t *header = panel + m.header_at(b), *to = panel + m.block_at(b), *scales = to + m.code_bytes();
    if (is_simple(m)) {
      SimpleBlocks::read(m, at(p.codes, (row * m.blocks + b) * SimpleBlocks::bytes(m)), block);
      put_half(scales + 2 * lane, block.halves[0]);
      if (m.scheme == Scheme::half_min) put_half(scales + 32 + 2 * lane, block.halves[1]);
    } else if (is_super(m)) {
      SuperBlocks::read(m, at(p.codes, (row * m.blocks + b) / 8 * SuperBlocks::bytes(m)), static_cast<int>(b % 8), block);
      put_half(header + 2 * lane, block.halves[0]);
      if (m.scheme != Scheme::super_16) put_half(header + 32 + 2 * lane, block.halves[1]);
      scales[lane] = block.scales[0], scales[PANEL + lane] = block.scales[1];
    } else {
      CodeStream::read(m, at(p.codes, row * CodeStream::row_bytes(m)), b, block.codes);
      if (m.scheme == Scheme::group && b % m.period == 0) {
        const int64_t g = row * groups_of(m) + b / m.period;
        __builtin_memcpy(header + scale_bytes(m) * lane, p.scales + g * scale_bytes(m), static_cast<size_t>(scale_bytes(m)));
        if (m.zeros) header[m.header_bytes - PANEL + lane] = *at(p.zeros, g);
      }
    }
    Lane::write_codes(m, block.codes, lane, to);
  }
}

/** The reverse, into zeroed parts. */
void restore_row(const Matrix& m, const PartPointers& p, int64_t row, const uint8_t* panel) {
  const int lane = static_cast<int>(row % PANEL);
  for (int64_t b = 0; b < m.blocks; b++) {
    RowBlock block;
    const uint8_t *header = panel + m.header_at(b), *from = panel + m.block_at(b), *scales = from + m.code_bytes();
    Lane::read_codes(m, from, lane, block.codes);
    if (is_simple(m)) {
      block.halves[0] = half_at(scales + 2 * lane);
      if (m.scheme == Scheme::half_min) block.halves[1] = half_at(scales + 32 + 2 * lane);
      SimpleBlocks::write(m, block, at(p.codes, (row * m.blocks + b) * SimpleBlocks::bytes(m)));
    } else if (is_super(m)) {
      block.halves[0] = half_at(header + 2 * lane);
      if (m.scheme != Scheme::super_16) block.halves[1] = half_at(header + 32 + 2 * lane);
      block.scales[0] = scales[lane], block.scales[1] = scales[PANEL + lane];
      SuperBlocks::write(m, block, static_cast<int>(b % 8), at(p.codes, (row * m.blocks + b) / 8 * SuperBlocks::bytes(m)));
    } else {
      CodeStream::write(m, block.codes, b, at(p.codes, row * CodeStream::row_bytes(m)));
      if (m.scheme == Scheme::group && b % m.period == 0) {
        const int64_t g = row * groups_of(m) + b / m.period;
        __builtin_memcpy(p.scales + g * scale_bytes(m), header + scale_bytes(m) * lane, static_cast<size_t>(scale_bytes(m)));
        if (m.zeros) *at(p.zeros, g) = header[m.header_bytes - PANEL + lane];
      }
    }
  }
}

/** Every row with its panel, in parallel: body(row, panel). */
template <class Body>
void for_panel_rows(const Call& call, const Matrix& m, char* blob, const Body& body) {
  parallel(call, m.panels, static_cast<double>(PANEL * m.columns) * 2, [&](int64_t i) {
    for (int64_t row = i * PANEL; row < (i + 1) * PANEL && row < m.rows; row++) body(row, at(blob, i * m.panel_bytes));
  });
}

/** (parts) → blob */
void packed_rows_repack(const Call& call) {
  char* blob = call.tensors[call.input_count].data;
  const Matrix m = matrix_of(call.attributes, blob);
  parallel(call, m.panels, static_cast<double>(m.panel_bytes) / 30, [&](int64_t i) { __builtin_memset(blob + i * m.panel_bytes, 0, static_cast<size_t>(m.panel_bytes)); });
  if (m.is_float()) {
    const FloatParts p = FloatParts::of(call, 0, call.input_count);
    for_panel_rows(call, m, blob, [&](int64_t row, uint8_t* panel) { store_float_row(m, p, row, panel); });
    return copy_float_tail<false>(m, p, blob);
  }
  const PartPointers p = parts_of(call, m, 0);
  for_panel_rows(call, m, blob, [&](int64_t row, uint8_t* panel) { store_row(m, p, row, panel); });
  copy_tail<false>(m, p, blob);
}

/** (blob) → parts */
void packed_rows_standard(const Call& call) {
  char* blob = call.tensors[0].data;
  const Matrix m = matrix_of(call.attributes, blob);
  if (m.is_float()) {
    const FloatParts p = FloatParts::of(call, 1, call.output_count);
    for_panel_rows(call, m, blob, [&](int64_t row, uint8_t* panel) { restore_float_row(m, p, row, panel); });
    return copy_float_tail<true>(m, p, blob);
  }
  const PartPointers p = parts_of(call, m, 1);
  const int64_t row_bytes = is_simple(m) ? m.blocks * SimpleBlocks::bytes(m) : is_super(m) ? m.blocks / 8 * SuperBlocks::bytes(m) : CodeStream::row_bytes(m);
  for_panel_rows(call, m, blob, [&](int64_t row, uint8_t* panel) {
    __builtin_memset(p.codes + row * row_bytes, 0, static_cast<size_t>(row_bytes));
    restore_row(m, p, row, panel);
  });
  copy_tail<true>(m, p, blob);
}

constexpr KernelEntry entries[] = {{"packedRowsRepack", packed_rows_repack}, {"packedRowsStandard", packed_rows_standard}};

} // namespace

extern const KernelTable packed_store_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
