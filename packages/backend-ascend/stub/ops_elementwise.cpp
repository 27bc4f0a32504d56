// Ops that compute each element from elements at the same place.
#include "call.h"

using namespace stub;

namespace {

using Unary = double (*)(double);
using Binary = double (*)(double, double);
using Whole = int64_t (*)(int64_t, int64_t);

void map(const View& x, const View& out, const std::function<double(double)>& compute) {
  walk(out.dims, {&x.strides, &out.strides}, [&](const Dims& at) { out.set(at[1], compute(x.at(at[0]))); });
}

int unary(Call call, const void* self, const void* result, const Types& types, Unary compute, bool toBool = false) {
  const View x = call.tensor(self, "self", types), out = call.tensor(result, "out");
  if (call.failed()) return call.status();
  call.require(x.dims == out.dims, "out has another shape");
  call.require(out.dtype == (toBool ? static_cast<int>(boolean) : x.dtype), "out has another dtype");
  return call.finish([=] { map(x, out, compute); });
}

/** Both operands repeated to the shape of the result. */
bool align(Call& call, View& a, View& b, const View& out) {
  if (call.failed()) return false;
  Dims dims = a.dims;
  if (!call.require(broadcastInto(dims, b.dims) && dims == out.dims, "shapes do not broadcast to out")) return false;
  a = a.broadcast(dims);
  b = b.broadcast(dims);
  return true;
}

int binary(Call call, const void* left, const void* right, const void* result, const Types& types, Binary compute,
           Whole whole, bool toBool = false) {
  View a = call.tensor(left, "self", types), b = call.tensor(right, "other", types);
  const View out = call.tensor(result, "out");
  if (!align(call, a, b, out)) return call.status();
  call.require(a.dtype == b.dtype, "operands have different dtypes");
  call.require(out.dtype == (toBool ? static_cast<int>(boolean) : a.dtype), "out has another dtype");
  const bool isWhole = !isFloat(a.dtype) && whole;
  const uint64_t workspace = out.size() > 256 ? 1024 : 0;
  return call.finish([=] {
    walk(out.dims, {&a.strides, &b.strides, &out.strides}, [&](const Dims& at) {
      const double x = a.at(at[0]), y = b.at(at[1]);
      out.set(at[2], isWhole ? static_cast<double>(static_cast<int32_t>(whole(static_cast<int64_t>(x), static_cast<int64_t>(y)))) : compute(x, y));
    });
  }, workspace);
}

double largest(double x, double y) { return std::isnan(x) || std::isnan(y) ? NAN : std::max(x, y); }
double smallest(double x, double y) { return std::isnan(x) || std::isnan(y) ? NAN : std::min(x, y); }

const Types kSigned{f32, f16, bf16, i32, i8, i64};

}  // namespace

#define UNARY(op, types, expression)                              \
  PHASE1(op, const void* self, const void* out) {                 \
    CALL(op);                                                     \
    return unary(call, self, out, types, [](double x) -> double { return expression; }); \
  }

UNARY(Neg, kSigned, -x)
UNARY(Abs, kSigned, std::fabs(x))
UNARY(Sign, kSigned, std::isnan(x) ? x : (x > 0) - (x < 0))
UNARY(Exp, kFloats, std::exp(x))
UNARY(Log, kFloats, std::log(x))
UNARY(Sqrt, kFloats, std::sqrt(x))
UNARY(Rsqrt, kFloats, 1 / std::sqrt(x))
UNARY(Sin, kFloats, std::sin(x))
UNARY(Cos, kFloats, std::cos(x))
UNARY(Tanh, kFloats, std::tanh(x))
UNARY(Erf, kFloats, std::erf(x))
UNARY(Floor, kFloats, std::floor(x))
UNARY(Round, kFloats, std::nearbyint(x))  // ties to even

PHASE1(IsFinite, const void* self, const void* out) {
  CALL(IsFinite);
  return unary(call, self, out, kAll, [](double x) -> double { return std::isfinite(x); }, true);
}

