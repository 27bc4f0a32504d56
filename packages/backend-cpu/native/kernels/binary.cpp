// Elementwise ops on two tensors with broadcasting, and where().
#include "../simd/math.hpp"
#include "loops.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

struct Add {
  static F f(F a, F b) { return a + b; }
  static uint32_t i(uint32_t a, uint32_t b) { return a + b; }
};
struct Sub {
  static F f(F a, F b) { return a - b; }
  static uint32_t i(uint32_t a, uint32_t b) { return a - b; }
};
struct Mul {
  static F f(F a, F b) { return a * b; }
  static uint32_t i(uint32_t a, uint32_t b) { return a * b; }
};
struct Div {
  static F f(F a, F b) { return a / b; }
};
struct Pow {
  static F f(F a, F b) {
    float x[LANES], y[LANES];
    store(x, a);
    store(y, b);
    for (int i = 0; i < LANES; i++) x[i] = __builtin_powf(x[i], y[i]);
    return load(x);
  }
};
// NaN on either side gives NaN: the comparison alone would lose it on the left. -0 counts as smaller than 0.
struct Maximum {
  static F f(F a, F b) {
    const F equal = (F)((I)a & (I)b);
    return select(a != a, a, select(a == b, equal, max(a, b)));
  }
  static int32_t i(int32_t a, int32_t b) { return a > b ? a : b; }
};
struct Minimum {
  static F f(F a, F b) {
    const F equal = (F)((I)a | (I)b);
    return select(a != a, a, select(a == b, equal, min(a, b)));
  }
  static int32_t i(int32_t a, int32_t b) { return a < b ? a : b; }
};
struct Equal {
  static F f(F a, F b) { return select(a == b, set(1.0f), set(0.0f)); }
  static int32_t i(int32_t a, int32_t b) { return a == b; }
};
struct Less {
  static F f(F a, F b) { return select(a < b, set(1.0f), set(0.0f)); }
  static int32_t i(int32_t a, int32_t b) { return a < b; }
};
struct LessEqual {
  static F f(F a, F b) { return select(a <= b, set(1.0f), set(0.0f)); }
  static int32_t i(int32_t a, int32_t b) { return a <= b; }
};

Loop loop_of(const Call& call) {
  const Tensor* inputs[] = {&call.tensors[0], &call.tensors[1]};
  return make_loop(call.tensors[2], inputs, 2);
}

template <class Op>
void float_op(const Call& call, double cost) {
  float_loop(call, loop_of(call), cost, [](const float* const* in, float* out, int64_t n) {
    const float *a = in[0], *b = in[1];
    for (int64_t i = 0; i < n; i += LANES) store(out + i, Op::f(load(a + i), load(b + i)));
  });
}

template <class Op>
void int_op(const Call& call) {
  int_loop(call, loop_of(call), [](const int32_t* const* in, int32_t* out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = static_cast<int32_t>(Op::i(in[0][i], in[1][i]));
  });
}

template <class Op>
void numeric(const Call& call) {
  if (is_float(call.tensors[0].dtype)) float_op<Op>(call, 0.25);
  else int_op<Op>(call);
}

void divide(const Call& call) { float_op<Div>(call, 0.4); }
void power(const Call& call) { float_op<Pow>(call, 15.0); }

template <class T>
void choose(const Call& call) {
  const Tensor* inputs[] = {&call.tensors[0], &call.tensors[1], &call.tensors[2]};
  const Loop loop = make_loop(call.tensors[3], inputs, 3);
  for_rows(call, loop, 0.5, [&](const Row& row, int64_t first, int64_t count) {
    const int64_t sc = loop.inner_stride(1), sa = loop.inner_stride(2), sb = loop.inner_stride(3);
    T* out = reinterpret_cast<T*>(row.data[0]) + first;
    const char* condition = row.data[1] + first * sc;
    const T* a = reinterpret_cast<const T*>(row.data[2]) + first * sa;
    const T* b = reinterpret_cast<const T*>(row.data[3]) + first * sb;
    if (sc == 1 && sa == 1 && sb == 1) {
      for (int64_t i = 0; i < count; i++) out[i] = condition[i] ? a[i] : b[i];
    } else {
      for (int64_t i = 0; i < count; i++) out[i] = condition[i * sc] ? a[i * sa] : b[i * sb];
    }
  });
}

void where(const Call& call) {
  switch (element_bytes(call.tensors[3].dtype)) {
    case 4:
      return choose<uint32_t>(call);
    case 2:
      return choose<uint16_t>(call);
    default:
      return choose<uint8_t>(call);
  }
}

constexpr KernelEntry entries[] = {
    {"add", numeric<Add>},         {"sub", numeric<Sub>},         {"mul", numeric<Mul>},     {"div", divide},
    {"pow", power},                {"maximum", numeric<Maximum>}, {"minimum", numeric<Minimum>}, {"equal", numeric<Equal>},
    {"less", numeric<Less>},       {"lessEqual", numeric<LessEqual>}, {"where", where},
};

} // namespace

extern const KernelTable binary_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
