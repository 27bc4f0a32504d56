// sample: (logits [M, V], settings [M, 5]: temperature, top k, top p, min p, uniform number) → token ids. See
// tensor-core/src/ops/sampling.ts. The vocabulary is never sorted: histograms over the logits close in on the last token
// that top k or top p keeps, and only blocks whose largest logit comes near it are looked at again.
#include "rows.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

constexpr int64_t BLOCK = 64;
constexpr int BUCKETS = 512;

/** The last kept token in the order "larger logit first, then smaller id". */
struct Limit {
  float logit;
  int32_t id;
};

struct Vocabulary {
  const float* logits;
  int64_t size, blocks;
  float top, low;    // largest and smallest finite logit; top is NaN or infinite when the row is broken
  float* weights;    // exp((logit - top) / temperature)
  float* maxima;     // of the logits of each block
  double* sums;      // of the kept weights of each block
  int32_t* ids;      // candidates while a limit is searched
};

int64_t end_of(const Vocabulary& v, int64_t block) {
  const int64_t end = (block + 1) * BLOCK;
  return end < v.size ? end : v.size;
}

/** Block maxima, the largest and the smallest logit. */
void scan(Vocabulary& v) {
  const F lowest = set(-__builtin_inff());
  F low = set(__builtin_inff());
  I broken = {};
  v.top = -__builtin_inff();
  for (int64_t b = 0; b < v.blocks; b++) {
    const float* x = v.logits + b * BLOCK;
    F best = lowest;
    for_vectors(end_of(v, b) - b * BLOCK, [&](int64_t i, int64_t lanes) {
      F value = load_first(x + i, lanes);
      if (lanes < LANES) value = select(first_lanes(lanes), value, lowest);
      broken |= value != value;
      best = max(best, value);
      low = min(low, select(value == lowest, set(__builtin_inff()), value));
    });
    v.maxima[b] = reduce_max(best);
    if (v.maxima[b] > v.top) v.top = v.maxima[b];
  }
  v.low = -reduce_max(-low);
  for (int i = 0; i < LANES; i++)
    if (broken[i]) v.top = __builtin_nanf("");
}

/** Weights, and their sums by block. */
void weigh(const Vocabulary& v, float temperature) {
  // Of a subnormal temperature finite as well: 0 · ∞ would be NaN.
  const float inverse = 1.0f / temperature;
  const F factor = set(__builtin_isinf(inverse) ? __FLT_MAX__ : inverse), top = set(v.top);
  for (int64_t b = 0; b < v.blocks; b++) {
    const int64_t start = b * BLOCK, count = end_of(v, b) - start;
    F sum = {};
    for_vectors(count, [&](int64_t i, int64_t lanes) {
      const F weight = exp((load_first(v.logits + start + i, lanes) - top) * factor);
      store_first(v.weights + start + i, weight, lanes);
      sum += lanes < LANES ? select(first_lanes(lanes), weight, F{}) : weight;
    });
    v.sums[b] = static_cast<double>(reduce_add(sum));
  }
}

/** Without branches: which of two neighbours is kept, nobody can predict. */
bool keeps(const Vocabulary& v, const Limit& limit, int64_t id) {
  const float x = v.logits[id];
  return (x > limit.logit) | ((x == limit.logit) & (id <= limit.id));
}

/** Ids inside `limit` with logits from `floor` to below `ceiling`, ascending, into v.ids. */
int64_t collect(const Vocabulary& v, const Limit& limit, float floor, float ceiling = __builtin_inff()) {
  const float lowest = limit.logit > floor ? limit.logit : floor;
  const F least = set(lowest), top = set(ceiling);
  int64_t count = 0;
  for (int64_t b = 0; b < v.blocks; b++) {
    if (!(v.maxima[b] >= lowest)) continue;
    const int64_t start = b * BLOCK;
    F hit = {};
    for_vectors(end_of(v, b) - start, [&](int64_t i, int64_t lanes) {
      const F x = load_first(v.logits + start + i, lanes);
      hit = max(hit, select((x >= least) & (x < top), set(1.0f), F{}));
    });
    if (reduce_max(hit) == 0) continue;
    for (int64_t id = start; id < end_of(v, b); id++) {
      const float x = v.logits[id];
      v.ids[count] = static_cast<int32_t>(id);
      count += (x >= lowest) & (x < ceiling) & keeps(v, limit, id);
    }
  }
  return count;
}

