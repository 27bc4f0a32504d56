#include "harness.hpp"

namespace frugal::test {
namespace {

void products(Suite& suite, DType dtype, int64_t N, int64_t rows, int64_t columns) {
  Array codes = suite.random(DType::i8, {rows, columns}, -127, 128), scales = suite.random(DType::f32, {rows}, 0.001, 0.02);
  const auto weight = [&](int64_t r, int64_t c) { return codes.at({r, c}) * scales.at(r); };
  const std::vector<double> attributes{static_cast<double>(rows), static_cast<double>(columns), 0, 0};
  Array x = suite.random(dtype, {N, columns}), y(dtype, {N, rows});
  suite.run("packedMatmul", {&x, &codes, &scales}, {&y}, attributes);
  suite.expect("packedMatmul in f32", y, 1e-5, [&](int64_t i) {
    double sum = 0;
    for (int64_t c = 0; c < columns; c++) sum += x.at({i / rows, c}) * weight(i % rows, c);
    return sum;
  });
  suite.run("packedMatmul", {&x, &codes, &scales}, {&y}, {attributes[0], attributes[1], 0, 1});
  suite.expect("packedMatmul in int8", y, 1e-6, [&](int64_t i) {
    float largest = 0;
    for (int64_t c = 0; c < columns; c++) largest = std::fmax(largest, std::fabs(static_cast<float>(x.at({i / rows, c}))));
    const float scale = largest / 127.0f;
    double sum = 0;
    for (int64_t c = 0; c < columns; c++) sum += static_cast<double>(std::nearbyint(static_cast<float>(x.at({i / rows, c})) / (scale > 0 ? scale : 1.0f))) * codes.at({i % rows, c});
    return sum * static_cast<double>(scale * static_cast<float>(scales.at(i % rows)));
  });
  Array g = suite.random(dtype, {N, rows}), dx(dtype, {N, columns});
  suite.run("packedMatmul", {&g, &codes, &scales}, {&dx}, {attributes[0], attributes[1], 1, 0});
  suite.expect("packedMatmul transposed", dx, 1e-5, [&](int64_t i) {
    double sum = 0;
    for (int64_t r = 0; r < rows; r++) sum += g.at({i / columns, r}) * weight(r, i % columns);
    return sum;
  });
  const int64_t first = rows / 3, count = rows - first;
  Array some(DType::f32, {count, columns}), indices = suite.random(DType::i32, {7}, 0, static_cast<double>(rows)), picked(DType::f32, {7, columns});
  suite.run("unpack", {&codes, &scales}, {&some}, {static_cast<double>(first)});
  suite.expect("unpack", some, 1e-7, [&](int64_t i) { return weight(first + i / columns, i % columns); });
  suite.run("packedGather", {&indices, &codes, &scales}, {&picked});
  suite.expect("packedGather", picked, 1e-7, [&](int64_t i) { return weight(static_cast<int64_t>(indices.at(i / columns)), i % columns); });
}

} // namespace

void test_packed(Suite& suite) {
  for (DType dtype : float_types) {
    products(suite, dtype, 1, 5, 3);
    products(suite, dtype, 3, 40, 67);
    products(suite, dtype, 70, 33, 130);
  }
}

} // namespace frugal::test
