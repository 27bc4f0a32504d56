// adamw: (parameter, first moment, second moment, gradient, scale [], finite []), the first three changed in place.
// Attributes: [learningRate, beta1, beta2, epsilon, weightDecay, step].
#include "rows.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

void adamw(const Call& call) {
  if (*data_of<float>(call.tensors[5]) == 0.0f) return;
  const double *a = call.attributes, rate = a[0], beta1 = a[1], beta2 = a[2], step = a[5];
  const F scale = set(*data_of<float>(call.tensors[4]));
  const F b1 = set(static_cast<float>(beta1)), c1 = set(static_cast<float>(1 - beta1));
  const F b2 = set(static_cast<float>(beta2)), c2 = set(static_cast<float>(1 - beta2));
  const F step_size = set(static_cast<float>(rate / (1 - __builtin_pow(beta1, step))));
  const F correction = set(static_cast<float>(1 / (1 - __builtin_pow(beta2, step))));
  const F epsilon = set(static_cast<float>(a[3])), decay = set(static_cast<float>(1 - rate * a[4]));
  constexpr int64_t BLOCK = 8192;
  const int64_t size = size_of(call.tensors[0]);
  float *parameter = data_of<float>(call.tensors[0]), *first = data_of<float>(call.tensors[1]), *second = data_of<float>(call.tensors[2]);
  with_float_type(call.tensors[3].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    const T* gradient = data_of<T>(call.tensors[3]);
    parallel(call, (size + BLOCK - 1) / BLOCK, BLOCK * 0.8, [&](int64_t chunk) {
      const int64_t start = chunk * BLOCK;
      for_vectors(size - start < BLOCK ? size - start : BLOCK, [&](int64_t k, int64_t lanes) {
        const int64_t i = start + k;
        const F g = load_f_first(gradient + i, lanes) * scale;
        const F m = fma(b1, load_first(first + i, lanes), c1 * g);
        const F v = fma(b2, load_first(second + i, lanes), c2 * g * g);
        const F update = step_size * m / (sqrt(v * correction) + epsilon);
        store_first(parameter + i, fma(load_first(parameter + i, lanes), decay, -update), lanes);
        store_first(first + i, m, lanes);
        store_first(second + i, v, lanes);
      });
    });
  });
}

constexpr KernelEntry entries[] = {{"adamw", adamw}};

} // namespace

extern const KernelTable optimizer_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
