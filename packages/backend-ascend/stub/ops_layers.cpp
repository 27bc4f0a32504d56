// Activations and softmax over the last axis.
#include "call.h"

using namespace stub;

namespace {

int activation(Call call, const void* self, const void* result, double (*compute)(double)) {
  const View x = call.tensor(self, "self", kFloats), out = call.tensor(result, "out", kFloats);
  if (!call.failed()) call.require(x.dims == out.dims && x.dtype == out.dtype, "out is not like self");
  return call.finish([=] {
    walk(out.dims, {&x.strides, &out.strides}, [&](const Dims& at) { out.set(at[1], compute(x.at(at[0]))); });
  });
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

PHASE1(Sigmoid, const void* self, const void* out) {
  CALL(Sigmoid);
  return activation(call, self, out, sigmoid);
}

PHASE1(Silu, const void* self, const void* out) {
  CALL(Silu);
  return activation(call, self, out, [](double x) { return x * sigmoid(x); });
}

PHASE1(GeluV2, const void* self, int64_t approximate, const void* out) {
  CALL(GeluV2);
  call.require(approximate == 0 || approximate == 1, "approximate");
  if (approximate == 1)
    return activation(call, self, out, [](double x) { return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); });
  return activation(call, self, out, [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); });
}

namespace {

int softmax(Call call, const void* self, int64_t dim, const void* result, bool isLog) {
  const View x = call.tensor(self, "self", kFloats), out = call.tensor(result, "out", kFloats);
  if (call.failed() || !call.require(dim >= 0 && dim < static_cast<int64_t>(x.dims.size()), "dim out of range")) return call.status();
  call.require(x.dims == out.dims && x.dtype == out.dtype, "out is not like self");
  const Lines from = linesOf(x, dim), to = linesOf(out, dim);
  return call.finish([=] {
    walk(from.dims, {&from.strides, &to.strides}, [&](const Dims& at) {
      double best = -INFINITY, sum = 0;
      auto value = [&](int64_t i) { return x.at(at[0] + i * from.stride); };
      for (int64_t i = 0; i < from.length; i++) best = std::max(best, value(i));
      for (int64_t i = 0; i < from.length; i++) sum += std::exp(value(i) - best);
      for (int64_t i = 0; i < from.length; i++)
        out.set(at[1] + i * to.stride, isLog ? value(i) - best - std::log(sum) : std::exp(value(i) - best) / sum);
    });
  }, 2048);
}

}  // namespace

PHASE1(Softmax, const void* self, int64_t dim, const void* out) {
  CALL(Softmax);
  return softmax(call, self, dim, out, false);
}

PHASE1(LogSoftmax, const void* self, int64_t dim, const void* out) {
  CALL(LogSoftmax);
  return softmax(call, self, dim, out, true);
}

PHASE1(SoftmaxBackward, const void* gradient, const void* output, int64_t dim, const void* result) {
  CALL(SoftmaxBackward);
  const View g = call.tensor(gradient, "gradOutput", kFloats), y = call.tensor(output, "output", kFloats);
  const View out = call.tensor(result, "out", kFloats);
  if (call.failed() || !call.require(dim >= 0 && dim < static_cast<int64_t>(y.dims.size()), "dim out of range")) return call.status();
  call.require(g.dims == y.dims && out.dims == y.dims && g.dtype == y.dtype && out.dtype == y.dtype, "out is not like output");
  const Lines a = linesOf(g, dim), b = linesOf(y, dim), to = linesOf(out, dim);
  return call.finish([=] {
    walk(a.dims, {&a.strides, &b.strides, &to.strides}, [&](const Dims& at) {
      double sum = 0;
      for (int64_t i = 0; i < a.length; i++) sum += g.at(at[0] + i * a.stride) * y.at(at[1] + i * b.stride);
      for (int64_t i = 0; i < a.length; i++)
        out.set(at[2] + i * to.stride, y.at(at[1] + i * b.stride) * (g.at(at[0] + i * a.stride) - sum));
    });
  });
}
