#include "harness.hpp"

namespace frugal::test {
namespace {

using Unary = double (*)(double);
using Binary = double (*)(double, double);

void unary(Suite& suite, const std::string& name, double low, double high, Unary f) {
  for (DType dtype : float_types) {
    for (int64_t n : {1, 15, 64, 1000}) {
      Array x = suite.random(dtype, {n}, low, high), y(dtype, {n});
      suite.run(name, {&x}, {&y});
      suite.expect(name, y, 2e-6, [&](int64_t i) { return f(x.at(i)); });
    }
  }
  Array base = suite.random(DType::f32, {7, 9}, low, high), x = base.viewed({9, 7}, {1, 9}), y(DType::f32, {9, 7});
  suite.run(name, {&x}, {&y});
  suite.expect(name + " of a transposed matrix", y, 2e-6, [&](int64_t i) { return f(x.at(i)); });
}

void binary(Suite& suite, const std::string& name, Binary f, DType result, const std::vector<DType>& dtypes) {
  for (DType dtype : dtypes) {
    const DType out = result == DType::boolean ? result : dtype;
    const double low = floating(dtype) ? 0.5 : dtype == DType::i8 ? -9 : 0, high = floating(dtype) ? 2 : 9;
    for (int64_t n : {1, 17, 700}) {
      Array a = suite.random(dtype, {3, n}, low, high), b = suite.random(dtype, {3, n}, low, high), y(out, {3, n});
      suite.run(name, {&a, &b}, {&y});
      suite.expect(name, y, 2e-6, [&](int64_t i) { return f(a.at(i), b.at(i)); });
      Array row = suite.random(dtype, {n}, low, high), column = suite.random(dtype, {3, 1}, low, high);
      suite.run(name, {&row, &column}, {&y});
      suite.expect(name + " with broadcasting", y, 2e-6, [&](int64_t i) { return f(row.at(i % n), column.at(i / n)); });
    }
  }
}

void special_values(Suite& suite) {
  const double values[] = {0, -0.0, INFINITY, -INFINITY, NAN, 1e-40, -1e-40, 88.8, -104, 3e38};
  Array x(DType::f32, {10}), y(DType::f32, {10}), finite(DType::boolean, {10});
  for (int i = 0; i < 10; i++) x.put(i, values[i]);
  const auto against = [&](const std::string& name, Unary f) {
    suite.run(name, {&x}, {&y});
    suite.expect(name + " of special values", y, 2e-6, [&](int64_t i) { return static_cast<double>(static_cast<float>(f(x.at(i)))); });
  };
  against("exp", std::exp);
  against("log", std::log);
  against("tanh", std::tanh);
  against("sqrt", std::sqrt);
  against("erf", std::erf);
  suite.run("isFinite", {&x}, {&finite});
  suite.expect("isFinite", finite, 0, [&](int64_t i) { return std::isfinite(x.at(i)) ? 1.0 : 0.0; });
  Array other(DType::f32, {10});
  for (int i = 0; i < 10; i++) other.put(i, 1);
  for (const auto* pair : {&x, &other}) {
    Array a = *pair, b = pair == &x ? other : x;
    suite.run("maximum", {&a, &b}, {&y});
    suite.expect("maximum with NaN", y, 0, [&](int64_t i) { return std::isnan(x.at(i)) ? NAN : std::fmax(x.at(i), 1); });
  }
}

void casts(Suite& suite) {
  const std::vector<DType> all{DType::f32, DType::bf16, DType::f16, DType::i8, DType::u8, DType::i32, DType::boolean};
  for (DType from : all) {
    for (DType to : all) {
      Array x = suite.random(from, {3, 37}, from == DType::boolean || from == DType::u8 ? 0 : -100, from == DType::boolean ? 2 : 100);
      Array y(to, {3, 37});
      suite.run("cast", {&x}, {&y});
      suite.expect("cast", y, 0, [&](int64_t i) {
        const double v = x.at(i);
        if (to == DType::boolean) return v != 0 ? 1.0 : 0.0;
        if (to == DType::u8) return std::fmax(0, std::trunc(v));
        return floating(to) ? v : std::trunc(v);
      });
    }
  }
}

void where(Suite& suite) {
  for (DType dtype : {DType::f32, DType::bf16, DType::u8}) {
    Array condition = suite.random(DType::boolean, {4, 19}, 0, 2), a = suite.random(dtype, {4, 19}, 0, 9), b = suite.random(dtype, {19}, 0, 9), y(dtype, {4, 19});
    suite.run("where", {&condition, &a, &b}, {&y});
    suite.expect("where", y, 0, [&](int64_t i) { return condition.at(i) != 0 ? a.at(i) : b.at(i % 19); });
  }
}

} // namespace

void test_elementwise(Suite& suite) {
  unary(suite, "neg", -3, 3, [](double x) { return -x; });
  unary(suite, "abs", -3, 3, [](double x) { return std::fabs(x); });
  unary(suite, "sign", -3, 3, [](double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x; });
  unary(suite, "exp", -20, 10, std::exp); // an f16 ends at e^11
  unary(suite, "log", 1e-3, 50, std::log);
  unary(suite, "sqrt", 0, 50, std::sqrt);
  unary(suite, "rsqrt", 0.1, 50, [](double x) { return 1 / std::sqrt(x); });
  unary(suite, "sin", -50, 50, std::sin);
  unary(suite, "cos", -50, 50, std::cos);
  unary(suite, "tanh", -12, 12, std::tanh);
  unary(suite, "sigmoid", -30, 30, [](double x) { return 1 / (1 + std::exp(-x)); });
  unary(suite, "erf", -5, 5, std::erf);
  unary(suite, "floor", -9, 9, std::floor);
  const std::vector<DType> numbers{DType::f32, DType::bf16, DType::f16, DType::i32, DType::i8};
  binary(suite, "add", [](double a, double b) { return a + b; }, DType::f32, numbers);
  binary(suite, "sub", [](double a, double b) { return a - b; }, DType::f32, numbers);
  binary(suite, "mul", [](double a, double b) { return a * b; }, DType::f32, numbers);
  binary(suite, "div", [](double a, double b) { return a / b; }, DType::f32, float_types);
  binary(suite, "pow", [](double a, double b) { return std::pow(a, b); }, DType::f32, float_types);
  binary(suite, "maximum", [](double a, double b) { return std::fmax(a, b); }, DType::f32, numbers);
  binary(suite, "minimum", [](double a, double b) { return std::fmin(a, b); }, DType::f32, numbers);
  binary(suite, "equal", [](double a, double b) { return a == b ? 1.0 : 0.0; }, DType::boolean, numbers);
  binary(suite, "less", [](double a, double b) { return a < b ? 1.0 : 0.0; }, DType::boolean, numbers);
  binary(suite, "lessEqual", [](double a, double b) { return a <= b ? 1.0 : 0.0; }, DType::boolean, numbers);
  special_values(suite);
  casts(suite);
  where(suite);
}

} // namespace frugal::test
