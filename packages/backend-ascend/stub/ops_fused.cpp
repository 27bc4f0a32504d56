// Fused norms, gates, the optimizer and small elementwise ops beside them.
#include "call.h"

using namespace stub;

namespace {

bool alike(const View& a, const View& b) { return a.dims == b.dims && a.dtype == b.dtype; }

/** y = x · rstd · gamma over the last axis, with rstd [..., 1] written beside it. */
std::function<void()> normalize(View x, View gamma, double epsilon, View out, View rstd) {
  const auto last = static_cast<int64_t>(x.dims.size()) - 1;
  const Lines from = linesOf(x, last), to = linesOf(out, last), per = linesOf(rstd, last);
  return [=] {
    walk(from.dims, {&from.strides, &to.strides, &per.strides}, [&](const Dims& at) {
      double sum = 0;
      auto value = [&](int64_t i) { return x.at(at[0] + i * from.stride); };
      for (int64_t i = 0; i < from.length; i++) sum += value(i) * value(i);
      const double scale = 1 / std::sqrt(sum / static_cast<double>(from.length) + epsilon);
      rstd.set(at[2], scale);
      for (int64_t i = 0; i < from.length; i++) out.set(at[1] + i * to.stride, value(i) * scale * gamma.at(i * gamma.strides[0]));
    });
  };
}

bool checkNorm(Call& call, const View& x, const View& gamma, const View& out, const View& rstd) {
  if (call.failed() || !call.require(!x.dims.empty() && gamma.dims == Dims{x.dims.back()}, "gamma is not as long as the last axis")) return false;
  Dims expected = x.dims;
  expected.back() = 1;
  call.require(alike(out, x), "yOut is not like x");
  call.require(rstd.dims == expected, "rstdOut is f32 with 1 in the place of the last axis");
  call.require(gamma.dtype == x.dtype || gamma.dtype == f32, "gamma has neither the dtype of x nor f32");
  return !call.failed();
}

}  // namespace

PHASE1(RmsNorm, const void* self, const void* gamma, double epsilon, const void* result, const void* rstd) {
  CALL(RmsNorm);
  const View x = call.tensor(self, "x", kFloats), weight = call.tensor(gamma, "gamma", kFloats);
  const View out = call.tensor(result, "yOut", kFloats), inverse = call.tensor(rstd, "rstdOut", {f32});
  if (!checkNorm(call, x, weight, out, inverse)) return call.status();
  return call.finish(normalize(x, weight, epsilon, out, inverse), 1024);
}

PHASE1(AddRmsNorm, const void* left, const void* right, const void* gamma, double epsilon, const void* result, const void* rstd, const void* total) {
  CALL(AddRmsNorm);
  const View a = call.tensor(left, "x1", kFloats), b = call.tensor(right, "x2", kFloats), weight = call.tensor(gamma, "gamma", kFloats);
  const View out = call.tensor(result, "yOut", kFloats), inverse = call.tensor(rstd, "rstdOut", {f32}), sum = call.tensor(total, "xOut", kFloats);
  if (call.failed()) return call.status();
  call.require(alike(a, b) && alike(a, sum), "x1, x2 and xOut differ");
  if (!checkNorm(call, sum, weight, out, inverse)) return call.status();
  const auto norm = normalize(sum, weight, epsilon, out, inverse);
  return call.finish([=] {
    walk(sum.dims, {&a.strides, &b.strides, &sum.strides}, [&](const Dims& at) { sum.set(at[2], a.at(at[0]) + b.at(at[1])); });
    norm();
  }, 1024);
}

