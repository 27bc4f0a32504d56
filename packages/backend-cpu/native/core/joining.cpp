#include "joining.hpp"

#include <algorithm>

namespace frugal {
namespace {

/** How many runs back a call looks for one to join. */
constexpr size_t LOOK_BACK = 8;

int64_t element_bytes(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32: return 4;
    case DType::bf16:
    case DType::f16: return 2;
    default: return 1;
  }
}

struct Range {
  const char *first, *end;
  bool meets(const Range& other) const { return first < other.end && other.first < end; }
};

/** All memory between the first and the last element. */
Range range_of(const Tensor& t) {
  int64_t lowest = 0, highest = 0;
  for (int i = 0; i < t.rank; i++) {
    if (t.dims[i] == 0) return {t.data, t.data};
    (t.strides[i] < 0 ? lowest : highest) += (t.dims[i] - 1) * t.strides[i];
  }
  const int64_t bytes = element_bytes(t.dtype);
  return {t.data + lowest * bytes, t.data + (highest + 1) * bytes};
}

/** What a call reads and writes. Kernels that are never joined may change their inputs: optimizers, caches. */
struct Effects {
  std::vector<Range> reads, writes;

  explicit Effects(const Joinable& joinable) {
    const Call& call = *joinable.call;
    for (int i = 0; i < call.input_count + call.output_count; i++)
      (joinable.joint && i < call.input_count ? reads : writes).push_back(range_of(call.tensors[i]));
  }

  bool conflict(const Effects& other) const { return any_meet(writes, other.writes) || any_meet(writes, other.reads) || any_meet(reads, other.writes); }

  void add(const Effects& other) {
    reads.insert(reads.end(), other.reads.begin(), other.reads.end());
    writes.insert(writes.end(), other.writes.begin(), other.writes.end());
  }

 private:
  static bool any_meet(const std::vector<Range>& a, const std::vector<Range>& b) {
    return std::any_of(a.begin(), a.end(), [&](const Range& x) { return std::any_of(b.begin(), b.end(), [&](const Range& y) { return x.meets(y); }); });
  }
};

/** The run among the last ones that the call can join, or `none`. */
size_t find_run(const std::vector<Run>& runs, const std::vector<Effects>& effects, const std::vector<Joinable>& calls, const Joinable& joinable, const Effects& own) {
  if (!joinable.joint) return runs.size();
  for (size_t back = 1; back <= std::min(LOOK_BACK, runs.size()); back++) {
    const size_t r = runs.size() - back;
    if (own.conflict(effects[r])) break;
    const Joinable& first = calls[runs[r].first];
    if (first.joint == joinable.joint && runs[r].calls.size() < MAX_JOINT && joinable.joint->fits(*first.call, *joinable.call)) return r;
  }
  return runs.size();
}

} // namespace

std::vector<Run> join_calls(const std::vector<Joinable>& calls) {
  std::vector<Run> runs;
  std::vector<Effects> effects;
  for (size_t i = 0; i < calls.size(); i++) {
    const Effects own(calls[i]);
    const size_t r = find_run(runs, effects, calls, calls[i], own);
    if (r == runs.size()) {
      runs.push_back({i, {calls[i].call}});
      effects.push_back(own);
    } else {
      runs[r].calls.push_back(calls[i].call);
      effects[r].add(own);
    }
  }
  return runs;
}

} // namespace frugal
