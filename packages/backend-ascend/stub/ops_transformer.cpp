// Attention, rotary positions and products of experts: in libopapi_transformer since the libraries were split.
#include "call.h"

using namespace stub;

namespace {

const Types kHalves{f16, bf16};
constexpr int64_t kLanes = 8;

bool isPlain(const View& view) { return view.strides == contiguous(view.dims); }

}  // namespace

PHASE1(RotaryPositionEmbedding, const void* self, const void* cosine, const void* sine, int64_t mode, const void* result) {
  CALL(RotaryPositionEmbedding);
  const View x = call.tensor(self, "x", kFloats), out = call.tensor(result, "out", kFloats);
  View cos = call.tensor(cosine, "cos", kFloats), sin = call.tensor(sine, "sin", kFloats);
  if (call.failed() || !call.require(x.dims.size() == 4 && cos.dims.size() == 4 && sin.dims == cos.dims, "x, cos and sin have 4 axes")) return call.status();
  const int64_t D = x.dims[3];
  call.require(mode == 0 || mode == 1, "mode is 0 (halves) or 1 (interleaved)");
  call.require(D % 2 == 0 && D <= 1024 && cos.dims[3] == D, "D is even, at most 1024, and that of cos and sin");
  for (size_t axis = 0; axis < 3; axis++) call.require(cos.dims[axis] == 1 || cos.dims[axis] == x.dims[axis], "cos does not broadcast");
  call.require(out.dims == x.dims && isPlain(out), "out is contiguous and like x");
  call.require(cos.dtype == x.dtype && sin.dtype == x.dtype && out.dtype == x.dtype, "dtypes differ");
  if (call.failed()) return call.status();
  cos = cos.broadcast(x.dims), sin = sin.broadcast(x.dims);
  const Lines a = linesOf(x, 3), c = linesOf(cos, 3), s = linesOf(sin, 3), to = linesOf(out, 3);
  return call.finish([=] {
    walk(a.dims, {&a.strides, &c.strides, &s.strides, &to.strides}, [&](const Dims& at) {
      std::vector<double> turned(D);
      for (int64_t i = 0; i < D; i++) {
        const int64_t other = mode == 0 ? (i + D / 2) % D : i ^ 1;
        const double partner = x.at(at[0] + other * a.stride) * (other > i ? -1 : 1);
        turned[i] = x.at(at[0] + i * a.stride) * cos.at(at[1] + i * c.stride) + partner * sin.at(at[2] + i * s.stride);
      }
      for (int64_t i = 0; i < D; i++) out.set(at[3] + i * to.stride, turned[i]);
    });
  });
}

namespace {

/** [1, S, N, D] as BSND, with a mask [S, S] of what is hidden. */
struct Attention {
  View q, k, v, mask;
  double scale = 0;
  int64_t S = 0, H = 0, K = 0, D = 0, before = 0, after = 0;

  double score(int64_t i, int64_t j, int64_t h) const {
    double sum = 0;
    for (int64_t d = 0; d < D; d++) sum += q.at(place(q, i, h, d)) * k.at(place(k, j, h * K / H, d));
    return sum * scale;
  }
  bool hidden(int64_t i, int64_t j) const {
    return j - i > after || i - j > before || mask.at(i * mask.strides[0] + j * mask.strides[1]) != 0;
  }
  static int64_t place(const View& view, int64_t row, int64_t head, int64_t d) {
    return row * view.strides[1] + head * view.strides[2] + d * view.strides[3];
  }
};

struct Options {
  double scale, keep;
  int64_t before, after, heads;
  const char* layout;
  int64_t precise, sparse;
};

bool checkAttention(Call& call, Attention& made, const Options& options, bool noExtras) {
  if (call.failed()) return false;
  const auto& [q, k, v, mask] = std::tie(made.q, made.k, made.v, made.mask);
  call.require(noExtras && options.keep == 1 && options.sparse == 0, "this stub has no dropout, shifts or prefixes, and sparseMode 0");
  call.require(options.layout && std::string(options.layout) == "BSND", "this stub takes the layout BSND");
  if (!call.require(q.dims.size() == 4 && k.dims.size() == 4 && v.dims == k.dims && q.dims[0] == 1, "tensors are [1, S, N, D]")) return false;
  made.S = q.dims[1], made.H = q.dims[2], made.K = k.dims[2], made.D = q.dims[3];
  call.require(options.heads == made.H && made.H <= 256 && made.K > 0 && made.H % made.K == 0, "headNum");
  call.require(k.dims[1] == made.S && k.dims[3] == made.D && made.D <= 768, "key does not fit query");
  call.require(q.dtype == k.dtype && q.dtype == v.dtype, "dtypes differ");
  call.require(mask.dims == Dims{made.S, made.S}, "attenMask is [Sq, Skv]");
  made.scale = options.scale, made.before = options.before, made.after = options.after;
  return !call.failed();
}

}  // namespace

