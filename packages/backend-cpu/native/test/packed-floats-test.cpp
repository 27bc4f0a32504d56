#include "harness.hpp"

// Formats whose codes stand for floats: NF4, FP8 and 2:4 in the layout rows16, and bitmaps as they are.
namespace frugal::test {
namespace {

constexpr int64_t ROWS = 35, PANELS = 3;

struct Layout {
  const char* name;
  double scheme, bits;
  int64_t blob_bytes;
};

std::vector<double> attributes_of(const Layout& layout, int64_t columns, std::initializer_list<double> more = {}) {
  std::vector<double> all{ROWS, static_cast<double>(columns), layout.scheme, layout.bits, 0, 0, 0, 0, 0};
  all.insert(all.end(), more);
  return all;
}

/** x Wᵀ within the bound of f32 sums. */
void expect_products(Suite& suite, const std::string& name, const Array& x, const Array& weights, const Array& y) {
  const int64_t columns = x.shape[1];
  for (int64_t i = 0; i < y.size(); i++) {
    double sum = 0, size = 0;
    for (int64_t c = 0; c < columns; c++) {
      const double term = x.at({i / ROWS, c}) * weights.at({i % ROWS, c});
      sum += term, size += std::fabs(term);
    }
    const double bound = static_cast<double>(columns + 8) * std::ldexp(1.0, -24) * size + 1e-30;
    if (!(std::fabs(y.at(i) - sum) <= bound)) return suite.check(false, name + ": element " + std::to_string(i) + " is " + std::to_string(y.at(i)) + ", not " + std::to_string(sum));
  }
  suite.check(true, name);
}

/** The parts come back, and numbers and products are what `weight` says, for one, few and many rows. */
void round_trip(Suite& suite, const Layout& layout, int64_t columns, std::vector<Array> parts, const std::function<double(int64_t, int64_t)>& weight) {
  const std::string name = std::string(layout.name) + ", " + std::to_string(columns) + " columns";
  Array blob(DType::u8, {layout.blob_bytes});
  std::vector<Array> back;
  for (const Array& part : parts) back.emplace_back(part.dtype, part.shape);
  std::vector<Array*> in, out;
  for (size_t i = 0; i < parts.size(); i++) in.push_back(&parts[i]), out.push_back(&back[i]);
  suite.run("packedRowsRepack", in, {&blob}, attributes_of(layout, columns));
  suite.run("packedRowsStandard", {&blob}, out, attributes_of(layout, columns));
  for (size_t i = 0; i < parts.size(); i++) suite.check(parts[i].bytes() == back[i].bytes(), name + ": part " + std::to_string(i) + " does not come back");
  Array weights(DType::f32, {ROWS, columns});
  suite.run("packedRowsUnpack", {&blob}, {&weights}, attributes_of(layout, columns, {0}));
  suite.expect(name, weights, 1e-6, [&](int64_t i) { return weight(i / columns, i % columns); });
  for (int64_t count : {1, 3, 9}) {
    Array x = suite.random(DType::f32, {count, columns}), y(DType::f32, {count, ROWS});
    suite.run("packedRowsMatmul", {&x, &blob}, {&y}, attributes_of(layout, columns, {0}));
    expect_products(suite, name + ": products", x, weights, y);
  }
}

double e4m3(int code) {
  const int exponent = code >> 3 & 15, mantissa = code & 7;
  const double size = exponent == 0 ? mantissa * std::ldexp(1.0, -9) : std::ldexp(1.0 + mantissa / 8.0, exponent - 7);
  return code & 128 ? -size : size;
}

/** Two different places of each four, ascending, as a stream of bits; place(row, group, which). */
Array places_of_groups(Suite& suite, int64_t columns) {
  const int64_t groups = (columns + 3) / 4, row_bytes = (groups + 1) / 2;
  Array places(DType::u8, {ROWS, row_bytes}), drawn = suite.random(DType::u8, {ROWS, groups}, 0, 6);
  const int pairs[6] = {0 | 1 << 2, 0 | 2 << 2, 0 | 3 << 2, 1 | 2 << 2, 1 | 3 << 2, 2 | 3 << 2};
  for (int64_t r = 0; r < ROWS; r++)
    for (int64_t g = 0; g < groups; g++) {
      // Of the last, shorter group the first two columns.
      const int pair = pairs[4 * g + 4 <= columns ? static_cast<int>(drawn.at({r, g})) : 0], at = static_cast<int>(r * row_bytes + g / 2);
      places.put(at, static_cast<int>(places.at(at)) | pair << (g % 2 * 4));
    }
  return places;
}

void sparse(Suite& suite, int64_t columns, bool whole) {
  const int64_t kept = (columns + 3) / 4 * 2, blocks = (columns + 31) / 32;
  Array places = places_of_groups(suite, columns), scales = suite.random(DType::f32, {ROWS}, 0.01, 0.02);
  Array values = whole ? suite.random(DType::i8, {ROWS, kept}, -127, 128) : suite.random(DType::bf16, {ROWS, kept});
  const auto weight = [&](int64_t r, int64_t c) {
    const int bits = static_cast<int>(places.at({r, c / 8})) >> (c / 4 % 2 * 4);
    for (int which = 0; which < 2; which++)
      if ((bits >> (2 * which) & 3) == c % 4) return values.at({r, c / 4 * 2 + which}) * (whole ? scales.at(r) : 1.0);
    return 0.0;
  };
  if (whole) round_trip(suite, {"2:4-int8", 12, 4, PANELS * (blocks * 320 + 64)}, columns, {values, scales, places}, weight);
  else round_trip(suite, {"2:4", 13, 8, PANELS * blocks * 576}, columns, {values, places}, weight);
}

void fp8(Suite& suite, int64_t columns) {
  const int64_t blocks = (columns + 31) / 32, wide = (columns + 127) / 128;
  Array codes = suite.random(DType::u8, {ROWS, columns}, 0, 256);
  for (int64_t i = 0; i < codes.size(); i++)
    if ((static_cast<int>(codes.at(i)) & 127) == 127) codes.put(i, 5); // NaN is the business of another test
  const auto scaled = [&](const char* name, double scheme, int64_t bytes, Shape shape, const std::function<double(const Array&, int64_t, int64_t)>& scale) {
    Array scales = suite.random(DType::f32, shape, 0.001, 0.002);
    round_trip(suite, {name, scheme, 8, bytes}, columns, {codes, scales}, [&](int64_t r, int64_t c) { return e4m3(static_cast<int>(codes.at({r, c}))) * scale(scales, r, c); });
  };
  scaled("fp8-block128", 9, PANELS * (blocks * 512 + wide * 64), {1, wide}, [](const Array& scales, int64_t, int64_t c) { return scales.at(c / 128); });
  scaled("fp8-channel", 10, PANELS * (blocks * 512 + 64), {ROWS}, [](const Array& scales, int64_t r, int64_t) { return scales.at(r); });
  scaled("fp8-tensor", 11, PANELS * (blocks * 512 + 64), {1}, [](const Array& scales, int64_t, int64_t) { return scales.at(0); });
}

void nf4(Suite& suite, int64_t columns) {
  const int64_t groups = columns / 64, blocks = columns / 32;
  const double numbers[16] = {-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0};
  Array codes = suite.random(DType::u8, {ROWS * columns / 2}, 0, 256), absmax = suite.random(DType::f32, {ROWS * groups}, 0.1, 2);
  const auto number = [&](int64_t i) { return numbers[static_cast<int>(codes.at(i / 2)) >> (i % 2 == 0 ? 4 : 0) & 15]; };
  const int64_t bytes = PANELS * (blocks * 256 + groups * 64);
  round_trip(suite, {"nf4-plain", 7, 4, bytes}, columns, {codes, absmax}, [&](int64_t r, int64_t c) { return number(r * columns + c) * absmax.at(r * groups + c / 64); });
  Array nested = suite.random(DType::u8, {ROWS * groups}, 0, 256), scales = suite.random(DType::f32, {(ROWS * groups + 255) / 256}), map = suite.random(DType::f32, {256}), offset = suite.random(DType::f32, {1});
  const int64_t behind = nested.size() + 4 * (scales.size() + map.size() + 1);
  round_trip(suite, {"nf4", 8, 4, bytes + behind}, columns, {codes, nested, scales, map, offset}, [&](int64_t r, int64_t c) {
    const int64_t g = r * groups + c / 64;
    return number(r * columns + c) * (map.at(static_cast<int64_t>(nested.at(g))) * scales.at(g / 256) + offset.at(0));
  });
}

/** No value behind the last one may be read: the sanitizer looks. */
void bitmap(Suite& suite, DType dtype, double type, int64_t columns) {
  const bool whole = dtype == DType::i8;
  Array bits(DType::u8, {ROWS, (columns + 7) / 8}), starts(DType::i32, {ROWS + 1}), drawn = suite.random(DType::u8, {ROWS, columns}, 0, 3), scales = suite.random(DType::f32, {ROWS}, 0.01, 0.02);
  int64_t kept = 0;
  for (int64_t r = 0; r < ROWS; r++) {
    for (int64_t c = 0; c < columns; c++) {
      if (drawn.at({r, c}) == 0) continue;
      bits.put(r * bits.shape[1] + c / 8, static_cast<int>(bits.at({r, c / 8})) | 1 << (c % 8));
      kept++;
    }
    starts.put(r + 1, static_cast<double>(kept));
  }
  Array values = whole ? suite.random(dtype, {kept}, -127, 128) : suite.random(dtype, {kept});
  Array weights(DType::f32, {ROWS, columns});
  for (int64_t r = 0, next = 0; r < ROWS; r++)
    for (int64_t c = 0; c < columns; c++)
      if (drawn.at({r, c}) != 0) weights.put(r * columns + c, values.at(next++) * (whole ? scales.at(r) : 1.0));
  for (int64_t count : {1, 3, 17}) {
    Array x = suite.random(DType::f32, {count, columns}), y(DType::f32, {count, ROWS});
    std::vector<Array*> inputs{&x, &values, &bits, &starts};
    if (whole) inputs.insert(inputs.begin() + 2, &scales);
    suite.run("packedBitmapMatmul", inputs, {&y}, {ROWS, static_cast<double>(columns), type});
    expect_products(suite, "bitmap of type " + std::to_string(static_cast<int>(type)), x, weights, y);
  }
}

} // namespace

void test_packed_floats(Suite& suite) {
  for (int64_t columns : {64, 192}) nf4(suite, columns);
  for (int64_t columns : {32, 130, 413}) {
    fp8(suite, columns);
    sparse(suite, columns, true);
    sparse(suite, columns, false);
  }
  for (int64_t columns : {5, 64, 131}) {
    bitmap(suite, DType::f32, 0, columns);
    bitmap(suite, DType::bf16, 1, columns);
    bitmap(suite, DType::f16, 2, columns);
    bitmap(suite, DType::i8, 3, columns);
  }
}

} // namespace frugal::test