PHASE1(LogicalNot, const void* self, const void* out) {
  CALL(LogicalNot);
  return unary(call, self, out, kAll, [](double x) -> double { return x == 0; }, true);
}

namespace {

int scaledSum(Call call, const void* self, const void* other, const void* factor, const void* result, bool minus) {
  const double alpha = call.scalar(factor, "alpha");
  call.require(call.failed() || alpha == 1, "this stub takes alpha 1 only");
  if (minus)
    return binary(call, self, other, result, kSigned, [](double x, double y) { return x - y; },
                  [](int64_t x, int64_t y) { return x - y; });
  return binary(call, self, other, result, kSigned, [](double x, double y) { return x + y; },
                [](int64_t x, int64_t y) { return x + y; });
}

}  // namespace

PHASE1(Add, const void* self, const void* other, const void* alpha, const void* out) {
  CALL(Add);
  return scaledSum(call, self, other, alpha, out, false);
}

PHASE1(Sub, const void* self, const void* other, const void* alpha, const void* out) {
  CALL(Sub);
  return scaledSum(call, self, other, alpha, out, true);
}

PHASE1(Mul, const void* self, const void* other, const void* out) {
  CALL(Mul);
  return binary(call, self, other, out, kNumbers, [](double x, double y) { return x * y; },
                [](int64_t x, int64_t y) { return x * y; });
}

#define BINARY(op, types, expression)                                                          \
  PHASE1(op, const void* self, const void* other, const void* out) {                           \
    CALL(op);                                                                                  \
    return binary(call, self, other, out, types, [](double x, double y) -> double { return expression; }, nullptr); \
  }
#define COMPARISON(op, expression)                                                             \
  PHASE1(op, const void* self, const void* other, const void* out) {                           \
    CALL(op);                                                                                  \
    return binary(call, self, other, out, kAll, [](double x, double y) -> double { return expression; }, nullptr, true); \
  }

BINARY(Div, kFloats, x / y)
BINARY(PowTensorTensor, kFloats, std::pow(x, y))
BINARY(Maximum, kNumbers, largest(x, y))
BINARY(Minimum, kNumbers, smallest(x, y))
COMPARISON(EqTensor, x == y)
COMPARISON(LtTensor, x < y)
COMPARISON(LeTensor, x <= y)

namespace {

int withScalar(Call call, const void* self, const void* scalar, const void* result, Binary compute) {
  const View x = call.tensor(self, "self"), out = call.tensor(result, "out", {boolean});
  const double number = call.scalar(scalar, "other");
  call.require(call.failed() || x.dims == out.dims, "out has another shape");
  return call.finish([=] { map(x, out, [=](double value) { return compute(value, number); }); });
}

}  // namespace

PHASE1(NeScalar, const void* self, const void* other, const void* out) {
  CALL(NeScalar);
  return withScalar(call, self, other, out, [](double x, double y) -> double { return x != y; });
}

PHASE1(GeScalar, const void* self, const void* other, const void* out) {
  CALL(GeScalar);
  return withScalar(call, self, other, out, [](double x, double y) -> double { return x >= y; });
}

PHASE1(Clamp, const void* self, const void* low, const void* high, const void* result) {
  CALL(Clamp);
  const View x = call.tensor(self, "self", kNumbers), out = call.tensor(result, "out", kNumbers);
  const double from = call.scalar(low, "clipValueMin"), to = call.scalar(high, "clipValueMax");
  if (!call.failed()) call.require(x.dims == out.dims && x.dtype == out.dtype, "out is not like self");
  return call.finish([=] {
    map(x, out, [=](double value) { return std::isnan(value) ? value : std::min(to, std::max(from, value)); });
  });
}