PHASE1(FlashAttentionScore, const void* query, const void* key, const void* value, const void* shift, const void* drop, const void* padding, const void* hide, const void* prefix, double scale, double keep, int64_t before, int64_t after, int64_t heads, char* layout, int64_t precise, int64_t sparse, const void* top, const void* total, const void* unusedOut, const void* result) {
  CALL(FlashAttentionScore);
  Attention made{call.tensor(query, "query", kFloats), call.tensor(key, "key", kFloats), call.tensor(value, "value", kFloats), call.tensor(hide, "attenMask", {boolean, u8})};
  const View most = call.tensor(top, "softmaxMaxOut", {f32}), sum = call.tensor(total, "softmaxSumOut", {f32}), out = call.tensor(result, "attentionOut", kFloats);
  if (unusedOut) call.require(call.tensor(unusedOut, "softmaxOutOut").size() == 0, "softmaxOutOut is empty");
  if (!checkAttention(call, made, {scale, keep, before, after, heads, layout, precise, sparse}, !shift && !drop && !padding && !prefix)) return call.status();
  const Dims lanes{1, made.H, made.S, kLanes};
  call.require(most.dims == lanes && sum.dims == lanes && isPlain(most) && isPlain(sum), "softmaxMaxOut and softmaxSumOut are [B, N, Sq, 8]");
  call.require(out.dims == made.q.dims && out.dtype == made.q.dtype, "attentionOut is not like query");
  return call.finish([=] {
    std::vector<double> weights(made.S);
    for (int64_t h = 0; h < made.H; h++)
      for (int64_t i = 0; i < made.S; i++) {
        double best = -INFINITY, all = 0;
        for (int64_t j = 0; j < made.S; j++) {
          weights[j] = made.hidden(i, j) ? -INFINITY : made.score(i, j, h);
          best = std::max(best, weights[j]);
        }
        for (double& weight : weights) all += weight = weight == -INFINITY ? 0 : std::exp(weight - best);
        for (int64_t d = 0; d < made.D; d++) {
          double mixed = 0;
          for (int64_t j = 0; j < made.S; j++)
            if (weights[j] != 0) mixed += weights[j] / all * made.v.at(Attention::place(made.v, j, h * made.K / made.H, d));
          out.set(Attention::place(out, i, h, d), mixed);
        }
        for (int64_t lane = 0; lane < kLanes; lane++) {
          most.set((h * made.S + i) * kLanes + lane, best);
          sum.set((h * made.S + i) * kLanes + lane, all);
        }
      }
  }, 8192);
}

