#pragma once
// Runs kernels without Node: exactly sized heap arrays (so that the address sanitizer sees every byte too far), a plain
// definition of each op in f64 beside it, and every call on one thread and on three, which must agree bit for bit.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "../core/registry.hpp"

namespace frugal::test {

inline int bytes_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
    default:
      return 1;
  }
}

inline bool floating(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16; }

inline float bits_to_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline uint32_t float_to_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

inline double half_to_double(uint16_t h) {
  const int exponent = h >> 10 & 31, mantissa = h & 1023;
  const double sign = h & 0x8000 ? -1 : 1;
  if (exponent == 31) return mantissa ? NAN : sign * INFINITY;
  return exponent == 0 ? sign * std::ldexp(mantissa, -24) : sign * std::ldexp(1024 + mantissa, exponent - 25);
}

/** The half nearest to a number of moderate size (the tests use no others). */
inline uint16_t double_to_half(double x) {
  uint16_t best = 0;
  double error = INFINITY;
  for (int exponent = 0; exponent < 31; exponent++) {
    const double unit = std::ldexp(1.0, (exponent == 0 ? 1 : exponent) - 25);
    const double mantissa = std::nearbyint(std::fabs(x) / unit) - (exponent == 0 ? 0 : 1024);
    if (mantissa < 0 || mantissa > 1023) continue;
    const uint16_t h = static_cast<uint16_t>((x < 0 ? 0x8000 : 0) | exponent << 10 | static_cast<int>(mantissa));
    if (std::fabs(half_to_double(h) - x) < error) best = h, error = std::fabs(half_to_double(h) - x);
  }
  return best;
}

using Shape = std::vector<int64_t>;

inline int64_t size_of(const Shape& shape) {
  int64_t size = 1;
  for (int64_t n : shape) size *= n;
  return size;
}

inline Shape contiguous(const Shape& shape) {
  Shape strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) strides[i] = stride, stride *= shape[i];
  return strides;
}

/** A tensor whose memory has exactly the bytes that its elements need. */
class Array {
 public:
  DType dtype;
  Shape shape, strides;

  Array(DType type, Shape dims) : dtype(type), shape(dims), strides(contiguous(dims)), bytes_(static_cast<size_t>(size_of(dims) * bytes_of(type))) {}

  /** The same memory with other axes, for strided inputs. */
  Array viewed(Shape dims, Shape steps, int64_t offset = 0) const {
    Array view = *this;
    view.shape = dims;
    view.strides = steps;
    view.offset_ = offset;
    return view;
  }

  char* data() { return bytes_.data() + offset_ * bytes_of(dtype); }
  std::vector<char>& bytes() { return bytes_; }
  int64_t size() const { return size_of(shape); }

  /** Element by row-major position. */
  double at(int64_t index) const { return load(position(index)); }
  double at(std::initializer_list<int64_t> index) const {
    int64_t place = offset_;
    size_t axis = 0;
    for (int64_t i : index) place += i * strides[axis++];
    return load(place);
  }
  void put(int64_t index, double value) { store(position(index), value); }

  Tensor tensor() {
    Tensor t{};
    t.data = data();
    t.dtype = dtype;
    t.rank = static_cast<int32_t>(shape.size());
    for (size_t i = 0; i < shape.size(); i++) t.dims[i] = shape[i], t.strides[i] = strides[i];
    return t;
  }

 private:
  std::vector<char> bytes_;
  int64_t offset_ = 0;

  int64_t position(int64_t index) const {
    int64_t place = offset_;
    for (size_t axis = shape.size(); axis-- > 0;) {
      place += index % shape[axis] * strides[axis];
      index /= shape[axis];
    }
    return place;
  }
  double load(int64_t i) const {
    const char* p = bytes_.data() + i * bytes_of(dtype);
    uint16_t h = 0;
    switch (dtype) {
      case DType::f32: {
        float value;
        std::memcpy(&value, p, 4);
        return static_cast<double>(value);
      }
      case DType::i32: {
        int32_t value;
        std::memcpy(&value, p, 4);
        return value;
      }
      case DType::bf16:
        std::memcpy(&h, p, 2);
        return static_cast<double>(bits_to_float(static_cast<uint32_t>(h) << 16));
      case DType::f16:
        std::memcpy(&h, p, 2);
        return half_to_double(h);
      case DType::i8:
        return static_cast<int8_t>(*p);
      default:
        return static_cast<uint8_t>(*p);
    }
  }
  void store(int64_t i, double value) {
    char* p = bytes_.data() + i * bytes_of(dtype);
    if (dtype == DType::f32) {
      const float x = static_cast<float>(value);
      std::memcpy(p, &x, 4);
    } else if (dtype == DType::i32) {
      const int32_t x = static_cast<int32_t>(value);
      std::memcpy(p, &x, 4);
    } else if (dtype == DType::bf16) {
      const uint32_t bits = float_to_bits(static_cast<float>(value));
      const uint16_t h = static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
      std::memcpy(p, &h, 2);
    } else if (dtype == DType::f16) {
      const uint16_t h = double_to_half(value);
      std::memcpy(p, &h, 2);
    } else {
      *p = static_cast<char>(static_cast<int>(value));
    }
  }
};

/** One ISA level under test, with its counts. */
class Suite {
 public:
  explicit Suite(Isa level) : isa(level) {}
  const Isa isa;
  int checks = 0, failures = 0;

