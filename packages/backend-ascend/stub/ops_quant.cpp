// Products with packed weights.
#include "call.h"

using namespace stub;

namespace {

constexpr int64_t kLongest = 65535;
const Types kHalves{f16, bf16};

bool isPlain(const View& view) { return view.strides == contiguous(view.dims); }

/** Row-major, or row-major with its two axes swapped. */
bool isMatrix(const View& view) {
  return view.dims.size() == 2 && (isPlain(view) || View{view.dtype, {view.dims[1], view.dims[0]}, {view.strides[1], view.strides[0]}, view.data}.strides == contiguous({view.dims[1], view.dims[0]}));
}

}  // namespace

PHASE1(DynamicQuant, const void* self, const void* smooth, const void* result, const void* scale) {
  CALL(DynamicQuant);
  const View x = call.tensor(self, "x", kHalves), codes = call.tensor(result, "yOut", {i8}), scales = call.tensor(scale, "scaleOut", {f32});
  if (call.failed() || !call.require(!smooth && x.dims.size() >= 2, "this stub has no smoothing; x has two axes or more")) return call.status();
  call.require(codes.dims == x.dims && scales.dims == Dims(x.dims.begin(), x.dims.end() - 1), "outputs do not fit x");
  call.require(isPlain(x) && isPlain(codes) && isPlain(scales), "tensors must be contiguous");
  return call.finish([=] {
    const int64_t length = x.dims.back();
    for (int64_t row = 0; row < scales.size(); row++) {
      float largest = 0;
      for (int64_t i = 0; i < length; i++) largest = std::max(largest, std::abs(static_cast<float>(x.at(row * length + i))));
      const float step = largest / 127;
      scales.set(row, step);
      for (int64_t i = 0; i < length; i++)
        codes.set(row * length + i, step == 0 ? 0 : std::nearbyint(static_cast<float>(x.at(row * length + i)) / step));
    }
  }, 512);
}

namespace {

int quantMatmul(Call call, const void* left, const void* right, const void* scale, const void* perToken, bool transposeX1, bool transposeX2, const void* result) {
  const View a = call.tensor(left, "x1", {i8}), b = call.tensor(right, "x2", {i8});
  const View out = call.tensor(result, "out", {f16, bf16, i32}), s = call.tensor(scale, "scale", {f32, bf16});
  const View rows = perToken ? call.tensor(perToken, "pertokenScale", {f32}) : View{};
  if (call.failed()) return call.status();
  call.require(!transposeX1 && transposeX2 && a.dims.size() == 2 && isPlain(a) && b.dims.size() == 2 && isPlain(b), "this stub multiplies x1 [m, k] by x2 [n, k]");
  if (call.failed()) return call.status();
  const int64_t M = a.dims[0], K = a.dims[1], N = b.dims[0];
  call.require(M > 0 && K > 0 && N > 0, "empty tensors are not supported");
  call.require(K <= kLongest && N <= kLongest, "k and n are at most 65535");
  call.require(b.dims[1] == K && out.dims == Dims{M, N} && isPlain(out), "shapes do not fit");
  call.require(s.dims == Dims{1} || s.dims == Dims{N}, "scale has 1 or n elements");
  call.require(!perToken || rows.dims == Dims{M}, "pertokenScale has m elements");
  if (out.dtype == i32) call.require(!perToken, "int32 has no pertokenScale");
  if (out.dtype == f16) call.require(perToken && s.dtype == f32, "f16 wants an f32 scale and pertokenScale");
  return call.finish([=] {
    for (int64_t m = 0; m < M; m++)
      for (int64_t n = 0; n < N; n++) {
        int64_t sum = 0;
        for (int64_t k = 0; k < K; k++) sum += static_cast<int64_t>(a.at(m * K + k)) * static_cast<int64_t>(b.at(n * K + k));
        const double factor = s.at(s.dims[0] == 1 ? 0 : n * s.strides[0]) * (perToken ? rows.at(m * rows.strides[0]) : 1);
        out.set(m * N + n, static_cast<double>(sum) * factor);
      }
  }, 4096);
}

}  // namespace

PHASE1(QuantMatmulV4, const void* left, const void* right, const void* scale, const void* offset, const void* perToken, const void* bias, bool transposeX1, bool transposeX2, const void* result) {
  CALL(QuantMatmulV4);
  call.require(!offset && !bias, "this stub has no offset and no bias");
  return quantMatmul(call, left, right, scale, perToken, transposeX1, transposeX2, result);
}