PHASE1(FlashAttentionScoreGrad, const void* query, const void* key, const void* value, const void* gradient, const void* shift, const void* drop, const void* padding, const void* hide, const void* top, const void* total, const void* unusedIn, const void* output, const void* prefix, double scale, double keep, int64_t before, int64_t after, int64_t heads, char* layout, int64_t precise, int64_t sparse, const void* dq, const void* dk, const void* dv, const void* dshift) {
  CALL(FlashAttentionScoreGrad);
  Attention made{call.tensor(query, "query", kFloats), call.tensor(key, "keyIn", kFloats), call.tensor(value, "value", kFloats), call.tensor(hide, "attenMask", {boolean, u8})};
  const View g = call.tensor(gradient, "dy", kFloats), y = call.tensor(output, "attentionIn", kFloats);
  const View most = call.tensor(top, "softmaxMax", {f32}), sum = call.tensor(total, "softmaxSum", {f32});
  const View queries = call.tensor(dq, "dqOut", kFloats), keys = call.tensor(dk, "dkOut", kFloats), values = call.tensor(dv, "dvOut", kFloats);
  if (dshift) call.require(call.tensor(dshift, "dpseOut").size() == 0, "dpseOut is empty");
  if (!checkAttention(call, made, {scale, keep, before, after, heads, layout, precise, sparse}, !shift && !drop && !padding && !prefix && !unusedIn)) return call.status();
  const Dims lanes{1, made.H, made.S, kLanes};
  call.require(most.dims == lanes && sum.dims == lanes && isPlain(most) && isPlain(sum), "softmaxMax and softmaxSum are [B, N, Sq, 8]");
  call.require(g.dims == made.q.dims && y.dims == made.q.dims && queries.dims == made.q.dims && keys.dims == made.k.dims && values.dims == made.v.dims, "gradients are not like their tensors");
  return call.finish([=] {
    const auto [S, H, K, D] = std::tuple(made.S, made.H, made.K, made.D);
    std::vector<double> sums[3] = {std::vector<double>(S * H * D), std::vector<double>(S * K * D), std::vector<double>(S * K * D)};
    for (int64_t h = 0; h < H; h++)
      for (int64_t i = 0; i < S; i++) {
        const int64_t head = h * K / H, lane = (h * S + i) * kLanes;
        double delta = 0;
        for (int64_t d = 0; d < D; d++) delta += g.at(Attention::place(g, i, h, d)) * y.at(Attention::place(y, i, h, d));
        for (int64_t j = 0; j < S; j++) {
          if (made.hidden(i, j)) continue;
          const double weight = std::exp(made.score(i, j, h) - most.at(lane)) / sum.at(lane);
          double slope = 0;
          for (int64_t d = 0; d < D; d++) slope += g.at(Attention::place(g, i, h, d)) * made.v.at(Attention::place(made.v, j, head, d));
          const double ds = weight * (slope - delta) * made.scale;
          for (int64_t d = 0; d < D; d++) {
            sums[0][(i * H + h) * D + d] += ds * made.k.at(Attention::place(made.k, j, head, d));
            sums[1][(j * K + head) * D + d] += ds * made.q.at(Attention::place(made.q, i, h, d));
            sums[2][(j * K + head) * D + d] += weight * g.at(Attention::place(g, i, h, d));
          }
        }
      }
    for (int64_t row = 0; row < S; row++)
      for (int64_t h = 0; h < H; h++)
        for (int64_t d = 0; d < D; d++) {
          queries.set(Attention::place(queries, row, h, d), sums[0][(row * H + h) * D + d]);
          if (h >= K) continue;
          keys.set(Attention::place(keys, row, h, d), sums[1][(row * K + h) * D + d]);
          values.set(Attention::place(values, row, h, d), sums[2][(row * K + h) * D + d]);
        }
  }, 8192);
}

