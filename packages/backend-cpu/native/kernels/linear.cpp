// quantizeInt8: x [M, K] of any floating dtype → codes i8 [M, K] and scales f32 [M], largest |x| / 127; of columns:
// codes [K, M] and scales [K]. Attributes: [1 for columns].
// int8Matmul: (a i8 [M, K], its scales [M], b i8 [N, K], its scales [N]) → a · bᵀ with the scales multiplied in.
#include "codes.hpp"
#include "rows.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Rows whose largest values are found together; the largest of all does not depend on how rows are grouped. */
constexpr int64_t ROW_GROUP = 64;

/** The larger magnitude; NaN stays. */
FRUGAL_INLINE F larger_magnitude(F largest, F x) {
  const F magnitude = abs(x);
  return select(largest != largest, largest, max(largest, magnitude)); // max gives NaN when its second operand is
}

/** round(x / divisor), ties to even, within ±127; what is NaN becomes 0, its scale tells. */
FRUGAL_INLINE I codes_of(F x, F divisor) {
  const F quotient = min(set(127.0f), max(set(-127.0f), round(x / divisor)));
  return to_int(select(quotient == quotient, quotient, F{}));
}

FRUGAL_INLINE void store_codes(int8_t* to, I codes, int64_t lanes) {
  const B narrow = __builtin_convertvector(codes, B);
  if (lanes == LANES) store_as(to, narrow);
  else for (int64_t l = 0; l < lanes; l++) to[l] = narrow[l];
}

FRUGAL_INLINE F divisor_of(F scale) { return select(scale > F{}, scale, set(__builtin_inff())); }

template <class T>
void quantize_rows(const Call& call, const Rows& r) {
  for_each_row(call, r, 0.3, [&](int64_t row) {
    const T* x = data_of<T>(call.tensors[0]) + row * r.columns;
    int8_t* codes = data_of<int8_t>(call.tensors[1]) + row * r.columns;
    F largest = {};
    for_vectors(r.columns, [&](int64_t i, int64_t lanes) { largest = larger_magnitude(largest, load_f_first(x + i, lanes)); });
    float top = 0;
    for (int l = 0; l < LANES; l++) top = largest[l] > top || largest[l] != largest[l] ? largest[l] : top;
    const float scale = top / 127.0f;
    data_of<float>(call.tensors[2])[row] = scale;
    const F divisor = divisor_of(set(scale));
    for_vectors(r.columns, [&](int64_t i, int64_t lanes) { store_codes(codes + i, codes_of(load_f_first(x + i, lanes), divisor), lanes); });
  });
}

/** Codes of LANES columns, which become rows: four rows make one dword per column, sixteen a piece of its row. */
template <class T>
void transpose_strip(const Call& call, const T* x, const Rows& r, int64_t column) {
  constexpr int64_t PIECE_ROWS = 16;
  const int64_t width = r.columns - column < LANES ? r.columns - column : LANES;
  const F divisor = divisor_of(load_first(data_of<float>(call.tensors[2]) + column, width));
  int8_t* codes = data_of<int8_t>(call.tensors[1]) + column * r.rows;
  for (int64_t row = 0; row < r.rows; row += PIECE_ROWS) {
    const int64_t height = r.rows - row < PIECE_ROWS ? r.rows - row : PIECE_ROWS;
    I turned[PIECE_ROWS / 4] = {};
    for (int64_t i = 0; i < height; i++) {
      const I code = codes_of(load_f_first(x + (row + i) * r.columns + column, width), divisor);
      turned[i / 4] |= (code & set_int(255)) << static_cast<int>(8 * (i % 4));
    }
    for (int64_t c = 0; c < width; c++) {
      const int32_t piece[PIECE_ROWS / 4] = {turned[0][c], turned[1][c], turned[2][c], turned[3][c]};
      __builtin_memcpy(codes + c * r.rows + row, piece, static_cast<size_t>(height));
    }
  }
}

template <class T>
void quantize_columns(const Call& call, const Rows& r) {
  const T* x = data_of<T>(call.tensors[0]);
  float* scales = data_of<float>(call.tensors[2]);
  const int64_t groups = (r.rows + ROW_GROUP - 1) / ROW_GROUP;
  float* largest = static_cast<float*>(scratch(Scratch::shared, static_cast<size_t>(groups * r.columns) * 4 + 64));
  const auto end_of = [&](int64_t group) { return (group + 1) * ROW_GROUP < r.rows ? (group + 1) * ROW_GROUP : r.rows; };
  parallel(call, groups, 0.15 * static_cast<double>(ROW_GROUP * r.columns), [&](int64_t group) {
    float* own = largest + group * r.columns;
    __builtin_memset(own, 0, static_cast<size_t>(r.columns) * 4);
    for (int64_t row = group * ROW_GROUP; row < end_of(group); row++) {
      for_vectors(r.columns, [&](int64_t i, int64_t lanes) {
        store_first(own + i, larger_magnitude(load_first(own + i, lanes), load_f_first(x + row * r.columns + i, lanes)), lanes);
      });
    }
  });
  for_vectors(r.columns, [&](int64_t i, int64_t lanes) {
    F top = {};
    for (int64_t group = 0; group < groups; group++) top = larger_magnitude(top, load_first(largest + group * r.columns + i, lanes));
    store_first(scales + i, top / set(127.0f), lanes);
  });
  const int64_t strips = (r.columns + LANES - 1) / LANES;
  parallel(call, strips, 0.4 * static_cast<double>(LANES * r.rows), [&](int64_t strip) { transpose_strip(call, x, r, strip * LANES); });
}

void quantize_int8(const Call& call) {
  const Tensor& x = call.tensors[0];
  const Rows r{x.dims[0], x.dims[1]};
  with_float_type(x.dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    if (call.attributes[0] != 0) quantize_columns<T>(call, r);
    else quantize_rows<T>(call, r);
  });
}

void int8_matmul(const Call& call) {
  const Tensor &a = call.tensors[0], &b = call.tensors[2], &out = call.tensors[4];
  const int64_t m = a.dims[0], k = a.dims[1], n = b.dims[0];
  const Output output{out.data, out.dtype, n, data_of<float>(call.tensors[3]), data_of<float>(call.tensors[1]), true};
  const Gemm<ActivationCodes, WeightCodes> gemm{m, n, k, {data_of<int8_t>(a), k, 1}, {data_of<int8_t>(b), k, 1}, output};
  gemm.run(call);
}

constexpr KernelEntry entries[] = {{"quantizeInt8", quantize_int8}, {"int8Matmul", int8_matmul}};

} // namespace

extern const KernelTable linear_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