#ifdef CANN_9
PHASE1(QuantMatmulV5, const void* left, const void* right, const void* leftScale, const void* rightScale, const void* outScale, const void* leftOffset, const void* rightOffset, const void* outOffset, const void* bias, bool transposeX1, bool transposeX2, int64_t groupSize, const void* result) {
  CALL(QuantMatmulV5);
  call.require(!outScale && !leftOffset && !rightOffset && !outOffset && !bias && groupSize == 0, "this stub has no offsets, no bias and no groups");
  return quantMatmul(call, left, right, rightScale, leftScale, transposeX1, transposeX2, result);
}
#endif

namespace {

int weightQuantMatmul(Call call, const void* self, const void* packed, const void* scale, const void* offset, bool quantized, int group, const void* result) {
  const View x = call.tensor(self, "x", kHalves), weight = call.tensor(packed, "weight", {i8, i4}), out = call.tensor(result, "y", kHalves);
  const View scales = call.tensor(scale, "antiquantScale", kHalves);
  const View offsets = offset ? call.tensor(offset, "antiquantOffset", kHalves) : View{};
  if (call.failed()) return call.status();
  call.require(!quantized, "this stub has no bias and does not quantize y");
  call.require(isMatrix(x) && isMatrix(weight) && out.dims.size() == 2 && isPlain(out), "x and weight are matrices, perhaps transposed");
  if (call.failed()) return call.status();
  const int64_t M = x.dims[0], K = x.dims[1], N = weight.dims[1];
  call.require(M > 0 && K >= 1 && K <= kLongest && N >= 1 && N <= kLongest, "m, k or n out of range");
  call.require(weight.dims[0] == K && out.dims == Dims{M, N}, "shapes do not fit");
  call.require(scales.dtype == x.dtype && out.dtype == x.dtype && (!offset || offsets.dtype == x.dtype), "dtypes differ from that of x");
  call.require(group == 0 || (group >= 32 && group < K && group % 32 == 0), "antiquantGroupSize is 0 or a multiple of 32 in [32, k - 1]");
  if (weight.dtype == i4) call.require((weight.strides[0] == 1 ? K : N) % 2 == 0, "the inner axis of an int4 weight is even");
  const int64_t groups = group == 0 ? 1 : (K + group - 1) / group;
  const bool perColumn = group == 0 && scales.dims == Dims{N};
  call.require(perColumn || (scales.dims == Dims{groups, N} && isMatrix(scales)), "antiquantScale is [n], [1, n] or [groups, n]");
  call.require(!offset || offsets.dims == scales.dims, "antiquantOffset is not like antiquantScale");
  if (call.failed()) return call.status();
  return call.finish([=] {
    auto factor = [&](const View& view, int64_t k, int64_t n) {
      return perColumn ? view.at(n * view.strides[0]) : view.at((group ? k / group : 0) * view.strides[0] + n * view.strides[1]);
    };
    for (int64_t m = 0; m < M; m++)
      for (int64_t n = 0; n < N; n++) {
        double sum = 0;
        for (int64_t k = 0; k < K; k++) {
          const double code = weight.at(k * weight.strides[0] + n * weight.strides[1]);
          sum += x.at(m * x.strides[0] + k * x.strides[1]) * (code + (offset ? factor(offsets, k, n) : 0)) * factor(scales, k, n);
        }
        out.set(m * N + n, sum);
      }
  }, 4096);
}

}  // namespace

PHASE1(WeightQuantBatchMatmulV2, const void* x, const void* weight, const void* scale, const void* offset, const void* quantScale, const void* quantOffset, const void* bias, int group, const void* y) {
  CALL(WeightQuantBatchMatmulV2);
  return weightQuantMatmul(call, x, weight, scale, offset, quantScale || quantOffset || bias, group, y);
}

PHASE1(WeightQuantBatchMatmulV3, const void* x, const void* weight, const void* scale, const void* offset, const void* quantScale, const void* quantOffset, const void* bias, int group, int innerPrecise, const void* y) {
  CALL(WeightQuantBatchMatmulV3);
  call.require(innerPrecise == 0 || innerPrecise == 1, "innerPrecise");
  return weightQuantMatmul(call, x, weight, scale, offset, quantScale || quantOffset || bias, group, y);
}
