// Products, indexing, activations and norms: in libopapi_nn since the libraries were split.
#include "call.h"

using namespace stub;

PHASE1(Matmul, const void* self, const void* other, const void* result, int8_t cubeMathType) {
  CALL(Matmul);
  View a = call.tensor(self, "self", kFloats), b = call.tensor(other, "mat2", kFloats);
  const View out = call.tensor(result, "out", kFloats);
  if (call.failed()) return call.status();
  call.require(cubeMathType == 0 || cubeMathType == 1, "cubeMathType");
  call.require(a.dtype == b.dtype && a.dtype == out.dtype, "dtypes differ");
  const size_t ranks[] = {a.dims.size(), b.dims.size(), out.dims.size()};
  for (size_t rank : ranks)
    if (!call.require(rank >= 2 && rank <= 6, "2 to 6 axes are supported")) return call.status();
  const int64_t M = a.dims[ranks[0] - 2], K = a.dims[ranks[0] - 1], N = b.dims[ranks[1] - 1];
  Dims batch(a.dims.begin(), a.dims.end() - 2);
  const bool fits = b.dims[ranks[1] - 2] == K && broadcastInto(batch, Dims(b.dims.begin(), b.dims.end() - 2));
  Dims expected = batch;
  expected.insert(expected.end(), {M, N});
  if (!call.require(fits && expected == out.dims && K > 0, "shapes do not fit")) return call.status();
  auto wide = [&](const View& view, int64_t rows, int64_t columns) {
    Dims dims = batch;
    dims.insert(dims.end(), {rows, columns});
    View grown = view.broadcast(dims);
    // Axes of the matrices themselves are not repeated.
    for (int64_t axis : {0, 1}) grown.strides[batch.size() + axis] = view.strides[view.dims.size() - 2 + axis];
    return grown;
  };
  a = wide(a, M, K), b = wide(b, K, N);
  return call.finish([=] {
    auto lead = [&](const View& view) { return Dims(view.strides.begin(), view.strides.end() - 2); };
    auto step = [&](const View& view, int64_t axis) { return view.strides[batch.size() + axis]; };
    const Dims leadA = lead(a), leadB = lead(b), leadOut = lead(out);
    std::vector<double> left(M * K), right(K * N), sums(N);
    walk(batch, {&leadA, &leadB, &leadOut}, [&](const Dims& at) {
      for (int64_t m = 0; m < M; m++)
        for (int64_t k = 0; k < K; k++) left[m * K + k] = a.at(at[0] + m * step(a, 0) + k * step(a, 1));
      for (int64_t k = 0; k < K; k++)
        for (int64_t n = 0; n < N; n++) right[k * N + n] = b.at(at[1] + k * step(b, 0) + n * step(b, 1));
      for (int64_t m = 0; m < M; m++) {
        std::fill(sums.begin(), sums.end(), 0);
        for (int64_t k = 0; k < K; k++)
          for (int64_t n = 0; n < N; n++) sums[n] += left[m * K + k] * right[k * N + n];
        for (int64_t n = 0; n < N; n++) out.set(at[2] + m * step(out, 0) + n * step(out, 1), sums[n]);
      }
    });
  }, 4096);
}

namespace {

/** An index of the device is not checked by anyone: here it ends the task with a violation. */
bool inside(int64_t index, int64_t length, const char* op) {
  if (index >= 0 && index < length) return true;
  violation("index", std::string(op) + ": index " + std::to_string(index) + " of " + std::to_string(length));
  return false;
}

const Types kIndex{i32, i64};

void copyElement(const View& to, int64_t at, const View& from, int64_t place) {
  memcpy(to.data + at * to.width(), from.data + place * from.width(), from.width());
}

}  // namespace

PHASE1(GatherV2, const void* self, int64_t dim, const void* index, const void* result) {
  CALL(GatherV2);
  const View x = call.tensor(self, "self"), rows = call.tensor(index, "index", kIndex), out = call.tensor(result, "out");
  if (call.failed() || !call.require(dim == 0 && !x.dims.empty(), "this stub gathers along axis 0")) return call.status();
  Dims expected = rows.dims;
  expected.insert(expected.end(), x.dims.begin() + 1, x.dims.end());
  call.require(expected == out.dims && x.dtype == out.dtype, "out has another shape or dtype");
  return call.finish([=] {
    const size_t lead = rows.dims.size();
    const Dims inner(x.dims.begin() + 1, x.dims.end()), innerX(x.strides.begin() + 1, x.strides.end());
    const Dims outerOut(out.strides.begin(), out.strides.begin() + lead), innerOut(out.strides.begin() + lead, out.strides.end());
    walk(rows.dims, {&rows.strides, &outerOut}, [&](const Dims& at) {
      const auto row = static_cast<int64_t>(rows.at(at[0]));
      if (!inside(row, x.dims[0], "aclnnGatherV2")) return;
      walk(inner, {&innerX, &innerOut}, [&](const Dims& place) {
        copyElement(out, at[1] + place[1], x, row * x.strides[0] + place[0]);
      });
    });
  });
}