  Array random(DType dtype, Shape shape, double low = -1, double high = 1) {
    Array array(dtype, shape);
    std::uniform_real_distribution<double> real(low, high);
    for (int64_t i = 0; i < array.size(); i++) array.put(i, floating(dtype) ? real(engine_) : std::floor(real(engine_)));
    return array;
  }

  /** Runs a kernel on one thread and on three, whatever the size, and compares the bits of all tensors. */
  void run(const std::string& name, std::vector<Array*> inputs, std::vector<Array*> outputs, std::vector<double> attributes = {}) {
    std::vector<Array*> all(inputs);
    all.insert(all.end(), outputs.begin(), outputs.end());
    const auto snapshot = [&] {
      std::vector<std::vector<char>> bytes;
      for (Array* array : all) bytes.push_back(array->bytes());
      return bytes;
    };
    const auto before = snapshot();
    launch(name, all, inputs.size(), attributes, 1);
    const auto alone = snapshot();
    for (size_t i = 0; i < all.size(); i++) all[i]->bytes() = before[i];
    launch(name, all, inputs.size(), attributes, 3);
    check(snapshot() == alone, name + ": three threads give other bits than one");
  }

  /** A call of a kernel that can run together with others. */
  struct Part {
    std::vector<Array*> inputs;
    Array* output;
    std::vector<double> attributes;
  };

  /** Runs calls as one, on one thread and on three, and compares the bits with those of each alone. */
  void run_jointly(const std::string& name, const std::vector<Part>& parts) {
    std::vector<std::vector<char>> alone;
    std::vector<std::vector<Tensor>> tensors(parts.size());
    for (size_t i = 0; i < parts.size(); i++) {
      const Part& part = parts[i];
      std::vector<Array*> all(part.inputs);
      all.push_back(part.output);
      launch(name, all, part.inputs.size(), part.attributes, 1);
      alone.push_back(part.output->bytes());
      for (Array* each : all) tensors[i].push_back(each->tensor());
    }
    const Joint* joint = entry_of(name).joint;
    for (int threads : {1, 3}) {
      std::vector<Call> calls;
      for (size_t i = 0; i < parts.size(); i++) {
        std::fill(parts[i].output->bytes().begin(), parts[i].output->bytes().end(), 0);
        calls.push_back(call_of(tensors[i], parts[i].inputs.size(), parts[i].attributes, threads));
      }
      std::vector<const Call*> each;
      for (const Call& call : calls) {
        check(joint->fits(calls[0], call), name + ": calls do not fit");
        each.push_back(&call);
      }
      joint->run(each.data(), static_cast<int32_t>(each.size()));
      for (size_t i = 0; i < parts.size(); i++) check(parts[i].output->bytes() == alone[i], name + ": other bits together than alone");
    }
  }

  void check(bool good, const std::string& message) {
    checks++;
    if (good) return;
    failures++;
    if (failures <= 20) std::printf("FAILED %s: %s\n", isa_name(isa), message.c_str());
  }

  /**
   * Compares with a definition by row-major position; `tolerance` is relative to max(1, |expected|). Of large results
   * every 29th element: 29 divides no size that kernels work in.
   */
  void expect(const std::string& name, const Array& got, double tolerance, const std::function<double(int64_t)>& expected) {
    // A result can be no nearer than its dtype.
    const double unit = got.dtype == DType::bf16 ? 1.0 / 128 : got.dtype == DType::f16 ? 1.0 / 1024 : 0;
    for (int64_t i = 0; i < got.size(); i += got.size() > 5000 ? 29 : 1) {
      const double want = expected(i), have = got.at(i);
      const double allowed = (tolerance + unit) * std::fmax(1, std::fabs(want));
      if ((std::isnan(want) && std::isnan(have)) || want == have || std::fabs(want - have) <= allowed) continue;
      return check(false, name + ": element " + std::to_string(i) + " is " + std::to_string(have) + ", not " + std::to_string(want));
    }
    check(true, name);
  }

 private:
  std::mt19937 engine_{12345};

  const KernelEntry& entry_of(const std::string& name) const {
    int number = 0;
    while (kernel_names()[static_cast<size_t>(number)] != name) number++;
    return *find_kernel(number, isa);
  }

  static Call call_of(const std::vector<Tensor>& tensors, size_t input_count, const std::vector<double>& attributes, int threads) {
    return {static_cast<int32_t>(input_count), static_cast<int32_t>(tensors.size() - input_count), threads, 0, attributes.data(), tensors.data()};
  }

  void launch(const std::string& name, const std::vector<Array*>& all, size_t input_count, const std::vector<double>& attributes, int threads) {
    std::vector<Tensor> tensors;
    for (Array* each : all) tensors.push_back(each->tensor());
    entry_of(name).kernel(call_of(tensors, input_count, attributes, threads));
  }
};

inline const std::vector<DType> float_types{DType::f32, DType::bf16, DType::f16};

// One function per file of tests.
void test_matmul(Suite&);
void test_elementwise(Suite&);
void test_reduce(Suite&);
void test_movement(Suite&);
void test_rows(Suite&);
void test_attention(Suite&);
void test_packed(Suite&);
void test_grouped(Suite&);
void test_packed_rows(Suite&);
void test_packed_floats(Suite&);
void test_joining(Suite&);
void test_other(Suite&);

} // namespace frugal::test
