// Elementwise ops on one tensor.
#include "../simd/math.hpp"
#include "loops.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

template <F (*COMPUTE)(F)>
void apply(const Call& call, double cost) {
  const Tensor* input = &call.tensors[0];
  const Loop loop = make_loop(call.tensors[1], &input, 1);
  for_rows(call, loop, cost, [&](const Row& row, int64_t first, int64_t count) {
    float_row<1>(loop, row, first, count, [](const float* const* in, float* out, int64_t n) {
      for (int64_t i = 0; i < n; i += LANES) store(out + i, COMPUTE(load(in[0] + i)));
    });
  });
}

template <int32_t (*COMPUTE)(int32_t)>
void apply_int(const Call& call) {
  const Tensor* input = &call.tensors[0];
  const Loop loop = make_loop(call.tensors[1], &input, 1);
  for_rows(call, loop, 0.3, [&](const Row& row, int64_t first, int64_t count) {
    int32_t in[TILE], out[TILE];
    const int64_t stride = loop.inner_stride(1), bytes = element_bytes(loop.dtype[0]);
    for (int64_t done = 0; done < count; done += TILE) {
      const int64_t n = count - done < TILE ? count - done : TILE;
      const int32_t* x = read_int_tile(row.data[1] + (first + done) * stride * bytes, loop.dtype[1], stride, n, in);
      for (int64_t i = 0; i < n; i++) out[i] = COMPUTE(x[i]);
      write_int_tile(row.data[0] + (first + done) * bytes, loop.dtype[0], out, n);
    }
  });
}

// Shells give the inline functions of math.hpp an address.
F neg_f(F x) { return -x; }
F abs_f(F x) { return abs(x); }
F sign_f(F x) { return select(x > set(0.0f), set(1.0f), select(x < set(0.0f), set(-1.0f), x)); }
F exp_f(F x) { return exp(x); }
F log_f(F x) { return log(x); }
F sqrt_f(F x) { return sqrt(x); }
F rsqrt_f(F x) { return set(1.0f) / sqrt(x); }
F sin_f(F x) { return sin(x); }
F cos_f(F x) { return cos(x); }
F tanh_f(F x) { return tanh(x); }
F sigmoid_f(F x) { return sigmoid(x); }
F erf_f(F x) { return erf(x); }
F floor_f(F x) { return floor(x); }
F is_finite_f(F x) { return select(abs(x) < set(__builtin_inff()), set(1.0f), set(0.0f)); }
F logical_not_f(F x) { return select(x == set(0.0f), set(1.0f), set(0.0f)); }

int32_t neg_i(int32_t x) { return static_cast<int32_t>(-static_cast<uint32_t>(x)); }
int32_t abs_i(int32_t x) { return x < 0 ? neg_i(x) : x; }
int32_t sign_i(int32_t x) { return (x > 0) - (x < 0); }

template <F (*FLOAT)(F), int32_t (*INT)(int32_t)>
void signed_op(const Call& call) {
  if (is_float(call.tensors[0].dtype)) apply<FLOAT>(call, 0.15);
  else apply_int<INT>(call);
}

template <F (*COMPUTE)(F)>
void cheap(const Call& call) {
  apply<COMPUTE>(call, 0.2);
}
template <F (*COMPUTE)(F)>
void costly(const Call& call) {
  apply<COMPUTE>(call, 2.0);
}
template <F (*COMPUTE)(F)>
void library(const Call& call) {
  apply<COMPUTE>(call, 10.0);
}

/** Whole numbers to narrower ones are clamped. */
void cast_int(const Call& call) {
  const Tensor* input = &call.tensors[0];
  const Loop loop = make_loop(call.tensors[1], &input, 1);
  const DType to = loop.dtype[0];
  const int32_t low = to == DType::i8 ? -128 : to == DType::i32 ? INT32_MIN : 0;
  const int32_t high = to == DType::i8 ? 127 : to == DType::u8 ? 255 : to == DType::boolean ? 1 : INT32_MAX;
  for_rows(call, loop, 0.5, [&](const Row& row, int64_t first, int64_t count) {
    int32_t in[TILE], out[TILE];
    const int64_t stride = loop.inner_stride(1);
    for (int64_t done = 0; done < count; done += TILE) {
      const int64_t n = count - done < TILE ? count - done : TILE;
      const char* data = row.data[1] + (first + done) * stride * element_bytes(loop.dtype[1]);
      const int32_t* x = read_int_tile(data, loop.dtype[1], stride, n, in);
      if (to == DType::boolean) {
        for (int64_t i = 0; i < n; i++) out[i] = x[i] != 0;
      } else {
        for (int64_t i = 0; i < n; i++) out[i] = x[i] < low ? low : x[i] > high ? high : x[i];
      }
      write_int_tile(row.data[0] + (first + done) * element_bytes(to), to, out, n);
    }
  });
}

F same(F x) { return x; }

void cast(const Call& call) {
  if (!is_float(call.tensors[0].dtype) && !is_float(call.tensors[1].dtype)) cast_int(call);
  else apply<same>(call, 0.3);
}

constexpr KernelEntry entries[] = {
    {"neg", signed_op<neg_f, neg_i>}, {"abs", signed_op<abs_f, abs_i>}, {"sign", signed_op<sign_f, sign_i>},
    {"exp", costly<exp_f>},           {"log", costly<log_f>},           {"sqrt", cheap<sqrt_f>},
    {"rsqrt", cheap<rsqrt_f>},        {"sin", library<sin_f>},          {"cos", library<cos_f>},
    {"tanh", costly<tanh_f>},         {"sigmoid", costly<sigmoid_f>},   {"erf", costly<erf_f>},
    {"floor", cheap<floor_f>},        {"isFinite", cheap<is_finite_f>}, {"logicalNot", cheap<logical_not_f>},
    {"cast", cast},
};

} // namespace

extern const KernelTable unary_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
