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

template <class Op>
void float_op(const Call& call, double cost) {
  const Tensor* inputs[] = {&call.tensors[0], &call.tensors[1]};
  const Loop loop = make_loop(call.tensors[2], inputs, 2);
  for_rows(call, loop, cost, [&](const Row& row, int64_t first, int64_t count) {
    float_row<2>(loop, row, first, count, [](const float* const* in, float* out, int64_t n) {
      const float *a = in[0], *b = in[1];
      for (int64_t i = 0; i < n; i += LANES) store(out + i, Op::f(load(a + i), load(b + i)));
    });
  });
}

template <class Op>
void int_op(const Call& call) {
  const Tensor* inputs[] = {&call.tensors[0], &call.tensors[1]};
  const Loop loop = make_loop(call.tensors[2], inputs, 2);
  for_rows(call, loop, 0.4, [&](const Row& row, int64_t first, int64_t count) {
    int32_t in[2][TILE], out[TILE];
    for (int64_t done = 0; done < count; done += TILE) {
      const int64_t n = count - done < TILE ? count - done : TILE;
      const int32_t* x[2];
      for (int k = 0; k < 2; k++) {
        const int64_t stride = loop.inner_stride(k + 1);
        const char* data = row.data[k + 1] + (first + done) * stride * element_bytes(loop.dtype[k + 1]);
        x[k] = read_int_tile(data, loop.dtype[k + 1], stride, n, in[k]);
      }
      for (int64_t i = 0; i < n; i++) out[i] = static_cast<int32_t>(Op::i(x[0][i], x[1][i]));
      write_int_tile(row.data[0] + (first + done) * element_bytes(loop.dtype[0]), loop.dtype[0], out, n);
    }
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