namespace {

/** Decoding over pages: query [B, 1, H·D], pages [P, size, K·D], table [B, most]. */
int increAttention(Call call, const void* query, const void* keyList, const void* valueList, bool noExtras, const void* lengthList, const void* table, int64_t H, double scale, const char* layout, int64_t K, int64_t size, int64_t precise, const void* result) {
  const View q = call.tensor(query, "query", kHalves), out = call.tensor(result, "attentionOut", kHalves), pages = call.tensor(table, "blockTable", {i32});
  const std::vector<View> keys = call.list(keyList, "key", kHalves), values = call.list(valueList, "value", kHalves);
  const Dims lengths = call.ints(lengthList, "actualSeqLengths");
  if (call.failed()) return call.status();
  call.require(noExtras && precise >= 0 && precise <= 1, "this stub has no masks and no quantization");
  call.require(layout && std::string(layout) == "BSH", "this stub takes the layout BSH");
  call.require(size % 16 == 0 && size > 0 && size <= 512, "blockSize is a multiple of 16, at most 512");
  if (!call.require(keys.size() == 1 && values.size() == 1 && q.dims.size() == 3 && q.dims[1] == 1 && H > 0 && K > 0 && H % K == 0 && H / K <= 64, "shapes or heads")) return call.status();
  const int64_t B = q.dims[0], D = q.dims[2] / H;
  const View key = keys[0], value = values[0];
  call.require(D % 16 == 0 && D <= 512 && q.dims[2] == H * D, "D is a multiple of 16, at most 512");
  call.require(key.dims.size() == 3 && key.dims[1] == size && key.dims[2] == K * D && value.dims == key.dims, "pages are [blocks, blockSize, K·D]");
  call.require(isPlain(q) && isPlain(key) && isPlain(value) && isPlain(pages) && isPlain(out), "tensors must be contiguous");
  call.require(out.dims == q.dims && out.dtype == q.dtype && key.dtype == q.dtype && value.dtype == q.dtype, "attentionOut is not like query, or dtypes differ");
  call.require(pages.dims.size() == 2 && pages.dims[0] == B && static_cast<int64_t>(lengths.size()) == B, "blockTable and actualSeqLengths have B rows");
  for (int64_t length : lengths) call.require(length > 0 && length <= pages.dims[1] * size, "actualSeqLengths out of range");
  if (call.failed()) return call.status();
  return call.finish([=] {
    for (int64_t b = 0; b < B; b++)
      for (int64_t h = 0; h < H; h++) {
        const int64_t head = h * K / H;
        std::vector<double> weights(lengths[b]);
        std::vector<int64_t> rows(lengths[b]);
        double best = -INFINITY, all = 0;
        for (int64_t j = 0; j < lengths[b]; j++) {
          const auto page = static_cast<int64_t>(pages.at(b * pages.dims[1] + j / size));
          if (page < 0 || page >= key.dims[0]) return violation("index", "blockTable names a block that is not there");
          rows[j] = page * size + j % size;
          weights[j] = 0;
          for (int64_t d = 0; d < D; d++) weights[j] += q.at((b * H + h) * D + d) * key.at((rows[j] * K + head) * D + d) * scale;
          best = std::max(best, weights[j]);
        }
        for (double& weight : weights) all += weight = std::exp(weight - best);
        for (int64_t d = 0; d < D; d++) {
          double mixed = 0;
          for (int64_t j = 0; j < lengths[b]; j++) mixed += weights[j] / all * value.at((rows[j] * K + head) * D + d);
          out.set((b * H + h) * D + d, mixed);
        }
      }
  }, 8192);
}

}  // namespace

PHASE1(IncreFlashAttentionV3, const void* query, const void* key, const void* value, const void* shift, const void* hide, const void* lengths, const void* dequantScale1, const void* quantScale1, const void* dequantScale2, const void* quantScale2, const void* quantOffset2, const void* antiquantScale, const void* antiquantOffset, const void* table, int64_t heads, double scale, char* layout, int64_t keyHeads, int64_t blockSize, int64_t precise, const void* result) {
  CALL(IncreFlashAttentionV3);
  const bool extras = shift || hide || dequantScale1 || quantScale1 || dequantScale2 || quantScale2 || quantOffset2 || antiquantScale || antiquantOffset;
  return increAttention(call, query, key, value, !extras, lengths, table, heads, scale, layout, keyHeads, blockSize, precise, result);
}

