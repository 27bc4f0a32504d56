#include "harness.hpp"

namespace frugal::test {
namespace {

void optimizer(Suite& suite) {
  const int64_t n = 1003;
  for (DType dtype : {DType::f32, DType::bf16}) {
    Array p = suite.random(DType::f32, {n}), m = suite.random(DType::f32, {n}, -0.1, 0.1), v = suite.random(DType::f32, {n}, 0, 0.01), g = suite.random(dtype, {n});
    Array scale(DType::f32, {}), finite(DType::f32, {});
    const Array p0 = p, m0 = m, v0 = v;
    scale.put(0, 0.5);
    suite.run("adamw", {&p, &m, &v, &g, &scale, &finite}, {}, {1e-2, 0.9, 0.95, 1e-8, 0.1, 3, 4});
    suite.expect("adamw skips a step that is not finite", p, 0, [&](int64_t i) { return p0.at(i); });
    finite.put(0, 1);
    suite.run("adamw", {&p, &m, &v, &g, &scale, &finite}, {}, {1e-2, 0.9, 0.95, 1e-8, 0.1, 3, 4});
    const auto first = [&](int64_t i) { return 0.9 * m0.at(i) + 0.1 * g.at(i) * 0.5; };
    const auto second = [&](int64_t i) { return 0.95 * v0.at(i) + 0.05 * std::pow(g.at(i) * 0.5, 2); };
    suite.expect("adamw first moment", m, 1e-6, first);
    suite.expect("adamw second moment", v, 1e-6, second);
    suite.expect("adamw", p, 2e-6, [&](int64_t i) {
      const double update = first(i) / (1 - std::pow(0.9, 3)) / (std::sqrt(second(i) / (1 - std::pow(0.95, 3))) + 1e-8);
      return p0.at(i) * (1 - 1e-3) - 1e-2 * update;
    });
  }
}

void linalg(Suite& suite, int64_t n) {
  Array root = suite.random(DType::f32, {n, n}), matrix(DType::f32, {n, n}), lower(DType::f32, {n, n});
  for (int64_t i = 0; i < n * n; i++) {
    double sum = i / n == i % n ? static_cast<double>(n) : 0;
    for (int64_t k = 0; k < n; k++) sum += root.at({i / n, k}) * root.at({i % n, k});
    matrix.put(i, sum);
  }
  suite.run("cholesky", {&matrix}, {&lower});
  suite.expect("cholesky", matrix, 1e-5, [&](int64_t i) {
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += lower.at({i / n, k}) * lower.at({i % n, k});
    return sum;
  });
  const int64_t m = 70;
  Array right = suite.random(DType::f32, {n, m}), x(DType::f32, {n, m});
  for (bool transpose : {false, true}) {
    suite.run("triangularSolve", {&lower, &right}, {&x}, {transpose ? 1.0 : 0.0});
    suite.expect("triangularSolve", right, 1e-4, [&](int64_t i) {
      double sum = 0;
      for (int64_t k = 0; k < n; k++) sum += (transpose ? lower.at({k, i / m}) : lower.at({i / m, k})) * x.at({k, i % m});
      return sum;
    });
  }
}

void creation(Suite& suite) {
  for (DType dtype : {DType::f32, DType::bf16, DType::f16, DType::i32, DType::i8, DType::u8, DType::boolean}) {
    Array filled(dtype, {3, 45});
    suite.run("fill", {}, {&filled}, {1});
    suite.expect("fill", filled, 0, [](int64_t) { return 1; });
  }
  Array count(DType::i32, {37}), steps(DType::f32, {37});
  suite.run("arange", {}, {&count}, {5, -2});
  suite.expect("arange", count, 0, [](int64_t i) { return 5 - 2 * static_cast<double>(i); });
  suite.run("arange", {}, {&steps}, {0, 0.25});
  suite.expect("arange", steps, 0, [](int64_t i) { return 0.25 * static_cast<double>(i); });

  // The stream does not depend on where a tensor of it begins.
  const int64_t n = 40000;
  for (const char* name : {"randomUniform", "randomNormal"}) {
    Array all(DType::f32, {n}), tail(DType::f32, {n - 400});
    suite.run(name, {}, {&all}, {7, 9, 1000});
    suite.run(name, {}, {&tail}, {7, 9, 1100});
    suite.expect(name, tail, 0, [&](int64_t i) { return all.at(i + 400); });
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += all.at(i), squares += all.at(i) * all.at(i);
    const bool normal = name[6] == 'N';
    suite.check(std::fabs(sum / n - (normal ? 0 : 0.5)) < 0.02, std::string(name) + ": mean");
    suite.check(std::fabs(squares / n - (normal ? 1 : 1.0 / 3)) < 0.03, std::string(name) + ": mean square");
  }
}

} // namespace

void test_other(Suite& suite) {
  optimizer(suite);
  linalg(suite, 1);
  linalg(suite, 33);
  linalg(suite, 70);
  creation(suite);
}

} // namespace frugal::test
