// adamw: per group (parameter, first moment, second moment, gradient[, rounded copy]), all but the gradient changed in
// place; then scale [] and finite []. Attributes: [learningRate, beta1, beta2, epsilon, weightDecay, step, tensors of a
// group].
#include "optimizer-rule.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

constexpr int64_t BLOCK = 8192;

/** Elements [start, start + count) of one group; the copy is written where the new value is at hand. */
template <class Gradient, class Copy>
void update(const Tensor* group, const AdamWRule& r, int64_t start, int64_t count, Copy* copy) {
  float *parameter = data_of<float>(group[0]), *first = data_of<float>(group[1]), *second = data_of<float>(group[2]);
  const Gradient* gradient = data_of<Gradient>(group[3]);
  for_vectors(count, [&](int64_t k, int64_t lanes) {
    const int64_t i = start + k;
    const F g = load_f_first(gradient + i, lanes) * r.scale;
    const F m = fma(r.b1, load_first(first + i, lanes), r.c1 * g);
    const F v = fma(r.b2, load_first(second + i, lanes), r.c2 * g * g);
    const F next = r.apply(load_first(parameter + i, lanes), m, v);
    store_first(parameter + i, next, lanes);
    store_first(first + i, m, lanes);
    store_first(second + i, v, lanes);
    if (copy) store_f_first(copy + i, next, lanes);
  });
}

void update_block(const Tensor* group, bool has_copy, const AdamWRule& rule, int64_t start) {
  const int64_t size = size_of(group[0]), count = size - start < BLOCK ? size - start : BLOCK;
  with_float_type(group[3].dtype, [&](auto* gradient) {
    using G = ElementOf<decltype(gradient)>;
    if (!has_copy) return update<G, float>(group, rule, start, count, static_cast<float*>(nullptr));
    with_float_type(group[4].dtype, [&](auto* copy) {
      using C = ElementOf<decltype(copy)>;
      update<G, C>(group, rule, start, count, data_of<C>(group[4]));
    });
  });
}

void adamw(const Call& call) {
  const Tensor *scale = call.tensors + call.input_count - 2, *finite = scale + 1;
  if (*data_of<float>(*finite) == 0.0f) return;
  const int width = static_cast<int>(call.attributes[6]), groups = (call.input_count - 2) / width;
  const AdamWRule rule = adamw_rule(call.attributes, *data_of<float>(*scale));
  // Blocks of all groups are numbered through: group g has those from ends[g - 1] to ends[g] - 1.
  int64_t ends[MAX_TENSORS];
  int64_t blocks = 0;
  for (int g = 0; g < groups; g++) ends[g] = blocks += (size_of(call.tensors[g * width]) + BLOCK - 1) / BLOCK;
  parallel(call, blocks, BLOCK * 0.8, [&](int64_t block) {
    int low = 0, high = groups - 1;
    while (low < high) {
      const int middle = (low + high) / 2;
      if (ends[middle] > block) high = middle;
      else low = middle + 1;
    }
    const int64_t first = low > 0 ? ends[low - 1] : 0;
    update_block(call.tensors + low * width, width == 5, rule, (block - first) * BLOCK);
  });
}

constexpr KernelEntry entries[] = {{"adamw", adamw}};

} // namespace

extern const KernelTable optimizer_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