/** The sum of the weights of all logits of at least `floor`. */
double weight_from(const Vocabulary& v, float floor) {
  const F least = set(floor);
  double total = 0;
  for (int64_t group = 0; group < v.blocks; group += 16) {
    F sum = {};
    for (int64_t b = group; b < v.blocks && b < group + 16; b++) {
      if (!(v.maxima[b] >= floor)) continue;
      const int64_t start = b * BLOCK;
      for_vectors(end_of(v, b) - start, [&](int64_t i, int64_t lanes) {
        // Lanes behind the end have the weight 0.
        sum += select(load_first(v.logits + start + i, lanes) >= least, load_first(v.weights + start + i, lanes), F{});
      });
    }
    total += static_cast<double>(reduce_add(sum));
  }
  return total;
}

/** A logit that at least k logits reach: the k-th largest of the block maxima, or a little less. */
float floor_of_largest(const Vocabulary& v, int64_t k) {
  const float scale = BUCKETS / (v.top - v.low);
  if (k > v.blocks || !(scale < 1e30f)) return v.low;
  int32_t counts[BUCKETS] = {};
  for (int64_t b = 0; b < v.blocks; b++) {
    const float distance = (v.top - v.maxima[b]) * scale;
    counts[distance < BUCKETS - 1 ? static_cast<int>(distance) : BUCKETS - 1]++;
  }
  int bucket = 0;
  for (int64_t seen = counts[0]; seen < k && bucket < BUCKETS - 1;) seen += counts[++bucket];
  // Half a bucket more, so that rounding cannot cut off what was counted.
  return bucket >= BUCKETS - 2 ? v.low : v.top - (static_cast<float>(bucket) + 1.5f) / scale;
}

/** Best first; the ids come in ascending, so equal logits stay in order. */
void sort_few(const Vocabulary& v, int64_t count) {
  for (int64_t i = 1; i < count; i++) {
    const int32_t id = v.ids[i];
    int64_t at = i;
    for (; at > 0 && v.logits[v.ids[at - 1]] < v.logits[id]; at--) v.ids[at] = v.ids[at - 1];
    v.ids[at] = id;
  }
}

/** The candidate (of `count` in v.ids) at which the running sum of amount(id), best first, reaches `goal`. */
template <class Amount>
Limit reach(const Vocabulary& v, int64_t count, double goal, const Amount& amount) {
  for (;;) {
    float high = -__builtin_inff(), low = __builtin_inff();
    for (int64_t i = 0; i < count; i++) {
      const float x = v.logits[v.ids[i]];
      high = x > high ? x : high;
      low = x < low ? x : low;
    }
    const float scale = BUCKETS / (high - low);
    const bool equal = !(scale < 1e30f);
    if (count <= 32 || equal) {
      if (!equal) sort_few(v, count);
      int64_t last = 0;
      for (double sum = amount(v.ids[0]); sum < goal && last + 1 < count;) sum += amount(v.ids[++last]);
      return {v.logits[v.ids[last]], v.ids[last]};
    }
    const auto bucket_of = [&](int32_t id) {
      const float distance = (high - v.logits[id]) * scale;
      return distance < BUCKETS - 1 ? static_cast<int>(distance) : BUCKETS - 1;
    };
    double sums[BUCKETS] = {};
    for (int64_t i = 0; i < count; i++) sums[bucket_of(v.ids[i])] += amount(v.ids[i]);
    // The last bucket holds `low`, so a goal that rounding puts out of reach ends there.
    int bucket = 0;
    for (; bucket < BUCKETS - 1 && sums[bucket] < goal; bucket++) goal -= sums[bucket];
    int64_t left = 0;
    for (int64_t i = 0; i < count; i++) {
      const int32_t id = v.ids[i];
      v.ids[left] = id;
      left += bucket_of(id) == bucket;
    }
    count = left;
  }
}

/** The token at which the running weight, best first, reaches `goal`; all tokens below `floor` are not needed for it. */
Limit reach_weight(const Vocabulary& v, const Limit& limit, float floor, double goal) {
  float low = limit.logit > floor ? limit.logit : floor, high = __builtin_inff();
  double above = 0; // weight from `high` on
  for (int halvings = 0; halvings < 12; halvings++) {
    const float middle = 0.5f * low + 0.5f * (high < v.top ? high : v.top);
    if (!(middle > low)) break;
    const double weight = weight_from(v, middle);
    if (weight >= goal) low = middle;
    else {
      high = middle;
      above = weight;
    }
  }
  const int64_t count = collect(v, limit, low, high);
  return reach(v, count, goal - above, [&](int32_t id) { return static_cast<double>(v.weights[id]); });
}

