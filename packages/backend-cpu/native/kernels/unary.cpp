// Elementwise ops on one tensor.
#include "../simd/math.hpp"
#include "loops.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

Loop loop_of(const Call& call) {
  const Tensor* input = &call.tensors[0];
  return make_loop(call.tensors[1], &input, 1);
}

template <F (*COMPUTE)(F)>
void apply(const Call& call, double cost) {
  float_loop(call, loop_of(call), cost, [](const float* const* in, float* out, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) store(out + i, COMPUTE(load(in[0] + i)));
  });
}

template <int32_t (*COMPUTE)(int32_t)>
void apply_int(const Call& call) {
  int_loop(call, loop_of(call), [](const int32_t* const* in, int32_t* out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = COMPUTE(in[0][i]);
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

template <int32_t LOW, int32_t HIGH>
void clamp(const int32_t* const* in, int32_t* out, int64_t n) {
  for (int64_t i = 0; i < n; i++) out[i] = in[0][i] < LOW ? LOW : in[0][i] > HIGH ? HIGH : in[0][i];
}
void to_bool(const int32_t* const* in, int32_t* out, int64_t n) {
  for (int64_t i = 0; i < n; i++) out[i] = in[0][i] != 0;
}

/** Whole numbers to narrower ones are clamped. */
IntTile int_conversion(DType to) {
  switch (to) {
    case DType::boolean:
      return to_bool;
    case DType::i8:
      return clamp<-128, 127>;
    case DType::u8:
      return clamp<0, 255>;
    default:
      return clamp<INT32_MIN, INT32_MAX>;
  }
}

F same(F x) { return x; }

void cast(const Call& call) {
  const DType to = call.tensors[1].dtype;
  if (is_float(call.tensors[0].dtype) || is_float(to)) apply<same>(call, 0.3);
  else int_loop(call, loop_of(call), int_conversion(to));
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
