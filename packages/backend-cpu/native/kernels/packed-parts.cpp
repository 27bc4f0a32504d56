// unpack of formats that have no layout of their own: rows from the parts as they are, with plain loops. Core multiplies
// by them tile by tile. Attributes: kind, rows, columns, first row, then what the kind says. Tensors: the parts, then f32
// [rowCount, columns]. Formats as in packages/tensor-core/src/formats.
#include "packed-floats.hpp"
#include "value-type.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Numbers as in src/packed-layout.ts. */
enum class PartsKind : int { nf4_plain, nf4, fp8, structured, bitmap, groups };

float e4m3(uint8_t code) {
  const int magnitude = code & 127, exponent = magnitude >> 3, mantissa = magnitude & 7;
  if (magnitude == 127) return __builtin_nanf("");
  // 2^(exponent - 7) · 1.mantissa by its bits; denormals are multiples of 2^-9.
  const uint32_t bits = static_cast<uint32_t>(exponent + 120) << 23 | static_cast<uint32_t>(mantissa) << 20;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  if (exponent == 0) value = static_cast<float>(mantissa) * 0.001953125f;
  return code & 128 ? -value : value;
}

struct Values {
  ValueType type;
  const char* data;
  const float* scales;
  float at(int64_t i, int64_t row) const {
    switch (type) {
      case ValueType::f32: return reinterpret_cast<const float*>(data)[i];
      case ValueType::bf16: return to_f32(reinterpret_cast<const bf16*>(data)[i]);
      case ValueType::f16: return to_f32(reinterpret_cast<const f16*>(data)[i]);
      case ValueType::int8: return static_cast<float>(reinterpret_cast<const int8_t*>(data)[i]) * scales[row];
    }
    return 0;
  }
};

/** Code `index` of a stream of bits. */
int code_at(const uint8_t* stream, int64_t index, int bits) {
  const int64_t bit = index * bits;
  const uint8_t* p = stream + (bit >> 3);
  const int shift = static_cast<int>(bit & 7), word = shift + bits > 8 ? p[0] | p[1] << 8 : p[0];
  return word >> shift & ((1 << bits) - 1);
}

struct Source {
  const Call& call;
  int64_t rows, columns;
  double option(int i) const { return call.attributes[4 + i]; }
  const char* part(int i) const { return call.tensors[i].data; }
};

void nf4_row(const Source& s, bool nested, int64_t row, float* out) {
  const uint8_t *codes = data_of<uint8_t>(s.call.tensors[0]), *absmax = reinterpret_cast<const uint8_t*>(s.part(1));
  int64_t block = -1;
  float scale = 0;
  for (int64_t c = 0; c < s.columns; c++) {
    const int64_t i = row * s.columns + c;
    if (i / 64 != block) {
      block = i / 64;
      if (nested) {
        const float scaled = data_of<float>(s.call.tensors[3])[absmax[block]] * data_of<float>(s.call.tensors[2])[block / 256];
        scale = scaled + data_of<float>(s.call.tensors[4])[0];
      } else scale = data_of<float>(s.call.tensors[1])[block];
    }
    out[c] = nf4_numbers[codes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15] * scale;
  }
}

/** Options: rows and columns that share a scale. */
void fp8_row(const Source& s, const float (&table)[256], int64_t row, float* out) {
  const int64_t high = static_cast<int64_t>(s.option(0)), wide = static_cast<int64_t>(s.option(1)), per_row = (s.columns + wide - 1) / wide;
  const uint8_t* codes = data_of<uint8_t>(s.call.tensors[0]) + row * s.columns;
  const float* scales = data_of<float>(s.call.tensors[1]) + row / high * per_row;
  for (int64_t start = 0, g = 0; start < s.columns; start += wide, g++) {
    const int64_t end = start + wide < s.columns ? start + wide : s.columns;
    for (int64_t c = start; c < end; c++) out[c] = table[codes[c]] * scales[g];
  }
}

Values values_of(const Source& s, int type_option, int& next) {
  Values v{static_cast<ValueType>(static_cast<int>(s.option(type_option))), s.part(0), nullptr};
  next = 1;
  if (v.type == ValueType::int8) v.scales = data_of<float>(s.call.tensors[next++]);
  return v;
}