/** Sums of the weights inside `limit` and of at least `least`, by block; returns the sum of all. */
double sum_kept(const Vocabulary& v, const Limit& limit, float least) {
  const F edge = set(limit.logit), minimum = set(least);
  I lane;
  for (int i = 0; i < LANES; i++) lane[i] = i;
  double total = 0;
  for (int64_t b = 0; b < v.blocks; b++) {
    v.sums[b] = 0;
    if (!(v.maxima[b] >= limit.logit)) continue;
    const int64_t start = b * BLOCK;
    F sum = {};
    for_vectors(end_of(v, b) - start, [&](int64_t i, int64_t lanes) {
      const F x = load_first(v.logits + start + i, lanes), weight = load_first(v.weights + start + i, lanes);
      const I before = lane + set_int(static_cast<int32_t>(start + i)) <= set_int(limit.id);
      // Lanes behind the end have the weight 0.
      sum += select(((x > edge) | ((x == edge) & before)) & (weight >= minimum), weight, F{});
    });
    v.sums[b] = static_cast<double>(reduce_add(sum));
    total += v.sums[b];
  }
  return total;
}

/**
 * The first kept id at which the running sum of weights exceeds `target`. Sums of blocks are rounded, so that the end of one
 * may be reached before: then the last id that weighs anything, not a forbidden one behind it.
 */
template <class Keeps>
int32_t draw(const Vocabulary& v, double target, const Keeps& kept) {
  int64_t last = 0;
  for (int64_t b = 0; b < v.blocks; b++) {
    if (target >= v.sums[b]) {
      target -= v.sums[b];
      continue;
    }
    for (int64_t id = b * BLOCK; id < end_of(v, b); id++) {
      if (!kept(id) || v.weights[id] == 0) continue;
      last = id;
      target -= static_cast<double>(v.weights[id]);
      if (target < 0) return static_cast<int32_t>(id);
    }
  }
  return static_cast<int32_t>(last);
}

int32_t first_of_largest(const Vocabulary& v) {
  int64_t b = 0;
  while (v.maxima[b] != v.top) b++;
  int64_t id = b * BLOCK;
  while (v.logits[id] != v.top) id++;
  return static_cast<int32_t>(id);
}

int32_t sample_row(Vocabulary& v, const float* settings) {
  const float temperature = settings[0], top_p = settings[2], min_p = settings[3], uniform = settings[4];
  const int64_t top_k = static_cast<int64_t>(settings[1]);
  scan(v);
  if (!__builtin_isfinite(v.top)) return -1;
  if (temperature == 0) return first_of_largest(v);
  weigh(v, temperature);
  const bool few = top_k > 0 && top_k < v.size;
  double total = 0;
  for (int64_t b = 0; b < v.blocks; b++) total += v.sums[b];
  if (!few && top_p >= 1 && min_p <= 0) return draw(v, static_cast<double>(uniform) * total, [](int64_t) { return true; });

  Limit limit{-__builtin_inff(), INT32_MAX};
  if (few) {
    const int64_t count = collect(v, limit, floor_of_largest(v, top_k));
    // Forbidden tokens are never candidates.
    if (count >= top_k) limit = reach(v, count, static_cast<double>(top_k), [](int32_t) { return 1.0; });
    total = sum_kept(v, limit, 0);
  }
  if (top_p < 1) {
    // What lies below `floor` weighs too little, all together, to be needed for the goal.
    const double goal = static_cast<double>(top_p) * total;
    const double least = 0.5 * (1.0 - static_cast<double>(top_p)) * total / static_cast<double>(v.size);
    const float floor = v.top + temperature * static_cast<float>(__builtin_log(least)) - 1e-3f * temperature;
    limit = reach_weight(v, limit, floor > v.low ? floor : v.low, goal);
  }
  const double mass = sum_kept(v, limit, min_p);
  return draw(v, static_cast<double>(uniform) * mass, [&](int64_t id) { return keeps(v, limit, id) && v.weights[id] >= min_p; });
}

void sample(const Call& call) {
  const Tensor& logits = call.tensors[0];
  const int64_t size = logits.dims[1], blocks = (size + BLOCK - 1) / BLOCK;
  parallel(call, logits.dims[0], static_cast<double>(size), [&](int64_t row) {
    Vocabulary v{};
    v.logits = data_of<float>(logits) + row * size;
    v.size = size;
    v.blocks = blocks;
    v.weights = static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(size) * 4));
    v.sums = static_cast<double*>(scratch(Scratch::chunk2, static_cast<size_t>(blocks) * 12 + static_cast<size_t>(size + 1) * 4));
    v.maxima = reinterpret_cast<float*>(v.sums + blocks);
    v.ids = reinterpret_cast<int32_t*>(v.maxima + blocks);
    data_of<int32_t>(call.tensors[2])[row] = sample_row(v, data_of<float>(call.tensors[1]) + row * 5);
  });
}

constexpr KernelEntry entries[] = {{"sample", sample}};

} // namespace

extern const KernelTable sampling_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
