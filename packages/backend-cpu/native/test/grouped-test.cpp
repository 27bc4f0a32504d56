#include "harness.hpp"

namespace frugal::test {
namespace {

Array list(std::initializer_list<int> values) {
  Array array(DType::i32, {static_cast<int64_t>(values.size())});
  int64_t i = 0;
  for (int value : values) array.put(i++, value);
  return array;
}

/** The group of a row, or -1. */
int64_t group_of(const Array& offsets, int64_t row) {
  for (int64_t e = 0; e + 1 < offsets.size(); e++)
    if (row >= offsets.at(e) && row < offsets.at(e + 1)) return e;
  return -1;
}

void experts(Suite& suite, DType dtype, Array offsets, int64_t N, int64_t C, int64_t F) {
  const int64_t E = offsets.size() - 1;
  Array x = suite.random(dtype, {N, C}), g = suite.random(dtype, {N, F}), weight = suite.random(dtype, {E, C, F});
  Array y(dtype, {N, F}), dx(dtype, {N, C}), dw(dtype, {E, C, F});
  suite.run("groupedMatmul", {&x, &weight, &offsets}, {&y}, {0});
  suite.expect("groupedMatmul", y, 1e-5, [&](int64_t i) {
    const int64_t e = group_of(offsets, i / F);
    double sum = 0;
    for (int64_t c = 0; e >= 0 && c < C; c++) sum += x.at({i / F, c}) * weight.at({e, c, i % F});
    return sum;
  });
  suite.run("groupedMatmul", {&g, &weight, &offsets}, {&dx}, {1});
  suite.expect("groupedMatmul transposed", dx, 1e-5, [&](int64_t i) {
    const int64_t e = group_of(offsets, i / C);
    double sum = 0;
    for (int64_t f = 0; e >= 0 && f < F; f++) sum += g.at({i / C, f}) * weight.at({e, i % C, f});
    return sum;
  });
  suite.run("groupedMatmulWeightGradient", {&x, &g, &offsets}, {&dw});
  suite.expect("groupedMatmulWeightGradient", dw, 1e-4, [&](int64_t i) {
    double sum = 0;
    for (int64_t n = 0; n < N; n++)
      if (group_of(offsets, n) == i / (C * F)) sum += x.at({n, i / F % C}) * g.at({n, i % F});
    return sum;
  });
}

void adapters(Suite& suite, DType dtype, DType weights, int64_t N, int64_t C, int64_t R, int64_t F) {
  Array x = suite.random(dtype, {N, C}), down = suite.random(weights, {3, R, C}), up = suite.random(weights, {3, R, F});
  Array adapter = suite.random(DType::i32, {N}, -1, 3), y(dtype, {N, F});
  const auto expected = [&](int64_t i) {
    const int64_t n = i / F, a = static_cast<int64_t>(adapter.at(n));
    double sum = 0;
    for (int64_t r = 0; a >= 0 && r < R; r++) {
      double narrow = 0;
      for (int64_t c = 0; c < C; c++) narrow += x.at({n, c}) * down.at({a, r, c});
      sum += narrow * up.at({a, r, i % F});
    }
    return 0.5 * sum;
  };
  suite.run("groupedLowRank", {&x, &down, &up, &adapter}, {&y}, {0.5, 0});
  suite.expect("groupedLowRank", y, 1e-5, expected);
  Array base = suite.random(dtype, {N, F});
  suite.run("groupedLowRank", {&x, &down, &up, &adapter, &base}, {&y}, {0.5, 1});
  suite.expect("groupedLowRank with a base", y, 1e-5, [&](int64_t i) { return base.at(i) + expected(i); });
}

/** Two products of the same rows, of different ranks and widths, one with a base. */
void joint_adapters(Suite& suite, int64_t N, int64_t adapters) {
  const int64_t C = 40;
  Array x = suite.random(DType::f32, {N, C}), adapter = suite.random(DType::i32, {N}, -1, static_cast<double>(adapters));
  Array down = suite.random(DType::bf16, {adapters, 6, C}), up = suite.random(DType::bf16, {adapters, 6, 300}), base = suite.random(DType::f32, {N, 300});
  Array narrow = suite.random(DType::bf16, {adapters, 3, C}), wide = suite.random(DType::bf16, {adapters, 3, 7});
  Array y(DType::f32, {N, 300}), z(DType::f32, {N, 7});
  suite.run_jointly("groupedLowRank", {{{&x, &down, &up, &adapter, &base}, &y, {0.5, 1}}, {{&x, &narrow, &wide, &adapter}, &z, {2, 0}}});
}

} // namespace

void test_grouped(Suite& suite) {
  for (DType dtype : float_types) {
    experts(suite, dtype, list({0, 3, 4, 9}), 9, 5, 6);
    experts(suite, dtype, list({2, 2, 70, 71}), 75, 33, 40);
    experts(suite, dtype, list({0, 0, 0}), 0, 5, 6);
    experts(suite, dtype, list({0, 70, 200, 201, 330}), 330, 96, 64);
    for (DType weights : float_types) {
      adapters(suite, dtype, weights, 1, 5, 2, 7);
      adapters(suite, dtype, weights, 70, 33, 6, 50);
      adapters(suite, dtype, weights, 9, 64, 16, 600);
    }
  }
  experts(suite, DType::f32, list({0, 600, 601}), 601, 9, 7);
  joint_adapters(suite, 5, 1);
  joint_adapters(suite, 40, 9);
  joint_adapters(suite, 1300, 2);
}

} // namespace frugal::test
