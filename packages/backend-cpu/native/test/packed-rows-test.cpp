#include "harness.hpp"

namespace frugal::test {
namespace {

/** A matrix of the layout rows16: the first attributes of its kernels, the bytes of its parts and of the blob. */
struct Layout {
  const char* name;
  double scheme, bits, table;
  int64_t row_bytes, blob_bytes;
};

constexpr int64_t ROWS = 35, PANELS = 3;

/** Sums of `terms` f32 products differ from exact ones by terms · 2^-24 · Σ |x| · the largest weight, and no more. */
template <class Expected>
void expect_sums(Suite& suite, const std::string& name, const Array& y, const Array& x, const Array& weights, Expected expected) {
  double largest = 0, worst = 0;
  for (int64_t i = 0; i < weights.size(); i++) largest = std::fmax(largest, std::fabs(weights.at(i)));
  const int64_t terms = x.shape[1], outputs = y.shape[1];
  for (int64_t i = 0; i < y.size(); i++) {
    double size = 0;
    for (int64_t c = 0; c < terms; c++) size += std::fabs(x.at({i / outputs, c}));
    const double bound = static_cast<double>(terms + 8) * std::ldexp(1.0, -24) * size * largest;
    worst = std::fmax(worst, std::fabs(y.at(i) - expected(i)) / bound);
  }
  suite.check(worst <= 1, name + ": " + std::to_string(worst) + " times the bound");
}

/** Random blocks come back, and no kernel reads or writes a byte too far (the sanitizer looks). */
void round_trip(Suite& suite, const Layout& layout, int64_t columns) {
  const std::vector<double> attributes{ROWS, static_cast<double>(columns), layout.scheme, layout.bits, layout.table, 0, 0, 0, 0};
  Array blocks = suite.random(DType::u8, {ROWS, layout.row_bytes}, 0, 60), blob(DType::u8, {layout.blob_bytes}), back(DType::u8, {ROWS, layout.row_bytes});
  suite.run("packedRowsRepack", {&blocks}, {&blob}, attributes);
  suite.run("packedRowsStandard", {&blob}, {&back}, attributes);
  suite.expect(std::string("repacking ") + layout.name, back, 0, [&](int64_t i) { return blocks.at(i); });
  const auto with = [&](double last) {
    std::vector<double> all = attributes;
    all.push_back(last);
    return all;
  };
  Array weights(DType::f32, {ROWS, columns});
  suite.run("packedRowsUnpack", {&blob}, {&weights}, with(0));
  Array x = suite.random(DType::f32, {5, columns}), y(DType::f32, {5, ROWS});
  suite.run("packedRowsMatmul", {&x, &blob}, {&y}, with(0));
  expect_sums(suite, std::string("products with ") + layout.name, y, x, weights, [&](int64_t i) {
    double sum = 0;
    for (int64_t c = 0; c < columns; c++) sum += x.at({i / ROWS, c}) * weights.at({i % ROWS, c});
    return sum;
  });
  suite.run("packedRowsMatmul", {&x, &blob}, {&y}, with(2));
  expect_sums(suite, std::string("int8 products with ") + layout.name, y, x, weights, [&](int64_t i) {
    double sum = 0;
    for (int64_t start = 0; start < columns; start += 32) {
      float largest = 0;
      for (int64_t c = start; c < start + 32; c++) largest = std::fmax(largest, std::fabs(static_cast<float>(x.at({i / ROWS, c}))));
      const float scale = largest / 127.0f;
      for (int64_t c = start; c < start + 32; c++)
        sum += std::nearbyint(static_cast<float>(x.at({i / ROWS, c})) / scale) * static_cast<double>(scale) * weights.at({i % ROWS, c});
    }
    return sum;
  });
}

/** Products of the same rows with matrices of different formats and heights. */
void joint_products(Suite& suite, int64_t rows) {
  constexpr int64_t COLUMNS = 256;
  // Rows, scheme and bits; bytes of a row, of a block of a panel.
  struct Format {
    double rows, scheme, bits;
    int64_t row_bytes, block_bytes;
  };
  const Format formats[]{{35, 1, 4, 160, 320}, {16, 0, 8, 272, 544}, {5, 0, 4, 144, 288}};
  Array x = suite.random(DType::f32, {rows, COLUMNS});
  std::vector<Array> blobs, results;
  std::vector<Suite::Part> parts;
  for (const Format& f : formats) {
    const int64_t height = static_cast<int64_t>(f.rows), panels = (height + 15) / 16;
    std::vector<double> attributes{f.rows, COLUMNS, f.scheme, f.bits, 0, 0, 0, 0, 0};
    Array blocks = suite.random(DType::u8, {height, f.row_bytes}, 0, 60);
    blobs.emplace_back(DType::u8, Shape{panels * COLUMNS / 32 * f.block_bytes});
    results.emplace_back(DType::f32, Shape{rows, height});
    suite.run("packedRowsRepack", {&blocks}, {&blobs.back()}, attributes);
    attributes.push_back(2);
    parts.push_back({{&x, nullptr}, nullptr, attributes});
  }
  for (size_t i = 0; i < parts.size(); i++) parts[i].inputs[1] = &blobs[i], parts[i].output = &results[i];
  suite.run_jointly("packedRowsMatmul", parts);
}

} // namespace

void test_packed_rows(Suite& suite) {
  const auto blob = [](int64_t blocks, int64_t block_bytes, int64_t header) { return PANELS * (blocks * block_bytes + (blocks + 7) / 8 * header); };
  for (int64_t blocks : {3, 8}) {
    const int64_t columns = blocks * 32;
    round_trip(suite, {"q8_0", 0, 8, 0, blocks * 34, blob(blocks, 544, 0)}, columns);
    round_trip(suite, {"q4_0", 0, 4, 0, blocks * 18, blob(blocks, 288, 0)}, columns);
    round_trip(suite, {"iq4_nl", 0, 4, 1, blocks * 18, blob(blocks, 288, 0)}, columns);
    round_trip(suite, {"q5_0", 0, 5, 0, blocks * 22, blob(blocks, 352, 0)}, columns);
    round_trip(suite, {"q4_1", 1, 4, 0, blocks * 20, blob(blocks, 320, 0)}, columns);
    round_trip(suite, {"q5_1", 1, 5, 0, blocks * 24, blob(blocks, 384, 0)}, columns);
  }
  for (int64_t rows : {1, 3, 16, 40}) joint_products(suite, rows);
  for (int64_t blocks : {8, 16}) {
    const int64_t columns = blocks * 32, supers = blocks / 8;
    round_trip(suite, {"q4_k", 2, 4, 0, supers * 144, blob(blocks, 288, 64)}, columns);
    round_trip(suite, {"q5_k", 2, 5, 0, supers * 176, blob(blocks, 352, 64)}, columns);
    round_trip(suite, {"q3_k", 3, 3, 0, supers * 110, blob(blocks, 224, 32)}, columns);
    round_trip(suite, {"q6_k", 3, 6, 0, supers * 210, blob(blocks, 416, 32)}, columns);
    round_trip(suite, {"q2_k", 4, 2, 0, supers * 84, blob(blocks, 160, 64)}, columns);
  }
}

} // namespace frugal::test
