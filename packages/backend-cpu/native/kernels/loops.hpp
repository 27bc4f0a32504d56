#pragma once
// Walks elementwise ops over tensors of any strides. Elements pass through tiles of f32 (or i32) numbers, so an op is
// written once for all dtypes. A tile is always computed in whole vectors: an element's bits do not depend on its
// position.
#include "../core/parallel.hpp"
#include "../simd/convert.hpp"

namespace frugal::FRUGAL_ISA {

constexpr int64_t TILE = 512;
constexpr int MAX_OPERANDS = 4; // the output and up to three inputs
/** Elements of one chunk of parallel work. */
constexpr int64_t CHUNK = 16384;

/** Loops over the elements of an output and the inputs that broadcast to it, with merged axes. */
struct Loop {
  int operands;
  int rank;
  int64_t dims[MAX_RANK];
  int64_t strides[MAX_OPERANDS][MAX_RANK]; // in elements, 0 along repeated axes
  char* data[MAX_OPERANDS];
  DType dtype[MAX_OPERANDS];

  int64_t inner() const { return rank == 0 ? 1 : dims[rank - 1]; }
  int64_t outer() const {
    int64_t count = 1;
    for (int i = 0; i + 1 < rank; i++) count *= dims[i];
    return count;
  }
  int64_t inner_stride(int operand) const { return rank == 0 ? 1 : strides[operand][rank - 1]; }
};

/** Operand 0 is the output, the others are inputs, aligned at the last axis. */
static inline Loop make_loop(const Tensor& output, const Tensor* const* inputs, int input_count) {
  Loop loop;
  loop.operands = input_count + 1;
  loop.rank = 0;
  const Tensor* all[MAX_OPERANDS] = {&output};
  for (int i = 0; i < input_count; i++) all[i + 1] = inputs[i];
  for (int i = 0; i < loop.operands; i++) {
    loop.data[i] = all[i]->data;
    loop.dtype[i] = all[i]->dtype;
  }
  for (int axis = 0; axis < output.rank; axis++) {
    const int64_t size = output.dims[axis];
    if (size == 1) continue;
    int64_t stride[MAX_OPERANDS];
    for (int i = 0; i < loop.operands; i++) {
      const int own = axis - (output.rank - all[i]->rank);
      stride[i] = own < 0 || all[i]->dims[own] == 1 ? 0 : all[i]->strides[own];
    }
    bool merge = loop.rank > 0;
    for (int i = 0; merge && i < loop.operands; i++) merge = loop.strides[i][loop.rank - 1] == stride[i] * size;
    const int at = merge ? loop.rank - 1 : loop.rank++;
    loop.dims[at] = merge ? loop.dims[at] * size : size;
    for (int i = 0; i < loop.operands; i++) loop.strides[i][at] = stride[i];
  }
  return loop;
}

/** Byte pointers of all operands at one row of the innermost axis. */
struct Row {
  char* data[MAX_OPERANDS];
};

static inline Row row_at(const Loop& loop, int64_t index) {
  Row row;
  for (int i = 0; i < loop.operands; i++) row.data[i] = loop.data[i];
  for (int axis = loop.rank - 2; axis >= 0; axis--) {
    const int64_t position = index % loop.dims[axis];
    index /= loop.dims[axis];
    for (int i = 0; i < loop.operands; i++) row.data[i] += position * loop.strides[i][axis] * element_bytes(loop.dtype[i]);
  }
  return row;
}

/** body(row, first, count) for pieces of innermost rows, in parallel; `cost` in nanoseconds per element. */
template <class Body>
static inline void for_rows(const Call& call, const Loop& loop, double cost, const Body& body) {
  const int64_t inner = loop.inner(), outer = loop.outer();
  if (inner == 0 || outer == 0) return;
  if (inner * 2 > CHUNK) {
    const int64_t pieces = (inner + CHUNK - 1) / CHUNK;
    parallel(call, outer * pieces, cost * static_cast<double>(inner < CHUNK ? inner : CHUNK), [&](int64_t chunk) {
      const int64_t first = chunk % pieces * CHUNK;
      body(row_at(loop, chunk / pieces), first, inner - first < CHUNK ? inner - first : CHUNK);
    });
    return;
  }
  const int64_t rows = CHUNK / inner;
  parallel(call, (outer + rows - 1) / rows, cost * static_cast<double>(rows * inner), [&](int64_t chunk) {
    const int64_t end = (chunk + 1) * rows < outer ? (chunk + 1) * rows : outer;
    for (int64_t index = chunk * rows; index < end; index++) body(row_at(loop, index), 0, inner);
  });
}

FRUGAL_INLINE float to_f32(int32_t x) { return static_cast<float>(x); }
FRUGAL_INLINE float to_f32(int8_t x) { return static_cast<float>(x); }
FRUGAL_INLINE float to_f32(uint8_t x) { return static_cast<float>(x); }

template <class T>
static inline const float* read_numbers(const char* data, int64_t stride, int64_t count, float* tile) {
  const T* p = reinterpret_cast<const T*>(data);
  if (stride == 0) {
    const F value = set(to_f32(*p));
    for (int64_t i = 0; i < count; i += LANES) store(tile + i, value);
  } else {
    for (int64_t i = 0; i < count; i++) tile[i] = to_f32(p[i * stride]);
  }
  return tile;
}

template <class T>
static inline const float* read_halves(const char* data, int64_t stride, int64_t count, float* tile) {
  if (stride != 1) return read_numbers<T>(data, stride, count, tile);
  for (int64_t i = 0; i < count; i += LANES) store(tile + i, load_f_first(reinterpret_cast<const T*>(data) + i, count - i));
  return tile;
}

/**
 * `count` numbers of any dtype as a tile, which has room for whole vectors; returns `data` itself when it already is
 * one.
 */
static inline const float* read_tile(const char* data, DType dtype, int64_t stride, int64_t count, float* tile) {
  switch (dtype) {
    case DType::f32:
      return stride == 1 ? reinterpret_cast<const float*>(data) : read_numbers<float>(data, stride, count, tile);
    case DType::bf16:
      return read_halves<bf16>(data, stride, count, tile);
    case DType::f16:
      return read_halves<f16>(data, stride, count, tile);
    case DType::i32:
      return read_numbers<int32_t>(data, stride, count, tile);
    case DType::i8:
      return read_numbers<int8_t>(data, stride, count, tile);
    default:
      return read_numbers<uint8_t>(data, stride, count, tile);
  }
}

/** One number of any dtype. */
static inline float read_number(const char* data, DType dtype) {
  float tile[LANES];
  return *read_tile(data, dtype, 1, 1, tile);
}

static inline const int32_t* read_int_tile(const char* data, DType dtype, int64_t stride, int64_t count, int32_t* tile) {
  switch (dtype) {
    case DType::i32:
      if (stride == 1) return reinterpret_cast<const int32_t*>(data);
      for (int64_t i = 0; i < count; i++) tile[i] = reinterpret_cast<const int32_t*>(data)[i * stride];
      return tile;
    case DType::i8:
      for (int64_t i = 0; i < count; i++) tile[i] = reinterpret_cast<const int8_t*>(data)[i * stride];
      return tile;
    default:
      for (int64_t i = 0; i < count; i++) tile[i] = reinterpret_cast<const uint8_t*>(data)[i * stride];
      return tile;
  }
}

/** Where to compute a tile of a contiguous floating output: in place for f32, else in `tile`. */
static inline float* output_tile(char* data, DType dtype, int64_t count, float* tile) {
  // The last vector may be partial: only a tile of our own has room for it.
  return dtype == DType::f32 && count % LANES == 0 ? reinterpret_cast<float*>(data) : tile;
}

/** Stores a tile of numbers; integers and bool are truncated and clamped, NaN becomes 0 there. */
static inline void write_tile(char* data, DType dtype, const float* tile, int64_t count) {
  switch (dtype) {
    case DType::f32:
      if (reinterpret_cast<float*>(data) != tile) __builtin_memcpy(data, tile, static_cast<size_t>(count) * 4);
      return;
    case DType::bf16:
      for (int64_t i = 0; i < count; i += LANES) store_f_first(reinterpret_cast<bf16*>(data) + i, load(tile + i), count - i);
      return;
    case DType::f16:
      for (int64_t i = 0; i < count; i += LANES) store_f_first(reinterpret_cast<f16*>(data) + i, load(tile + i), count - i);
      return;
    case DType::boolean:
      for (int64_t i = 0; i < count; i++) data[i] = tile[i] != 0.0f;
      return;
    default:
      break;
  }
  const float low = dtype == DType::i32 ? -2147483648.0f : dtype == DType::i8 ? -128.0f : 0.0f;
  const float high = dtype == DType::i32 ? 2147483648.0f : dtype == DType::i8 ? 127.0f : 255.0f;
  for (int64_t i = 0; i < count; i++) {
    const float x = tile[i];
    int32_t value = 0;
    if (x >= high) value = dtype == DType::i32 ? INT32_MAX : static_cast<int32_t>(high);
    else if (x > low) value = static_cast<int32_t>(x);
    else if (x <= low) value = static_cast<int32_t>(low);
    if (dtype == DType::i32) reinterpret_cast<int32_t*>(data)[i] = value;
    else data[i] = static_cast<char>(value);
  }
}

/** Stores whole numbers that fit or wrap, as two's complement does. */
static inline void write_int_tile(char* data, DType dtype, const int32_t* tile, int64_t count) {
  if (dtype == DType::i32) {
    if (reinterpret_cast<int32_t*>(data) != tile) __builtin_memcpy(data, tile, static_cast<size_t>(count) * 4);
    return;
  }
  for (int64_t i = 0; i < count; i++) data[i] = static_cast<char>(tile[i]);
}

FRUGAL_INLINE bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16; }