PHASE1(IncreFlashAttentionV4, const void* query, const void* key, const void* value, const void* shift, const void* hide, const void* lengths, const void* dequantScale1, const void* quantScale1, const void* dequantScale2, const void* quantScale2, const void* quantOffset2, const void* antiquantScale, const void* antiquantOffset, const void* table, const void* padding, int64_t heads, double scale, char* layout, int64_t keyHeads, int64_t blockSize, int64_t precise, const void* result) {
  CALL(IncreFlashAttentionV4);
  const bool extras = shift || hide || dequantScale1 || quantScale1 || dequantScale2 || quantScale2 || quantOffset2 || antiquantScale || antiquantOffset || padding;
  return increAttention(call, query, key, value, !extras, lengths, table, heads, scale, layout, keyHeads, blockSize, precise, result);
}

namespace {

/** Rows of groups times their matrices (groupType 0), or xᵀ g of each group (groupType 2); groups end where `ends` says. */
int groupedMatmul(Call call, const void* xList, const void* weightList, bool noExtras, const void* groupList, int64_t split, int64_t type, int64_t listType, int64_t activation, const void* yList) {
  const std::vector<View> xs = call.list(xList, "x", kFloats), weights = call.list(weightList, "weight", kFloats), ys = call.list(yList, "y", kFloats);
  const View ends = call.tensor(groupList, "groupList", {i64});
  if (call.failed() || !call.require(xs.size() == 1 && weights.size() == 1 && ys.size() == 1 && noExtras, "this stub takes one tensor of each, not quantized")) return call.status();
  call.require(split == 3 && (type == 0 || type == 2) && listType == 0 && activation == 0, "splitItem 3, groupType 0 or 2, groupListType 0, actType 0");
  const View x = xs[0], w = weights[0], y = ys[0];
  call.require(x.dtype == w.dtype && x.dtype == y.dtype, "dtypes differ");
  if (!call.require(ends.dims.size() == 1 && x.dims.size() == 2, "groupList has one axis, x two")) return call.status();
  const int64_t E = ends.dims[0];
  call.require(E <= 1024, "at most 1024 groups");
  if (type == 0) {
    if (!call.require(w.dims.size() == 3 && w.dims[0] == E && w.dims[1] == x.dims[1], "weight is [E, K, N]")) return call.status();
    call.require(isPlain(x) && y.dims == Dims{x.dims[0], w.dims[2]}, "x is contiguous and y [M, N]");
  } else {
    if (!call.require(w.dims.size() == 2 && w.dims[0] == x.dims[1], "weight is [K, N] when groups divide K")) return call.status();
    call.require(x.strides[0] == 1 && x.strides[1] == x.dims[0], "x is a transposed view when groups divide K");
    call.require(y.dims == Dims{E, x.dims[0], w.dims[1]}, "y is [E, M, N]");
  }
  if (call.failed()) return call.status();
  const int64_t limit = type == 0 ? x.dims[0] : x.dims[1];
  return call.finish([=] {
    const size_t lead = type == 0 ? 1 : 0;
    const int64_t N = w.dims[1 + lead], M = x.dims[0], K = x.dims[1];
    auto matrix = [&](int64_t e, int64_t k, int64_t n) { return w.at((lead ? e * w.strides[0] : 0) + k * w.strides[lead] + n * w.strides[1 + lead]); };
    int64_t from = 0;
    for (int64_t e = 0; e < E; e++) {
      const auto end = static_cast<int64_t>(ends.at(e * ends.strides[0]));
      if (end < from || end > limit) return violation("index", "groupList does not ascend within x");
      // Rows of no group, and matrices of empty groups, are left as they are.
      for (int64_t m = type == 0 ? from : 0; end > from && m < (type == 0 ? end : M); m++)
        for (int64_t n = 0; n < N; n++) {
          double sum = 0;
          for (int64_t k = type == 0 ? 0 : from; k < (type == 0 ? K : end); k++)
            sum += x.at(m * x.strides[0] + k * x.strides[1]) * matrix(e, k, n);
          if (type == 0) y.set(m * y.strides[0] + n * y.strides[1], sum);
          else y.set(e * y.strides[0] + m * y.strides[1] + n * y.strides[2], sum);
        }
      from = end;
    }
  }, 4096);
}

}  // namespace

