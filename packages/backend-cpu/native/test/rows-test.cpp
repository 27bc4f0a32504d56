#include "harness.hpp"

namespace frugal::test {
namespace {

/** Σ f(column) over a row. */
double over(int64_t columns, const std::function<double(int64_t)>& f) {
  double sum = 0;
  for (int64_t c = 0; c < columns; c++) sum += f(c);
  return sum;
}

double log_sum_exp(const Array& x, int64_t row, double scale = 1) {
  const int64_t n = x.shape[1];
  double top = -INFINITY;
  for (int64_t c = 0; c < n; c++) top = std::fmax(top, x.at({row, c}) * scale);
  return top + std::log(over(n, [&](int64_t c) { return std::exp(x.at({row, c}) * scale - top); }));
}

void softmaxes(Suite& suite, DType dtype, int64_t R, int64_t C) {
  Array x = suite.random(dtype, {R, C}, -8, 8), y(dtype, {R, C}), log(dtype, {R, C}), g = suite.random(dtype, {R, C}), dx(dtype, {R, C});
  suite.run("softmax", {&x}, {&y});
  suite.expect("softmax", y, 2e-6, [&](int64_t i) { return std::exp(x.at(i) - log_sum_exp(x, i / C)); });
  suite.run("logSoftmax", {&x}, {&log});
  suite.expect("logSoftmax", log, 2e-6, [&](int64_t i) { return x.at(i) - log_sum_exp(x, i / C); });
  suite.run("softmaxBackward", {&g, &y}, {&dx});
  suite.expect("softmaxBackward", dx, 1e-5, [&](int64_t i) {
    return y.at(i) * (g.at(i) - over(C, [&](int64_t c) { return g.at({i / C, c}) * y.at({i / C, c}); }));
  });
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double normal_cdf(double x) { return 0.5 * (1 + std::erf(x * M_SQRT1_2)); }
double tanh_gate(double x) { return std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)); }

double activated(int kind, double x) {
  switch (kind) {
    case 0:
      return x * sigmoid(x);
    case 1:
      return x * normal_cdf(x);
    case 2:
      return 0.5 * x * (1 + tanh_gate(x));
    default:
      return std::fmax(x, 0);
  }
}
double slope(int kind, double x) {
  if (kind == 3) return x > 0 ? 1 : 0;
  return (activated(kind, x + 1e-5) - activated(kind, x - 1e-5)) / 2e-5;
}

void activations(Suite& suite, DType dtype) {
  const int64_t n = 777;
  Array x = suite.random(dtype, {n}, -6, 6), up = suite.random(dtype, {n}), g = suite.random(dtype, {n});
  Array y(dtype, {n}), dgate(dtype, {n}), dup(dtype, {n});
  suite.run("silu", {&x}, {&y});
  suite.expect("silu", y, 2e-6, [&](int64_t i) { return activated(0, x.at(i)); });
  for (int form : {0, 1}) {
    suite.run("gelu", {&x}, {&y}, {static_cast<double>(form)});
    suite.expect("gelu", y, 2e-6, [&](int64_t i) { return activated(1 + form, x.at(i)); });
  }
  for (int kind = 0; kind < 4; kind++) {
    const double attribute = kind;
    suite.run("swiglu", {&x, &up}, {&y}, {attribute});
    suite.expect("swiglu", y, 2e-6, [&](int64_t i) { return activated(kind, x.at(i)) * up.at(i); });
    suite.run("swigluBackward", {&g, &x, &up}, {&dgate, &dup}, {attribute});
    suite.expect("swigluBackward", dgate, 1e-5, [&](int64_t i) { return g.at(i) * up.at(i) * slope(kind, x.at(i)); });
    suite.expect("swigluBackward", dup, 2e-6, [&](int64_t i) { return g.at(i) * activated(kind, x.at(i)); });
  }
}

void norms(Suite& suite, DType dtype, int64_t R, int64_t C) {
  const double epsilon = 1e-5;
  Array x = suite.random(dtype, {R, C}), w = suite.random(dtype, {C}), b = suite.random(dtype, {C}), g = suite.random(dtype, {R, C});
  Array y(dtype, {R, C}), dx(dtype, {R, C}), dw(dtype, {C});
  const auto inverse = [&](int64_t row) { return 1 / std::sqrt(over(C, [&](int64_t c) { return std::pow(x.at({row, c}), 2); }) / static_cast<double>(C) + epsilon); };
  suite.run("rmsNorm", {&x, &w}, {&y}, {epsilon});
  suite.expect("rmsNorm", y, 3e-6, [&](int64_t i) { return x.at(i) * inverse(i / C) * w.at(i % C); });
  suite.run("rmsNormBackward", {&g, &x, &w}, {&dx, &dw}, {epsilon});
  suite.expect("rmsNormBackward", dx, 1e-5, [&](int64_t i) {
    const int64_t row = i / C;
    const double r = inverse(row), dot = over(C, [&](int64_t c) { return g.at({row, c}) * w.at(c) * x.at({row, c}) * r; });
    return r * (g.at(i) * w.at(i % C) - x.at(i) * r * dot / static_cast<double>(C));
  });
  suite.expect("rmsNormBackward", dw, 1e-5, [&](int64_t c) { return over(R, [&](int64_t row) { return g.at({row, c}) * x.at({row, c}) * inverse(row); }); });
  suite.run("layerNorm", {&x, &w, &b}, {&y}, {epsilon});
  suite.expect("layerNorm", y, 1e-5, [&](int64_t i) {
    const int64_t row = i / C;
    const double mean = over(C, [&](int64_t c) { return x.at({row, c}); }) / static_cast<double>(C);
    const double variance = over(C, [&](int64_t c) { return std::pow(x.at({row, c}) - mean, 2); }) / static_cast<double>(C);
    return (x.at(i) - mean) / std::sqrt(variance + epsilon) * w.at(i % C) + b.at(i % C);
  });
}

void ropes(Suite& suite, DType dtype, int64_t N, int64_t H, int64_t D, int64_t R) {
  Array x = suite.random(dtype, {N, H, D}), cos = suite.random(DType::f32, {N, R}), sin = suite.random(DType::f32, {N, R}), y(dtype, {N, H, D});
  for (bool interleaved : {false, true}) {
    for (bool inverse : {false, true}) {
      suite.run("rope", {&x, &cos, &sin}, {&y}, {interleaved ? 1.0 : 0.0, inverse ? 1.0 : 0.0});
      suite.expect("rope", y, 2e-6, [&](int64_t i) {
        const int64_t n = i / (H * D), h = i / D % H, d = i % D;
        if (d >= 2 * R) return x.at(i);
        const int64_t r = interleaved ? d / 2 : d % R;
        const bool second = interleaved ? d % 2 == 1 : d >= R;
        const int64_t partner = interleaved ? d + (second ? -1 : 1) : d + (second ? -R : R);
        const double sign = (second ? 1 : -1) * (inverse ? -1 : 1);
        return x.at(i) * cos.at({n, r}) + sign * x.at({n, h, partner}) * sin.at({n, r});
      });
    }
  }
}

void losses(Suite& suite, DType dtype, int64_t N, int64_t V) {
  Array x = suite.random(dtype, {N, V}, -9, 9), t = suite.random(dtype, {N, V}, -9, 9), targets = suite.random(DType::i32, {N}, 0, static_cast<double>(V));
  targets.put(0, -100);
  Array loss(DType::f32, {N}), total(DType::f32, {N}), teacher_total(DType::f32, {N}), g = suite.random(DType::f32, {N}), dx(dtype, {N, V});
  const auto target = [&](int64_t n) { return static_cast<int64_t>(targets.at(n)); };
  suite.run("crossEntropy", {&x, &targets}, {&loss, &total}, {-100});
  suite.expect("crossEntropy", loss, 3e-6, [&](int64_t n) { return target(n) < 0 ? 0 : log_sum_exp(x, n) - x.at({n, target(n)}); });
  suite.run("crossEntropyBackward", {&g, &x, &targets, &total}, {&dx}, {-100});
  suite.expect("crossEntropyBackward", dx, 3e-6, [&](int64_t i) {
    const int64_t n = i / V;
    return target(n) < 0 ? 0 : g.at(n) * (std::exp(x.at(i) - log_sum_exp(x, n)) - (i % V == target(n) ? 1 : 0));
  });
  const double T = 2;
  const auto log_p = [&](const Array& a, int64_t n, int64_t v) { return a.at({n, v}) / T - log_sum_exp(a, n, 1 / T); };
  suite.run("klDivergence", {&x, &t}, {&loss, &total, &teacher_total}, {T});
  suite.expect("klDivergence", loss, 1e-5, [&](int64_t n) {
    return over(V, [&](int64_t v) { return std::exp(log_p(t, n, v)) * (log_p(t, n, v) - log_p(x, n, v)); });
  });
  suite.run("klDivergenceBackward", {&g, &x, &t, &total, &teacher_total}, {&dx}, {T});
  suite.expect("klDivergenceBackward", dx, 1e-5, [&](int64_t i) {
    return g.at(i / V) / T * (std::exp(log_p(x, i / V, i % V)) - std::exp(log_p(t, i / V, i % V)));
  });
}

} // namespace

void test_rows(Suite& suite) {
  for (DType dtype : float_types) {
    for (int64_t columns : {1, 13, 64, 333}) {
      softmaxes(suite, dtype, 5, columns);
      norms(suite, dtype, 37, columns);
    }
    activations(suite, dtype);
    ropes(suite, dtype, 5, 3, 11, 4);
    ropes(suite, dtype, 3, 2, 64, 32);
    losses(suite, dtype, 4, 40);
  }
  softmaxes(suite, DType::f32, 2, 5000);
  losses(suite, DType::f32, 2, 300);
}

} // namespace frugal::test
