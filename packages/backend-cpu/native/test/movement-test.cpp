#include <algorithm>
#include <numeric>

#include "harness.hpp"

namespace frugal::test {
namespace {

const std::vector<DType> sizes{DType::f32, DType::bf16, DType::u8};

void copies(Suite& suite) {
  for (DType dtype : sizes) {
    Array base = suite.random(dtype, {5, 33, 40}, 0, 9);
    const Array views[] = {base, base.viewed({5, 40, 33}, {1320, 1, 40}), base.viewed({40, 33, 5}, {1, 40, 1320}),
                           base.viewed({3, 10, 7}, {1320, 80, 3}, 41), base.viewed({2, 3, 40}, {0, 40, 1})};
    for (Array x : views) {
      Array y(dtype, x.shape), target(dtype, x.shape);
      suite.run("copy", {&x}, {&y});
      suite.expect("copy", y, 0, [&](int64_t i) { return x.at(i); });
      suite.run("assign", {&target, &x}, {});
      suite.expect("assign", target, 0, [&](int64_t i) { return x.at(i); });
    }
    Array x = suite.random(dtype, {3, 7}, 0, 9), y(dtype, {6, 12});
    suite.run("pad", {&x}, {&y}, {4, 1, 2});
    suite.expect("pad", y, 0, [&](int64_t i) {
      const int64_t r = i / 12 - 1, c = i % 12 - 2;
      return r >= 0 && r < 3 && c >= 0 && c < 7 ? x.at({r, c}) : 4.0;
    });
    suite.run("place", {&x}, {&y}, {3, 5});
    suite.expect("place", y.viewed({3, 7}, {12, 1}, 41), 0, [&](int64_t i) { return x.at(i); });
  }
}

void rows(Suite& suite) {
  for (DType dtype : sizes) {
    Array table = suite.random(dtype, {9, 35}, 0, 9), indices = suite.random(DType::i32, {21}, 0, 9), picked(dtype, {21, 35});
    suite.run("gatherRows", {&table, &indices}, {&picked});
    const auto index = [&](int64_t i) { return static_cast<int64_t>(indices.at(i)); };
    suite.expect("gatherRows", picked, 0, [&](int64_t i) { return table.at({index(i / 35), i % 35}); });
    suite.run("writeRows", {&table, &indices, &picked}, {});
    for (int64_t i = 0; i < 21 * 35; i++) suite.check(table.at({index(i / 35), i % 35}) == picked.at(i), "writeRows");
    if (dtype == DType::u8) continue;
    Array sums(dtype, {9, 35});
    suite.run("scatterAddRows", {&indices, &picked}, {&sums});
    suite.expect("scatterAddRows", sums, 1e-5, [&](int64_t at) {
      double sum = 0;
      for (int64_t i = 0; i < 21; i++) sum += index(i) == at / 35 ? picked.at({i, at % 35}) : 0;
      return sum;
    });
  }
}

void along_axis(Suite& suite) {
  for (DType dtype : sizes) {
    Array x = suite.random(dtype, {3, 8, 5}, 0, 9), indices = suite.random(DType::i32, {3, 4, 5}, 0, 8), y(dtype, {3, 4, 5}), back(dtype, {3, 8, 5});
    suite.run("takeAlongAxis", {&x, &indices}, {&y}, {1});
    suite.expect("takeAlongAxis", y, 0, [&](int64_t i) { return x.at({i / 20, static_cast<int64_t>(indices.at(i)), i % 5}); });
    suite.run("scatterAddAlongAxis", {&indices, &y}, {&back}, {1});
    suite.expect("scatterAddAlongAxis", back, 1e-5, [&](int64_t at) {
      double sum = 0;
      for (int64_t i = 0; i < 4; i++) {
        const bool mine = static_cast<int64_t>(indices.at({at / 40, i, at % 5})) == at / 5 % 8;
        sum += mine ? y.at({at / 40, i, at % 5}) : 0;
      }
      return sum;
    });
  }
}

void ordering(Suite& suite) {
  for (DType dtype : {DType::f32, DType::bf16, DType::i32, DType::u8}) {
    const int64_t n = 500;
    Array x = suite.random(dtype, {2, n}, 0, 100);
    if (dtype == DType::f32) x.put(3, NAN), x.put(7, -0.0), x.put(11, 0.0), x.put(12, -INFINITY);
    std::vector<int64_t> order(static_cast<size_t>(n));
    const auto ordered = [&](int64_t row, bool descending) {
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
        const double a = x.at({row, descending ? i : j}), b = x.at({row, descending ? j : i});
        return a > b || (std::isnan(a) && !std::isnan(b));
      });
    };
    for (int64_t k : {n, int64_t{1}, int64_t{40}, int64_t{300}}) {
      for (bool descending : {true, false}) {
        if (!descending && k != n) continue;
        Array values(dtype, {2, k}), places(DType::i32, {2, k});
        if (k == n) suite.run("sort", {&x}, {&values, &places}, {descending ? 1.0 : 0.0});
        else suite.run("topK", {&x}, {&values, &places}, {static_cast<double>(k)});
        for (int64_t row = 0; row < 2; row++) {
          ordered(row, descending);
          for (int64_t i = 0; i < k; i++) suite.check(places.at({row, i}) == static_cast<double>(order[static_cast<size_t>(i)]), "sort or topK");
        }
      }
    }
  }
}

} // namespace

void test_movement(Suite& suite) {
  copies(suite);
  rows(suite);
  along_axis(suite);
  ordering(suite);
}

} // namespace frugal::test