using FloatTile = void (*)(const float* const* in, float* out, int64_t count);
using IntTile = void (*)(const int32_t* const* in, int32_t* out, int64_t count);

/** One piece of a row: reads inputs as f32 tiles, calls `compute` for whole vectors, stores the result. */
static inline void float_row(const Loop& loop, const Row& row, int64_t first, int64_t count, FloatTile compute) {
  alignas(64) float in[MAX_OPERANDS - 1][TILE];
  alignas(64) float out[TILE];
  const float* tile[MAX_OPERANDS - 1];
  for (int64_t done = 0; done < count; done += TILE) {
    const int64_t n = count - done < TILE ? count - done : TILE;
    for (int k = 0; k + 1 < loop.operands; k++) {
      const int64_t stride = loop.inner_stride(k + 1);
      const DType dtype = loop.dtype[k + 1];
      if (stride == 0 && done > 0) continue; // a repeated number fills its tile once
      const char* data = row.data[k + 1] + (first + done) * stride * element_bytes(dtype);
      tile[k] = read_tile(data, dtype, stride, n, in[k]);
      if (n % LANES != 0 && tile[k] != in[k]) {
        // Whole vectors must not read behind the tensor.
        __builtin_memcpy(in[k], tile[k], static_cast<size_t>(n) * 4);
        tile[k] = in[k];
      }
    }
    char* to = row.data[0] + (first + done) * element_bytes(loop.dtype[0]);
    float* result = output_tile(to, loop.dtype[0], n, out);
    compute(tile, result, (n + LANES - 1) / LANES * LANES);
    write_tile(to, loop.dtype[0], result, n);
  }
}