PHASE1(RmsNormGrad, const void* gradient, const void* self, const void* rstd, const void* gamma, const void* dx, const void* dgamma) {
  CALL(RmsNormGrad);
  const View g = call.tensor(gradient, "dy", kFloats), x = call.tensor(self, "x", kFloats);
  const View inverse = call.tensor(rstd, "rstd", {f32}), weight = call.tensor(gamma, "gamma", kFloats);
  const View out = call.tensor(dx, "dxOut", kFloats), sums = call.tensor(dgamma, "dgammaOut", {f32});
  if (call.failed() || !call.require(x.dims.size() >= 2 && x.dims.size() <= 8, "x has 2 to 8 axes")) return call.status();
  call.require(alike(g, x) && sums.dims == weight.dims, "dy is not like x, or dgammaOut not like gamma");
  if (!checkNorm(call, x, weight, out, inverse)) return call.status();
  const auto last = static_cast<int64_t>(x.dims.size()) - 1;
  const Lines a = linesOf(g, last), b = linesOf(x, last), per = linesOf(inverse, last), to = linesOf(out, last);
  return call.finish([=] {
    const int64_t C = b.length;
    std::vector<double> total(C, 0);
    walk(b.dims, {&a.strides, &b.strides, &per.strides, &to.strides}, [&](const Dims& at) {
      const double r = inverse.at(at[2]);
      auto dy = [&](int64_t i) { return g.at(at[0] + i * a.stride); };
      auto n = [&](int64_t i) { return x.at(at[1] + i * b.stride) * r; };
      double mean = 0;
      for (int64_t i = 0; i < C; i++) mean += dy(i) * weight.at(i * weight.strides[0]) * n(i) / static_cast<double>(C);
      for (int64_t i = 0; i < C; i++) {
        total[i] += dy(i) * n(i);
        out.set(at[3] + i * to.stride, r * (dy(i) * weight.at(i * weight.strides[0]) - n(i) * mean));
      }
    });
    for (int64_t i = 0; i < C; i++) sums.set(i * sums.strides[0], total[i]);
  }, 2048);
}

namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

PHASE1(SwiGlu, const void* self, int64_t dim, const void* result) {
  CALL(SwiGlu);
  const View x = call.tensor(self, "x", kFloats), out = call.tensor(result, "out", kFloats);
  if (call.failed() || !call.require(dim >= 0 && dim < static_cast<int64_t>(x.dims.size()) && x.dims[dim] % 2 == 0, "dim is no even axis")) return call.status();
  Dims expected = x.dims;
  expected[dim] /= 2;
  call.require(out.dims == expected && out.dtype == x.dtype, "out is not half of x");
  return call.finish([=] {
    const int64_t half = out.dims[dim] * x.strides[dim];
    walk(out.dims, {&x.strides, &out.strides}, [&](const Dims& at) {
      const double gate = x.at(at[0]);
      out.set(at[1], gate * sigmoid(gate) * x.at(at[0] + half));
    });
  });
}

PHASE1(SiluBackward, const void* gradient, const void* self, const void* result) {
  CALL(SiluBackward);
  const View g = call.tensor(gradient, "gradOutput", kFloats), x = call.tensor(self, "self", kFloats), out = call.tensor(result, "gradInput", kFloats);
  if (!call.failed()) call.require(alike(g, x) && alike(out, x), "the three tensors differ");
  return call.finish([=] {
    walk(out.dims, {&g.strides, &x.strides, &out.strides}, [&](const Dims& at) {
      const double value = x.at(at[1]), s = sigmoid(value);
      out.set(at[2], g.at(at[0]) * s * (1 + value * (1 - s)));
    });
  });
}

PHASE1(ApplyAdamWV2, const void* var, const void* m, const void* v, const void* most, const void* grad, const void* step, float lr, float beta1, float beta2, float decay, float epsilon, bool amsgrad, bool maximize) {
  CALL(ApplyAdamWV2);
  const View parameter = call.tensor(var, "varRef", kFloats), first = call.tensor(m, "mRef", kFloats), second = call.tensor(v, "vRef", kFloats);
  const View gradient = call.tensor(grad, "grad", kFloats), count = call.tensor(step, "step", {f32, i64});
  if (call.failed()) return call.status();
  call.require(!amsgrad && !most && !maximize, "this stub has no amsgrad and does not maximize");
  call.require(alike(parameter, first) && alike(parameter, second) && alike(parameter, gradient), "varRef, mRef, vRef and grad differ");
  call.require(!parameter.dims.empty() && count.size() == 1, "varRef has 1 to 8 axes, step one element");
  return call.finish([=] {
    const double t = count.at(0);
    const double b1 = beta1, b2 = beta2;
    walk(parameter.dims, {&parameter.strides, &first.strides, &second.strides, &gradient.strides}, [&](const Dims& at) {
      const double g = gradient.at(at[3]), old = parameter.at(at[0]);
      const double nextFirst = b1 * first.at(at[1]) + (1 - b1) * g, nextSecond = b2 * second.at(at[2]) + (1 - b2) * g * g;
      const double size = std::sqrt(nextSecond / (1 - std::pow(b2, t))) + epsilon;
      first.set(at[1], nextFirst);
      second.set(at[2], nextSecond);
      parameter.set(at[0], old - lr * nextFirst / (1 - std::pow(b1, t)) / size - lr * decay * old);
    });
  });
}