PHASE1(GroupedMatmulV4, const void* x, const void* weight, const void* bias, const void* scale, const void* offset, const void* antiquantScale, const void* antiquantOffset, const void* perToken, const void* groups, const void* activationIn, const void* activationScale, const void* activationOffset, int64_t split, int64_t type, int64_t listType, int64_t activation, const void* y, const void* feature, const void* dynamicScale) {
  CALL(GroupedMatmulV4);
  const bool extras = bias || scale || offset || antiquantScale || antiquantOffset || perToken || activationIn || activationScale || activationOffset || feature || dynamicScale;
  return groupedMatmul(call, x, weight, !extras, groups, split, type, listType, activation, y);
}

#ifdef CANN_9
PHASE1(GroupedMatmulV5, const void* x, const void* weight, const void* bias, const void* scale, const void* offset, const void* antiquantScale, const void* antiquantOffset, const void* perToken, const void* groups, const void* activationIn, const void* activationScale, const void* activationOffset, int64_t split, int64_t type, int64_t listType, int64_t activation, const void* tuning, const void* y, const void* feature, const void* dynamicScale) {
  CALL(GroupedMatmulV5);
  const bool extras = bias || scale || offset || antiquantScale || antiquantOffset || perToken || activationIn || activationScale || activationOffset || feature || dynamicScale || tuning;
  return groupedMatmul(call, x, weight, !extras, groups, split, type, listType, activation, y);
}
#endif

PHASE1(MoeGatingTopKSoftmaxV2, const void* logits, const void* finished, int64_t k, int64_t renorm, bool keepsSoftmax, const void* values, const void* experts, const void* softmax) {
  CALL(MoeGatingTopKSoftmaxV2);
  const View x = call.tensor(logits, "x", kFloats), y = call.tensor(values, "yOut", kFloats), chosen = call.tensor(experts, "expertIdxOut", {i32}), all = call.tensor(softmax, "softmaxResultOut", {f32});
  if (call.failed() || !call.require(!finished && renorm == 0 && keepsSoftmax, "this stub takes all rows, renorm 0, and gives the softmax")) return call.status();
  if (!call.require(x.dims.size() == 2 || x.dims.size() == 3, "x has 2 or 3 axes")) return call.status();
  const int64_t E = x.dims.back();
  call.require(k > 0 && k <= E && k <= 1024, "k is at least 1, at most the experts and 1024");
  Dims expected = x.dims;
  expected.back() = k;
  call.require(y.dtype == x.dtype && y.dims == expected && chosen.dims == expected && all.dims == x.dims, "yOut and expertIdxOut are [rows, k], the softmax is like x");
  call.require(isPlain(y) && isPlain(chosen) && isPlain(all), "outputs are contiguous");
  return call.finish([=] {
    const Lines lines = linesOf(x, x.dims.size() - 1);
    int64_t row = 0;
    std::vector<int64_t> order(E);
    walk(lines.dims, {&lines.strides}, [&](const Dims& at) {
      auto logit = [&](int64_t e) { return x.at(at[0] + e * lines.stride); };
      double top = -INFINITY, sum = 0;
      for (int64_t e = 0; e < E; e++) top = std::max(top, logit(e));
      for (int64_t e = 0; e < E; e++) sum += std::exp(logit(e) - top);
      for (int64_t e = 0; e < E; e++) all.set(row * E + e, std::exp(logit(e) - top) / sum);
      std::iota(order.begin(), order.end(), int64_t{0});
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return all.at(row * E + a) > all.at(row * E + b); });
      for (int64_t i = 0; i < k; i++) {
        y.set(row * k + i, all.at(row * E + order[i]));
        chosen.set(row * k + i, order[i]);
      }
      row++;
    });
  }, 2048);
}
