#include "harness.hpp"

namespace frugal::test {
namespace {

/** Reduces axis `axis` of [a, b, c]. */
double reduced(const Array& x, int axis, int64_t index, const std::function<double(double, double)>& step, double start) {
  const int64_t kept = axis == 2 ? x.shape[1] : x.shape[2];
  const int64_t first = index / kept, second = index % kept;
  double result = start;
  for (int64_t i = 0; i < x.shape[static_cast<size_t>(axis)]; i++)
    result = step(result, axis == 0 ? x.at({i, first, second}) : axis == 1 ? x.at({first, i, second}) : x.at({first, second, i}));
  return result;
}

void over_axes(Suite& suite, DType dtype, Shape shape) {
  Array base = suite.random(dtype, shape, -9, 9);
  const Array swapped = base.viewed({shape[2], shape[1], shape[0]}, {1, shape[2], shape[1] * shape[2]});
  for (Array x : {base, swapped}) {
    for (int axis = 0; axis < 3; axis++) {
      Shape kept;
      for (int i = 0; i < 3; i++)
        if (i != axis) kept.push_back(x.shape[static_cast<size_t>(i)]);
      Array sum(floating(dtype) ? dtype : DType::i32, kept), top(dtype, kept), place(DType::i32, kept);
      const double which = axis;
      suite.run("sum", {&x}, {&sum}, {1, which});
      suite.expect("sum", sum, 1e-5, [&](int64_t i) { return reduced(x, axis, i, std::plus<double>(), 0); });
      suite.run("max", {&x}, {&top}, {1, which});
      const auto largest = [&](int64_t i) { return reduced(x, axis, i, [](double a, double b) { return std::fmax(a, b); }, -INFINITY); };
      suite.expect("max", top, 0, largest);
      suite.run("argMax", {&x}, {&place}, {which});
      suite.expect("argMax", place, 0, [&](int64_t i) {
        double at = 0, found = -1;
        reduced(x, axis, i, [&](double, double v) {
          if (found < 0 && v == largest(i)) found = at;
          at++;
          return 0.0;
        }, 0);
        return found;
      });
    }
  }
}

void whole(Suite& suite, int64_t n) {
  Array x = suite.random(DType::f32, {n}), sum(DType::f32, {}), squares(DType::f32, {});
  double total = 0, square_total = 0;
  for (int64_t i = 0; i < n; i++) total += x.at(i), square_total += x.at(i) * x.at(i);
  suite.run("sum", {&x}, {&sum}, {1, 0});
  suite.expect("sum of all", sum, 1e-5, [&](int64_t) { return total; });
  suite.run("sumOfSquares", {&x}, {&squares}, {0});
  suite.expect("sumOfSquares", squares, 1e-5, [&](int64_t) { return square_total; });
}

void running(Suite& suite, DType dtype) {
  Array x = suite.random(dtype, {3, 11, 5}, -9, 9), y(dtype, {3, 11, 5});
  suite.run("cumulativeSum", {&x}, {&y}, {1});
  suite.expect("cumulativeSum", y, 1e-5, [&](int64_t index) {
    double sum = 0;
    for (int64_t i = 0; i <= index / 5 % 11; i++) sum += x.at({index / 55, i, index % 5});
    return sum;
  });
}

} // namespace

void test_reduce(Suite& suite) {
  for (DType dtype : {DType::f32, DType::bf16, DType::f16, DType::i32, DType::i8}) {
    over_axes(suite, dtype, {3, 70, 9});
    over_axes(suite, dtype, {130, 2, 33});
    over_axes(suite, dtype, {1, 5, 530});
  }
  for (int64_t n : {0, 1, 17, 4099, 200000}) whole(suite, n);
  running(suite, DType::f32);
  running(suite, DType::bf16);
  running(suite, DType::i32);
}

} // namespace frugal::test
