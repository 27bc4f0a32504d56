// Ops that make, move and reduce elements: in libopapi_math since the libraries were split.
#include "call.h"

using namespace stub;

PHASE1(InplaceFillScalar, const void* self, const void* value) {
  CALL(InplaceFillScalar);
  const View out = call.tensor(self, "selfRef");
  const double number = call.scalar(value, "value");
  return call.finish([=] {
    walk(out.dims, {&out.strides}, [&](const Dims& at) { out.set(at[0], number); });
  });
}

PHASE1(Arange, const void* start, const void* end, const void* step, const void* result) {
  CALL(Arange);
  const double from = call.scalar(start, "start"), to = call.scalar(end, "end"), by = call.scalar(step, "step");
  const View out = call.tensor(result, "out", {f32, f16, bf16, i32, i64});
  if (!call.failed()) call.require(out.dims.size() == 1 && out.size() == std::ceil((to - from) / by), "out has not ⌈(end - start) / step⌉ elements");
  return call.finish([=] {
    for (int64_t i = 0; i < out.size(); i++) out.set(i * out.strides[0], from + static_cast<double>(i) * by);
  });
}

PHASE1(InplaceCopy, const void* self, const void* source) {
  CALL(InplaceCopy);
  const View out = call.tensor(self, "selfRef");
  View x = call.tensor(source, "src");
  Dims dims = out.dims;
  if (call.failed() || !call.require(broadcastInto(dims, x.dims) && dims == out.dims, "src does not broadcast")) return call.status();
  x = x.broadcast(out.dims);
  return call.finish([=] {
    walk(out.dims, {&x.strides, &out.strides}, [&](const Dims& at) {
      // Equal types move bits: NaN keeps its payload.
      if (x.dtype == out.dtype) memcpy(out.data + at[1] * out.width(), x.data + at[0] * x.width(), x.width());
      else out.set(at[1], x.at(at[0]));
    });
  });
}

PHASE1(Cat, const void* tensors, int64_t dim, const void* result) {
  CALL(Cat);
  const std::vector<View> parts = call.list(tensors, "tensors");
  const View out = call.tensor(result, "out");
  if (call.failed() || !call.require(dim >= 0 && dim < static_cast<int64_t>(out.dims.size()), "dim out of range")) return call.status();
  int64_t length = 0;
  for (const View& part : parts) {
    Dims expected = out.dims;
    if (!call.require(part.dims.size() == out.dims.size() && part.dtype == out.dtype, "a part is not like out")) return call.status();
    expected[dim] = part.dims[dim];
    length += part.dims[dim];
    call.require(part.dims == expected, "a part has another shape");
  }
  call.require(length == out.dims[dim], "the parts are not as long as out");
  return call.finish([=] {
    uint8_t* place = out.data;
    for (const View& part : parts) {
      walk(part.dims, {&part.strides, &out.strides}, [&](const Dims& at) {
        memcpy(place + at[1] * out.width(), part.data + at[0] * part.width(), part.width());
      });
      place += part.dims[dim] * out.strides[dim] * out.width();
    }
  });
}

namespace {

struct Reduction {
  View x, out;  // out with the reduced axes, stride 0
  bool valid = false;
};

Reduction reduction(Call& call, const void* self, const void* dims, bool keep, const void* result, const Types& types) {
  Reduction made{call.tensor(self, "self", types), call.tensor(result, "out"), false};
  Dims axes = call.ints(dims, "dims");
  if (call.failed()) return made;
  const auto rank = static_cast<int64_t>(made.x.dims.size());
  if (axes.empty()) for (int64_t axis = 0; axis < rank; axis++) axes.push_back(axis);
  Dims expected, strides(rank, 0);
  int64_t next = 0;
  for (int64_t axis = 0; axis < rank; axis++) {
    const bool reduced = std::count(axes.begin(), axes.end(), axis) > 0;
    if (!reduced || keep) expected.push_back(reduced ? 1 : made.x.dims[axis]);
    if (!reduced && next < static_cast<int64_t>(made.out.strides.size())) strides[axis] = made.out.strides[next];
    if (!reduced || keep) next++;
  }
  made.valid = call.require(expected == made.out.dims, "out has not the reduced shape");
  made.out.strides = strides;
  return made;
}

/** Folds in f64 and rounds once. */
int fold(Call call, Reduction both, Dims outDims, double start, double (*step)(double, double)) {
  if (!both.valid) return call.status();
  const auto [x, out, valid] = both;
  const int64_t count = product(outDims);
  return call.finish([x = x, out = out, count, start, step] {
    std::unordered_map<int64_t, double> sums;
    sums.reserve(count);
    walk(x.dims, {&x.strides, &out.strides}, [&](const Dims& at) {
      auto [found, fresh] = sums.try_emplace(at[1], start);
      found->second = step(found->second, x.at(at[0]));
    });
    for (const auto& [place, value] : sums) out.set(place, value);
  });
}

bool greater(double a, double b) { return a > b || (std::isnan(a) && !std::isnan(b)); }

}  // namespace