/** Options: type of values, n, m, bits of a position. */
void structured_row(const Source& s, int64_t row, float* out) {
  int next;
  const Values values = values_of(s, 0, next);
  const int64_t n = static_cast<int64_t>(s.option(1)), m = static_cast<int64_t>(s.option(2)), kept = (s.columns + m - 1) / m * n;
  const int bits = static_cast<int>(s.option(3));
  const uint8_t* positions = reinterpret_cast<const uint8_t*>(s.part(next)) + row * ((kept * bits + 7) / 8);
  __builtin_memset(out, 0, static_cast<size_t>(s.columns) * 4);
  for (int64_t i = 0; i < kept; i++) {
    const int64_t column = i / n * m + code_at(positions, i, bits);
    if (column < s.columns) out[column] = values.at(row * kept + i, row);
  }
}

/** Options: type of values. */
void bitmap_row(const Source& s, int64_t row, float* out) {
  int next;
  const Values values = values_of(s, 0, next);
  const uint8_t* bits = reinterpret_cast<const uint8_t*>(s.part(next)) + row * ((s.columns + 7) / 8);
  int64_t at = data_of<int32_t>(s.call.tensors[next + 1])[row];
  for (int64_t c = 0; c < s.columns; c++) out[c] = bits[c >> 3] >> (c & 7) & 1 ? values.at(at++, row) : 0.0f;
}

/** Options: type of scales, bits, group, zero points, order. */
void group_row(const Source& s, int64_t row, float* out) {
  const Values scales{static_cast<ValueType>(static_cast<int>(s.option(0))), s.part(1), nullptr};
  const int bits = static_cast<int>(s.option(1));
  const int64_t group = static_cast<int64_t>(s.option(2)), groups = (s.columns + group - 1) / group;
  const bool zeros = s.option(3) != 0, ordered = s.option(4) != 0;
  const uint8_t* codes = data_of<uint8_t>(s.call.tensors[0]) + row * ((s.columns * bits + 7) / 8);
  const int32_t* order = ordered ? data_of<int32_t>(s.call.tensors[zeros ? 3 : 2]) : nullptr;
  for (int64_t g = 0; g < groups; g++) {
    const float scale = scales.at(row * groups + g, 0);
    const int zero = zeros ? data_of<uint8_t>(s.call.tensors[2])[row * groups + g] : 1 << (bits - 1);
    for (int64_t c = g * group; c < (g + 1) * group && c < s.columns; c++)
      out[order ? order[c] : c] = static_cast<float>(code_at(codes, c, bits) - zero) * scale;
  }
}

/** (parts) → f32 [rowCount, columns] */
void packed_parts_unpack(const Call& call) {
  const Source s{call, static_cast<int64_t>(call.attributes[1]), static_cast<int64_t>(call.attributes[2])};
  const PartsKind kind = static_cast<PartsKind>(static_cast<int>(call.attributes[0]));
  const int64_t first = static_cast<int64_t>(call.attributes[3]);
  const Tensor& output = call.tensors[call.input_count];
  float table[256];
  for (int i = 0; i < 256; i++) table[i] = e4m3(static_cast<uint8_t>(i));
  for_each_row(call, Rows{output.dims[0], s.columns}, 1.0, [&](int64_t i) {
    float* out = data_of<float>(output) + i * s.columns;
    switch (kind) {
      case PartsKind::nf4_plain: return nf4_row(s, false, first + i, out);
      case PartsKind::nf4: return nf4_row(s, true, first + i, out);
      case PartsKind::fp8: return fp8_row(s, table, first + i, out);
      case PartsKind::structured: return structured_row(s, first + i, out);
      case PartsKind::bitmap: return bitmap_row(s, first + i, out);
      case PartsKind::groups: return group_row(s, first + i, out);
    }
  });
}

constexpr KernelEntry entries[] = {{"packedPartsUnpack", packed_parts_unpack}};

} // namespace

extern const KernelTable packed_parts_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