PHASE1(NanToNum, const void* self, float nan, float infinity, float minusInfinity, const void* result) {
  CALL(NanToNum);
  const View x = call.tensor(self, "self", kFloats), out = call.tensor(result, "out", kFloats);
  if (!call.failed()) call.require(x.dims == out.dims && x.dtype == out.dtype, "out is not like self");
  return call.finish([=] {
    map(x, out, [=](double value) -> double {
      if (std::isnan(value)) return nan;
      return std::isinf(value) ? (value > 0 ? infinity : minusInfinity) : value;
    });
  });
}

/** Conversions out of range give something else, as on devices: nobody may rely on them. */
PHASE1(Cast, const void* self, int dtype, const void* result) {
  CALL(Cast);
  const View x = call.tensor(self, "self"), out = call.tensor(result, "out");
  if (!call.failed()) {
    call.require(x.dims == out.dims, "out has another shape");
    call.require(out.dtype == dtype, "out has not the dtype of the attribute");
  }
  const bool fromFloat = isFloat(x.dtype), toWhole = !isFloat(dtype) && dtype != boolean;
  const double limit = std::ldexp(1.0, static_cast<int>(sizeOf(dtype)) * 8 - (dtype == u8 ? 0 : 1));
  return call.finish([=] {
    map(x, out, [=](double value) -> double {
      if (!fromFloat || !toWhole) return value;
      return std::fabs(value) <= limit ? std::trunc(value) : 77;
    });
  });
}

PHASE1(SWhere, const void* condition, const void* self, const void* other, const void* result) {
  CALL(SWhere);
  View chosen = call.tensor(condition, "condition", {boolean}), a = call.tensor(self, "self"), b = call.tensor(other, "other");
  const View out = call.tensor(result, "out");
  if (call.failed()) return call.status();
  Dims dims = chosen.dims;
  const bool fits = broadcastInto(dims, a.dims) && broadcastInto(dims, b.dims) && dims == out.dims;
  if (!call.require(fits, "shapes do not broadcast to out")) return call.status();
  call.require(a.dtype == b.dtype && a.dtype == out.dtype, "dtypes differ");
  chosen = chosen.broadcast(dims), a = a.broadcast(dims), b = b.broadcast(dims);
  return call.finish([=] {
    walk(dims, {&chosen.strides, &a.strides, &b.strides, &out.strides}, [&](const Dims& at) {
      const View& from = chosen.at(at[0]) != 0 ? a : b;
      memcpy(out.data + at[3] * out.width(), from.data + at[&from == &a ? 1 : 2] * out.width(), out.width());
    });
  });
}

PHASE1(LogicalOr, const void* self, const void* other, const void* out) {
  CALL(LogicalOr);
  return binary(call, self, other, out, {boolean}, [](double x, double y) -> double { return x != 0 || y != 0; }, nullptr, true);
}

PHASE1(BitwiseXorScalar, const void* self, const void* other, const void* result) {
  CALL(BitwiseXorScalar);
  const View x = call.tensor(self, "self", {u8}), out = call.tensor(result, "out", {u8});
  const auto bits = static_cast<int64_t>(call.scalar(other, "other"));
  if (!call.failed()) call.require(x.dims == out.dims, "out has another shape");
  return call.finish([=] {
    walk(out.dims, {&x.strides, &out.strides}, [&](const Dims& at) {
      out.set(at[1], static_cast<double>(static_cast<int64_t>(x.at(at[0])) ^ bits));
    });
  });
}

PHASE1(InplaceMaskedFillScalar, const void* self, const void* where, const void* value) {
  CALL(InplaceMaskedFillScalar);
  const View out = call.tensor(self, "selfRef");
  View mask = call.tensor(where, "mask", {boolean});
  const double number = call.scalar(value, "value");
  Dims dims = out.dims;
  if (call.failed() || !call.require(broadcastInto(dims, mask.dims) && dims == out.dims, "mask does not broadcast")) return call.status();
  mask = mask.broadcast(out.dims);
  return call.finish([=] {
    walk(out.dims, {&mask.strides, &out.strides}, [&](const Dims& at) {
      if (mask.at(at[0]) != 0) out.set(at[1], number);
    });
  });
}
