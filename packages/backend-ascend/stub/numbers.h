// Elements of tensors as numbers, and walks over views.
#pragma once
#include <cmath>
#include <cstring>
#include <numeric>

#include "stub.h"

namespace stub {

enum DType { f32 = 0, f16 = 1, i8 = 2, i32 = 3, u8 = 4, i64 = 9, f64 = 11, boolean = 12, bf16 = 27, i4 = 29 };

inline size_t sizeOf(int dtype) {
  switch (dtype) {
    case f32: case i32: return 4;
    case f16: case bf16: return 2;
    case i8: case u8: case boolean: return 1;
    case i64: case f64: return 8;
    default: return 0;
  }
}

/** Bytes that `count` elements take: two of i4 share one. */
inline int64_t bytesOf(int dtype, int64_t count) {
  return dtype == i4 ? (count + 1) / 2 : count * static_cast<int64_t>(sizeOf(dtype));
}

inline bool isFloat(int dtype) { return dtype == f32 || dtype == f16 || dtype == bf16 || dtype == f64; }

inline uint16_t toBf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

template <class T>
T get(const uint8_t* at) {
  T value;
  memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
void put(uint8_t* at, T value) {
  memcpy(at, &value, sizeof value);
}

inline double load(const uint8_t* at, int dtype) {
  switch (dtype) {
    case f32: return get<float>(at);
    case f16: return static_cast<float>(get<_Float16>(at));
    case bf16: return [&] {
      const uint32_t bits = static_cast<uint32_t>(get<uint16_t>(at)) << 16;
      float value;
      memcpy(&value, &bits, 4);
      return value;
    }();
    case i32: return get<int32_t>(at);
    case i8: return get<int8_t>(at);
    case i64: return static_cast<double>(get<int64_t>(at));
    case f64: return get<double>(at);
    default: return *at;
  }
}

/** Whole numbers keep their lowest bits. Numbers of 16 bits are rounded to f32 first, as kernels compute them. */
inline void store(uint8_t* at, int dtype, double value) {
  switch (dtype) {
    case f32: return put(at, static_cast<float>(value));
    case f16: return put(at, static_cast<_Float16>(static_cast<float>(value)));
    case bf16: return put(at, toBf16(static_cast<float>(value)));
    case f64: return put(at, value);
    case boolean: return put<uint8_t>(at, value != 0);
    case i32: return put(at, static_cast<int32_t>(static_cast<int64_t>(value)));
    case i64: return put(at, static_cast<int64_t>(value));
    default: return put(at, static_cast<uint8_t>(static_cast<int64_t>(value)));
  }
}

using Dims = std::vector<int64_t>;

inline Dims contiguous(const Dims& dims) {
  Dims strides(dims.size());
  int64_t stride = 1;
  for (size_t axis = dims.size(); axis-- > 0; stride *= dims[axis]) strides[axis] = stride;
  return strides;
}

inline int64_t product(const Dims& dims) {
  return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<int64_t>());
}

inline std::string describe(const Object& tensor) {
  std::string text = "dtype " + std::to_string(tensor.dtype) + " [";
  for (size_t axis = 0; axis < tensor.dims.size(); axis++) text += (axis ? ", " : "") + std::to_string(tensor.dims[axis]);
  return text + "]";
}

/** A tensor as kernels see it. */
struct View {
  int dtype = 0;
  Dims dims, strides;
  uint8_t* data = nullptr;

  int64_t size() const { return product(dims); }
  size_t width() const { return sizeOf(dtype); }
  double at(int64_t element) const {
    if (dtype != i4) return load(data + element * width(), dtype);
    const int nibble = data[element / 2] >> (element % 2 ? 4 : 0) & 15;
    return nibble < 8 ? nibble : nibble - 16;
  }
  void set(int64_t element, double value) const { store(data + element * width(), dtype, value); }
  /** The same with `rank` axes, repeated along those that `target` has longer. */
  View broadcast(const Dims& target) const {
    View wide{dtype, target, Dims(target.size(), 0), data};
    const size_t lead = target.size() - dims.size();
    for (size_t axis = 0; axis < dims.size(); axis++)
      wide.strides[lead + axis] = dims[axis] == 1 ? 0 : strides[axis];
    return wide;
  }
};

/** Calls `visit(places)` for each position of `dims` in row-major order: the element of every view there. */
template <class F>
void walk(const Dims& dims, const std::vector<const Dims*>& strides, F visit) {
  const int64_t total = product(dims);
  Dims position(dims.size(), 0), places(strides.size(), 0);
  for (int64_t i = 0; i < total; i++) {
    visit(places);
    for (size_t axis = dims.size(); axis-- > 0;) {
      position[axis]++;
      for (size_t v = 0; v < places.size(); v++) places[v] += (*strides[v])[axis];
      if (position[axis] < dims[axis]) break;
      for (size_t v = 0; v < places.size(); v++) places[v] -= (*strides[v])[axis] * dims[axis];
      position[axis] = 0;
    }
  }
}

/** `view` with one axis taken out: its length and stride beside what is left. */
struct Lines {
  Dims dims, strides;
  int64_t length, stride;
};

inline Lines linesOf(const View& view, int64_t axis) {
  Lines lines{view.dims, view.strides, view.dims[axis], view.strides[axis]};
  lines.dims.erase(lines.dims.begin() + axis);
  lines.strides.erase(lines.strides.begin() + axis);
  return lines;
}

}  // namespace stub