/** An elementwise op on floating inputs; `cost` in nanoseconds per element. */
static inline void float_loop(const Call& call, const Loop& loop, double cost, FloatTile compute) {
  for_rows(call, loop, cost, [&](const Row& row, int64_t first, int64_t count) { float_row(loop, row, first, count, compute); });
}

/** An elementwise op on integers and bool. */
static inline void int_loop(const Call& call, const Loop& loop, IntTile compute) {
  for_rows(call, loop, 0.4, [&](const Row& row, int64_t first, int64_t count) {
    int32_t in[MAX_OPERANDS - 1][TILE], out[TILE];
    const int32_t* tile[MAX_OPERANDS - 1];
    for (int64_t done = 0; done < count; done += TILE) {
      const int64_t n = count - done < TILE ? count - done : TILE;
      for (int k = 0; k + 1 < loop.operands; k++) {
        const int64_t stride = loop.inner_stride(k + 1);
        const char* data = row.data[k + 1] + (first + done) * stride * element_bytes(loop.dtype[k + 1]);
        tile[k] = read_int_tile(data, loop.dtype[k + 1], stride, n, in[k]);
      }
      compute(tile, out, n);
      write_int_tile(row.data[0] + (first + done) * element_bytes(loop.dtype[0]), loop.dtype[0], out, n);
    }
  });
}

} // namespace frugal::FRUGAL_ISA
