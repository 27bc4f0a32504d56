#include "harness.hpp"

namespace frugal::test {
namespace {

struct Sizes {
  int64_t batch, m, k, n;
};

/** [batch, rows, columns] with the last two axes in memory order, or swapped. */
Array matrix(Suite& suite, DType dtype, int64_t batch, int64_t rows, int64_t columns, bool transposed) {
  if (!transposed) return suite.random(dtype, {batch, rows, columns});
  return suite.random(dtype, {batch, columns, rows}).viewed({batch, rows, columns}, {rows * columns, 1, rows});
}

double product(const Array& a, const Array& b, const Sizes& s, int64_t index) {
  const int64_t batch = index / (s.m * s.n), i = index / s.n % s.m, j = index % s.n;
  double sum = 0;
  for (int64_t k = 0; k < s.k; k++) sum += a.at({batch, i, k}) * b.at({batch, k, j});
  return sum;
}

void one(Suite& suite, DType dtype, const Sizes& s, bool swap_a, bool swap_b) {
  Array a = matrix(suite, dtype, s.batch, s.m, s.k, swap_a), b = matrix(suite, dtype, s.batch, s.k, s.n, swap_b);
  Array c(dtype, {s.batch, s.m, s.n});
  suite.run("matmul", {&a, &b}, {&c});
  const std::string name = "matmul " + std::to_string(s.m) + "x" + std::to_string(s.k) + "x" + std::to_string(s.n);
  // One chain of f32 sums: the error grows with its length.
  suite.expect(name, c, 1e-5 + 1e-7 * static_cast<double>(s.k), [&](int64_t i) { return product(a, b, s, i); });

  // The last row alone has the bits that it has among the others.
  if (s.m < 2 || s.batch > 1 || s.n == 0) return;
  Array row = a.viewed({1, 1, s.k}, a.strides, (s.m - 1) * a.strides[1]);
  Array alone(dtype, {1, 1, s.n});
  suite.run("matmul", {&row, &b}, {&alone});
  const size_t bytes = alone.bytes().size();
  suite.check(std::memcmp(alone.data(), c.bytes().data() + c.bytes().size() - bytes, bytes) == 0, name + ": a row alone has other bits");
}

/** Sums so small that they are denormal: a row has the same bits among many, whose tiles become bf16 in registers, and alone. */
void tiny(Suite& suite, DType dtype) {
  const int64_t m = 80, k = 6, n = 40;
  Array a = suite.random(dtype, {m, k}, -0x1p-65, 0x1p-65), b = suite.random(dtype, {k, n}, -0x1p-65, 0x1p-65), c(dtype, {m, n}), alone(dtype, {1, n});
  suite.run("matmul", {&a, &b}, {&c});
  for (int64_t row : {int64_t{0}, m - 1}) {
    Array one = a.viewed({1, k}, a.strides, row * k);
    suite.run("matmul", {&one, &b}, {&alone});
    const size_t bytes = alone.bytes().size();
    suite.check(std::memcmp(alone.data(), c.bytes().data() + static_cast<size_t>(row) * bytes, bytes) == 0, "matmul of tiny numbers: a row alone has other bits");
  }
}

/** Every second element of every second row: neither stride is 1. */
void scattered(Suite& suite) {
  Array a = suite.random(DType::f32, {14, 22}).viewed({7, 11}, {44, 2});
  Array b = suite.random(DType::f32, {22, 18}).viewed({11, 9}, {36, 2});
  Array c(DType::f32, {7, 9});
  suite.run("matmul", {&a, &b}, {&c});
  suite.expect("matmul of scattered matrices", c, 1e-5, [&](int64_t index) {
    double sum = 0;
    for (int64_t k = 0; k < 11; k++) sum += a.at({index / 9, k}) * b.at({k, index % 9});
    return sum;
  });
}

/** A batch of left sides that shares one right side. */
void shared(Suite& suite) {
  Array a = suite.random(DType::f32, {3, 5, 7}), b = suite.random(DType::f32, {7, 6}), c(DType::f32, {3, 5, 6});
  suite.run("matmul", {&a, &b}, {&c});
  suite.expect("matmul with a shared right side", c, 1e-5, [&](int64_t index) {
    double sum = 0;
    for (int64_t k = 0; k < 7; k++) sum += a.at({index / 30, index / 6 % 5, k}) * b.at({k, index % 6});
    return sum;
  });
}

/** Whole numbers, exact; the right side is [N, K]. */
void integers(Suite& suite, const Sizes& s, bool swap_a, bool swap_b) {
  const auto draw = [&](int64_t rows, int64_t columns, bool swap) {
    if (!swap) return suite.random(DType::i8, {s.batch, rows, columns}, -128, 128);
    return suite.random(DType::i8, {s.batch, columns, rows}, -128, 128).viewed({s.batch, rows, columns}, {rows * columns, 1, rows});
  };
  Array a = draw(s.m, s.k, swap_a), b = draw(s.n, s.k, swap_b), c(DType::i32, {s.batch, s.m, s.n});
  suite.run("integerMatmul", {&a, &b}, {&c});
  suite.expect("integerMatmul", c, 0, [&](int64_t index) {
    double sum = 0;
    for (int64_t k = 0; k < s.k; k++) sum += a.at({index / (s.m * s.n), index / s.n % s.m, k}) * b.at({index / (s.m * s.n), index % s.n, k});
    return sum;
  });
}

/** relu(x · weightᵀ + bias) / 2 + residual, in sections of the depth and in one. */
void layers(Suite& suite, DType dtype, int64_t m, int64_t k, int64_t n) {
  Array x = suite.random(dtype, {m, k}), weight = suite.random(dtype, {n, k});
  Array bias = suite.random(dtype, {n}), residual = suite.random(dtype, {m, n}), y(dtype, {m, n});
  suite.run("linear", {&x, &weight, &bias, &residual}, {&y}, {0, 1, 1, 3, 0.5});
  suite.expect("linear", y, 1e-5 + 1e-7 * static_cast<double>(k), [&](int64_t index) {
    const int64_t i = index / n, j = index % n;
    double sum = bias.at({j});
    for (int64_t d = 0; d < k; d++) sum += x.at({i, d}) * weight.at({j, d});
    return (sum > 0 ? sum : 0) / 2 + residual.at({i, j});
  });
}

} // namespace

void test_matmul(Suite& suite) {
  const Sizes sizes[] = {{1, 1, 1, 1},   {1, 1, 5, 33},  {1, 3, 17, 31},  {1, 10, 16, 32}, {1, 11, 15, 64},   {1, 65, 33, 70}, {1, 71, 300, 37},
                         {1, 130, 7, 90}, {2, 9, 20, 12}, {3, 66, 18, 34}, {1, 4, 0, 6},    {1, 0, 3, 5},      {1, 70, 3, 1},   {1, 100, 530, 600},
                         {1, 66, 2100, 34}, {1, 65, 8200, 5}, {2, 8, 1050, 50}, {1, 75, 48, 64}};
  for (DType dtype : float_types) {
    for (const Sizes& s : sizes) {
      if (s.m * s.k * s.n > 3000000 && dtype != DType::f32) continue; // slow in plain loops
      for (int form = 0; form < 4; form++) one(suite, dtype, s, form & 1, form & 2);
    }
  }
  for (const Sizes& s : sizes)
    for (int form = 0; form < 4; form++) integers(suite, s, form & 1, form & 2);
  scattered(suite);
  shared(suite);
  for (DType dtype : float_types) tiny(suite, dtype);
  for (DType dtype : float_types) {
    layers(suite, dtype, 1, 33, 70);
    layers(suite, dtype, 70, 20, 65);
  }
  layers(suite, DType::f32, 66, 1030, 34);
}

} // namespace frugal::test