PHASE1(Gather, const void* self, int64_t dim, const void* index, const void* result) {
  CALL(Gather);
  const View x = call.tensor(self, "self"), where = call.tensor(index, "index", kIndex), out = call.tensor(result, "out");
  if (call.failed()) return call.status();
  call.require(where.dims == out.dims && x.dims.size() == out.dims.size() && x.dtype == out.dtype, "out is not like index");
  call.require(dim >= 0 && dim < static_cast<int64_t>(x.dims.size()), "dim out of range");
  return call.finish([=] {
    Dims across = x.strides;
    across[dim] = 0;
    walk(out.dims, {&where.strides, &out.strides, &across}, [&](const Dims& at) {
      const auto row = static_cast<int64_t>(where.at(at[0]));
      if (inside(row, x.dims[dim], "aclnnGather")) copyElement(out, at[1], x, at[2] + row * x.strides[dim]);
    });
  });
}

namespace {

/** out = self, then out[index] += source along `dim`; `index` has the shape of `source`. */
std::function<void()> addAt(const char* op, View self, View index, View source, View out, int64_t dim) {
  return [=] {
    walk(out.dims, {&self.strides, &out.strides}, [&](const Dims& at) { out.set(at[1], self.at(at[0])); });
    Dims across = out.strides;
    across[dim] = 0;
    walk(source.dims, {&index.strides, &source.strides, &across}, [&](const Dims& at) {
      const auto row = static_cast<int64_t>(index.at(at[0]));
      if (!inside(row, out.dims[dim], op)) return;
      const int64_t place = at[2] + row * out.strides[dim];
      out.set(place, out.at(place) + source.at(at[1]));
    });
  };
}

/** An index of one axis, repeated over the others. */
View alongAxis(const View& index, const Dims& dims, int64_t dim) {
  View wide{index.dtype, dims, Dims(dims.size(), 0), index.data};
  wide.strides[dim] = index.strides[0];
  return wide;
}

const Types kSums{f32, f16, bf16, i32, i64};

}  // namespace

PHASE1(IndexAdd, const void* selfHandle, int64_t dim, const void* index, const void* sourceHandle, const void* alpha, const void* result) {
  CALL(IndexAdd);
  const View self = call.tensor(selfHandle, "self", kSums), rows = call.tensor(index, "index", kIndex);
  const View source = call.tensor(sourceHandle, "source", kSums), out = call.tensor(result, "out", kSums);
  const double factor = call.scalar(alpha, "alpha");
  if (call.failed()) return call.status();
  call.require(factor == 1, "this stub takes alpha 1 only");
  call.require(self.dims == out.dims && self.dtype == out.dtype && source.dtype == out.dtype, "out is not like self");
  const bool fits = source.dims.size() == out.dims.size() && dim >= 0 && dim < static_cast<int64_t>(out.dims.size());
  if (!call.require(fits && rows.dims.size() == 1 && rows.dims[0] == source.dims[dim], "index does not fit source")) return call.status();
  return call.finish(addAt("aclnnIndexAdd", self, alongAxis(rows, source.dims, dim), source, out, dim));
}

PHASE1(ScatterAdd, const void* selfHandle, int64_t dim, const void* index, const void* sourceHandle, const void* result) {
  CALL(ScatterAdd);
  const View self = call.tensor(selfHandle, "self", kSums), where = call.tensor(index, "index", kIndex);
  const View source = call.tensor(sourceHandle, "src", kSums), out = call.tensor(result, "out", kSums);
  if (call.failed()) return call.status();
  call.require(self.dims == out.dims && self.dtype == out.dtype && source.dtype == out.dtype, "out is not like self");
  call.require(where.dims == source.dims && source.dims.size() == out.dims.size(), "index is not like src");
  call.require(dim >= 0 && dim < static_cast<int64_t>(out.dims.size()), "dim out of range");
  return call.finish(addAt("aclnnScatterAdd", self, where, source, out, dim));
}

PHASE1(InplaceIndexCopy, const void* selfHandle, int64_t dim, const void* index, const void* sourceHandle) {
  CALL(InplaceIndexCopy);
  const View self = call.tensor(selfHandle, "selfRef"), rows = call.tensor(index, "index", kIndex), source = call.tensor(sourceHandle, "source");
  if (call.failed()) return call.status();
  call.require(self.dtype == source.dtype && self.dims.size() == source.dims.size(), "source is not like selfRef");
  if (!call.require(rows.dims.size() == 1 && dim == 0 && rows.dims[0] == source.dims[0], "index does not fit source")) return call.status();
  const View where = alongAxis(rows, source.dims, 0);
  return call.finish([=] {
    Dims across = self.strides;
    across[0] = 0;
    walk(source.dims, {&where.strides, &source.strides, &across}, [&](const Dims& at) {
      const auto row = static_cast<int64_t>(where.at(at[0]));
      if (inside(row, self.dims[0], "aclnnInplaceIndexCopy")) copyElement(self, at[2] + row * self.strides[0], source, at[1]);
    });
  });
}