PHASE1(ReduceSum, const void* self, const void* dims, bool keep, int dtype, const void* result) {
  CALL(ReduceSum);
  Reduction both = reduction(call, self, dims, keep, result, kNumbers);
  if (both.valid) {
    call.require(both.out.dtype == dtype, "out has not the dtype of the attribute");
    call.require(both.x.size() > 0, "this stub sums no empty tensors");
  }
  return fold(call, both, both.out.dims, 0, [](double sum, double x) { return sum + x; });
}

PHASE1(Amax, const void* self, const void* dims, bool keep, const void* result) {
  CALL(Amax);
  Reduction both = reduction(call, self, dims, keep, result, kAll);
  if (both.valid) call.require(both.out.dtype == both.x.dtype, "out has another dtype");
  return fold(call, both, both.out.dims, -INFINITY, [](double best, double x) { return greater(x, best) ? x : best; });
}

PHASE1(ArgMax, const void* self, int64_t dim, bool keep, const void* result) {
  CALL(ArgMax);
  const View x = call.tensor(self, "self", kNumbers), out = call.tensor(result, "out", {i32, i64});
  if (call.failed() || !call.require(dim >= 0 && dim < static_cast<int64_t>(x.dims.size()), "dim out of range")) return call.status();
  const Lines lines = linesOf(x, dim);
  call.require(!keep && out.dims == lines.dims, "out has not the reduced shape");
  return call.finish([=] {
    walk(out.dims, {&lines.strides, &out.strides}, [&](const Dims& at) {
      int64_t best = 0;
      for (int64_t i = 1; i < lines.length; i++)
        if (greater(x.at(at[0] + i * lines.stride), x.at(at[0] + best * lines.stride))) best = i;
      out.set(at[1], static_cast<double>(best));
    });
  });
}

PHASE1(Cumsum, const void* self, int64_t dim, int dtype, const void* result) {
  CALL(Cumsum);
  const View x = call.tensor(self, "self", kNumbers), out = call.tensor(result, "out", kNumbers);
  if (call.failed() || !call.require(dim >= 0 && dim < static_cast<int64_t>(x.dims.size()), "dim out of range")) return call.status();
  call.require(out.dtype == dtype && out.dims == x.dims, "out is not as the attribute says");
  const Lines from = linesOf(x, dim), to = linesOf(out, dim);
  return call.finish([=] {
    walk(from.dims, {&from.strides, &to.strides}, [&](const Dims& at) {
      double sum = 0;
      for (int64_t i = 0; i < from.length; i++) out.set(at[1] + i * to.stride, sum += x.at(at[0] + i * from.stride));
    });
  });
}

PHASE1(Sort, const void* self, bool stable, int64_t dim, bool descending, const void* values, const void* indices) {
  CALL(Sort);
  const View x = call.tensor(self, "self", kNumbers), out = call.tensor(values, "valuesOut", kNumbers);
  const View where = call.tensor(indices, "indicesOut", {i64});
  if (call.failed() || !call.require(dim >= 0 && dim < static_cast<int64_t>(x.dims.size()), "dim out of range")) return call.status();
  call.require(out.dims == x.dims && where.dims == x.dims && out.dtype == x.dtype, "outputs are not like self");
  const Lines from = linesOf(x, dim), to = linesOf(out, dim), at = linesOf(where, dim);
  return call.finish([=] {
    walk(from.dims, {&from.strides, &to.strides, &at.strides}, [&](const Dims& place) {
      Dims order(from.length);
      std::iota(order.begin(), order.end(), 0);
      // Without `stable`, equal elements come in another order than anyone expects.
      if (!stable) std::reverse(order.begin(), order.end());
      auto value = [&](int64_t i) { return x.at(place[0] + i * from.stride); };
      std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
        return descending ? greater(value(i), value(j)) : greater(value(j), value(i));
      });
      for (int64_t i = 0; i < from.length; i++) {
        out.set(place[1] + i * to.stride, value(order[i]));
        where.set(place[2] + i * at.stride, static_cast<double>(order[i]));
      }
    });
  });
}
