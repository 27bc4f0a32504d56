#include "harness.hpp"

namespace frugal::test {
namespace {

struct Setup {
  std::vector<int64_t> lengths; // of the packed sequences
  int64_t H, K, D, Dv;
  bool causal;
  int64_t window; // 0: none
  double soft_cap; // 0: none

  int64_t rows() const {
    int64_t n = 0;
    for (int64_t length : lengths) n += length;
    return n;
  }
  double scale() const { return 1 / std::sqrt(static_cast<double>(D)); }
  bool sees(int64_t query, int64_t key) const {
    if (causal && key > query) return false;
    return window == 0 || std::llabs(query - key) < window;
  }
};

/** Plain attention of one query: the weights of all keys, and what the gradient needs. */
struct Row {
  std::vector<double> weights, capped;
  double total;
};

Row weigh(const Setup& s, int64_t position, int64_t length, const std::function<double(int64_t)>& dot) {
  Row row{std::vector<double>(static_cast<size_t>(length)), std::vector<double>(static_cast<size_t>(length)), 0};
  double sum = 0;
  for (int64_t j = 0; j < length; j++) {
    const double score = dot(j) * s.scale();
    const size_t at = static_cast<size_t>(j);
    row.capped[at] = s.soft_cap > 0 ? s.soft_cap * std::tanh(score / s.soft_cap) : score;
    row.weights[at] = s.sees(position, j) ? std::exp(row.capped[at]) : 0;
    sum += row.weights[at];
  }
  for (double& weight : row.weights) weight /= sum;
  row.total = std::log(sum);
  return row;
}

struct Plain {
  std::vector<double> out, total, dq, dk, dv;
};

Plain plain(const Setup& s, const Array& g, const Array& q, const Array& k, const Array& v) {
  const int64_t N = s.rows();
  const auto sized = [](int64_t n) { return std::vector<double>(static_cast<size_t>(n)); };
  Plain p{sized(N * s.H * s.Dv), sized(N * s.H), sized(N * s.H * s.D), sized(N * s.K * s.D), sized(N * s.K * s.Dv)};
  int64_t start = 0;
  for (int64_t length : s.lengths) {
    for (int64_t i = 0; i < length; i++) {
      for (int64_t h = 0; h < s.H; h++) {
        const int64_t row = start + i, head = h * s.K / s.H;
        const Row r = weigh(s, i, length, [&](int64_t j) {
          double sum = 0;
          for (int64_t d = 0; d < s.D; d++) sum += q.at({row, h, d}) * k.at({start + j, head, d});
          return sum;
        });
        p.total[static_cast<size_t>(row * s.H + h)] = r.total;
        std::vector<double> dp = sized(length);
        double mean = 0;
        for (int64_t j = 0; j < length; j++) {
          const double weight = r.weights[static_cast<size_t>(j)];
          for (int64_t d = 0; d < s.Dv; d++) {
            p.out[static_cast<size_t>((row * s.H + h) * s.Dv + d)] += weight * v.at({start + j, head, d});
            p.dv[static_cast<size_t>(((start + j) * s.K + head) * s.Dv + d)] += weight * g.at({row, h, d});
            dp[static_cast<size_t>(j)] += g.at({row, h, d}) * v.at({start + j, head, d});
          }
          mean += weight * dp[static_cast<size_t>(j)];
        }
        for (int64_t j = 0; j < length; j++) {
          const size_t at = static_cast<size_t>(j);
          const double cap = s.soft_cap > 0 ? 1 - std::pow(r.capped[at] / s.soft_cap, 2) : 1;
          const double ds = r.weights[at] * (dp[at] - mean) * cap * s.scale();
          for (int64_t d = 0; d < s.D; d++) {
            p.dq[static_cast<size_t>((row * s.H + h) * s.D + d)] += ds * k.at({start + j, head, d});
            p.dk[static_cast<size_t>(((start + j) * s.K + head) * s.D + d)] += ds * q.at({row, h, d});
          }
        }
      }
    }
    start += length;
  }
  return p;
}

Array starts_of(const Setup& s) {
  Array starts(DType::i32, {static_cast<int64_t>(s.lengths.size()) + 1});
  int64_t sum = 0;
  for (size_t i = 0; i < s.lengths.size(); i++) starts.put(static_cast<int64_t>(i) + 1, static_cast<double>(sum += s.lengths[i]));
  return starts;
}

std::vector<double> attributes_of(const Setup& s, double page_size = 1) {
  return {s.scale(), s.causal ? 1.0 : 0.0, static_cast<double>(s.window), s.soft_cap, page_size};
}

void packed(Suite& suite, DType dtype, const Setup& s) {
  const int64_t N = s.rows();
  Array q = suite.random(dtype, {N, s.H, s.D}, -2, 2), k = suite.random(dtype, {N, s.K, s.D}, -2, 2), v = suite.random(dtype, {N, s.K, s.Dv});
  Array g = suite.random(dtype, {N, s.H, s.Dv}), starts = starts_of(s), out(dtype, {N, s.H, s.Dv}), total(DType::f32, {N, s.H});
  Array dq(dtype, {N, s.H, s.D}), dk(dtype, {N, s.K, s.D}), dv(dtype, {N, s.K, s.Dv});
  const Plain p = plain(s, g, q, k, v);
  const auto expect = [&](const char* name, const Array& got, double tolerance, const std::vector<double>& want) {
    suite.expect(name, got, tolerance, [&](int64_t i) { return want[static_cast<size_t>(i)]; });
  };
  suite.run("attention", {&q, &k, &v, &starts}, {&out, &total}, attributes_of(s));
  expect("attention", out, 5e-6, p.out);
  expect("attention log-sum-exp", total, 5e-6, p.total);
  suite.run("attentionBackward", {&g, &q, &k, &v, &starts, &out, &total}, {&dq, &dk, &dv}, attributes_of(s));
  const double tolerance = dtype == DType::f32 ? 2e-5 : 5e-2; // `out` was rounded
  expect("attentionBackward dq", dq, tolerance, p.dq);
  expect("attentionBackward dk", dk, tolerance, p.dk);
  expect("attentionBackward dv", dv, tolerance, p.dv);
}

/** The last queries of sequences whose keys lie in pages give what packed attention gives, bit for bit. */
void cached(Suite& suite, DType dtype, const Setup& s, int64_t page_size) {
  const int64_t N = s.rows(), S = static_cast<int64_t>(s.lengths.size());
  Array q = suite.random(dtype, {N, s.H, s.D}, -2, 2), k = suite.random(dtype, {N, s.K, s.D}, -2, 2), v = suite.random(dtype, {N, s.K, s.Dv});
  Array starts = starts_of(s), out(dtype, {N, s.H, s.Dv}), total(DType::f32, {N, s.H});
  suite.run("attention", {&q, &k, &v, &starts}, {&out, &total}, attributes_of(s));
  int64_t P = 0, pages = 0;
  for (int64_t length : s.lengths) {
    P = std::max(P, (length + page_size - 1) / page_size);
    pages += (length + page_size - 1) / page_size;
  }
  Array keys(dtype, {pages * page_size, s.K, s.D}), values(dtype, {pages * page_size, s.K, s.Dv}), table(DType::i32, {S, P}), lengths(DType::i32, {S});
  Array few(DType::i32, {S + 1});
  std::vector<int64_t> query_rows;
  int64_t page = pages, start = 0;
  for (int64_t i = 0; i < S; i++) {
    const int64_t length = s.lengths[static_cast<size_t>(i)], queries = std::min<int64_t>(length, i + 1);
    lengths.put(i, static_cast<double>(length));
    for (int64_t j = 0; j < length; j++) {
      if (j % page_size == 0) table.put(i * P + j / page_size, static_cast<double>(--page)); // pages in reverse
      const int64_t row = page * page_size + j % page_size;
      for (int64_t c = 0; c < s.K * s.D; c++) keys.put(row * s.K * s.D + c, k.at((start + j) * s.K * s.D + c));
      for (int64_t c = 0; c < s.K * s.Dv; c++) values.put(row * s.K * s.Dv + c, v.at((start + j) * s.K * s.Dv + c));
    }
    for (int64_t j = length - queries; j < length; j++) query_rows.push_back(start + j);
    few.put(i + 1, static_cast<double>(query_rows.size()));
    start += length;
  }
  const int64_t M = static_cast<int64_t>(query_rows.size());
  Array last(dtype, {M, s.H, s.D}), got(dtype, {M, s.H, s.Dv});
  for (int64_t i = 0; i < M * s.H * s.D; i++) last.put(i, q.at(query_rows[static_cast<size_t>(i / (s.H * s.D))] * s.H * s.D + i % (s.H * s.D)));
  suite.run("cachedAttention", {&last, &keys, &values, &few, &table, &lengths}, {&got}, attributes_of(s, static_cast<double>(page_size)));
  const int64_t width = s.H * s.Dv;
  suite.expect("cachedAttention", got, -1.0 / 1024, [&](int64_t i) { return out.at(query_rows[static_cast<size_t>(i / width)] * width + i % width); });
}

/** Codes with scales: the same as f32 keys and values that are their products. Values may be the front of the keys. */
void quantized(Suite& suite, const Setup& s, int64_t page_size, bool latent) {
  const int64_t length = s.lengths[0], pages = (length + page_size - 1) / page_size, L = pages * page_size, queries = std::min<int64_t>(length, 3);
  Array q = suite.random(DType::f32, {queries, s.H, s.D}, -2, 2), k = suite.random(DType::i8, {L, s.K, s.D}, -127, 128), v = suite.random(DType::i8, {L, s.K, s.Dv}, -127, 128);
  Array ks = suite.random(DType::f32, {L, s.K}, 0.005, 0.02), vs = suite.random(DType::f32, {L, s.K}, 0.005, 0.02);
  if (latent) v = k.viewed({L, s.K, s.Dv}, {s.K * s.D, s.D, 1}), vs = ks;
  Array starts(DType::i32, {2}), table(DType::i32, {1, pages}), lengths(DType::i32, {1}), got(DType::f32, {queries, s.H, s.Dv});
  starts.put(1, static_cast<double>(queries));
  lengths.put(0, static_cast<double>(length));
  for (int64_t i = 0; i < pages; i++) table.put(i, static_cast<double>(pages - 1 - i));
  const auto row = [&](int64_t j) { return (pages - 1 - j / page_size) * page_size + j % page_size; };
  suite.run("cachedAttention", {&q, &k, &v, &starts, &table, &lengths, &ks, &vs}, {&got}, attributes_of(s, static_cast<double>(page_size)));
  suite.expect("cachedAttention of codes", got, 1e-5, [&](int64_t at) {
    const int64_t i = at / (s.H * s.Dv), h = at / s.Dv % s.H, d = at % s.Dv, head = h * s.K / s.H;
    const Row r = weigh(s, length - queries + i, length, [&](int64_t j) {
      double sum = 0;
      for (int64_t c = 0; c < s.D; c++) sum += q.at({i, h, c}) * k.at({row(j), head, c}) * ks.at({row(j), head});
      return sum;
    });
    double mixed = 0;
    for (int64_t j = 0; j < length; j++) mixed += r.weights[static_cast<size_t>(j)] * v.at({row(j), head, d}) * vs.at({row(j), head});
    return mixed;
  });
}

} // namespace

void test_attention(Suite& suite) {
  const Setup setups[] = {
      {{1}, 1, 1, 8, 8, true, 0, 0},          {{5, 1, 17}, 2, 2, 16, 16, true, 0, 0}, {{33, 70}, 4, 2, 24, 20, true, 0, 0},
      {{40}, 6, 1, 64, 32, true, 0, 0},       {{19, 30}, 2, 1, 8, 40, false, 0, 0},   {{45}, 2, 2, 16, 16, true, 7, 0},
      {{45}, 2, 2, 16, 16, false, 7, 0},      {{30, 12}, 2, 2, 16, 16, true, 0, 1.5}, {{300}, 2, 1, 10, 12, true, 0, 0},
      {{290}, 1, 1, 16, 16, true, 40, 0},
  };
  for (DType dtype : float_types) {
    for (const Setup& s : setups) {
      if (dtype != DType::f32 && s.rows() > 100) continue; // slow in plain loops
      packed(suite, dtype, s);
      if (s.causal) cached(suite, dtype, s, 4);
    }
  }
  for (const Setup& s : setups)
    if (s.causal) quantized(suite, s, 4, false);
  quantized(suite, {{37}, 5, 1, 40, 33, true, 0, 0}, 16, true);
  quantized(suite, {{270}, 12, 1, 20, 16, true, 0, 0}, 16, true); // many rows of one key head
}

} // namespace frugal::test
