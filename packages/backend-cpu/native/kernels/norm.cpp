// rmsNorm with its gradient, and layerNorm, over the last axis. Attributes: [epsilon].
#include "rows.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

template <class T>
float inverse_rms(const T* x, int64_t columns, float epsilon) {
  const float squares = sum_vectors(columns, [&](int64_t i, int64_t lanes) {
    const F v = load_f_first(x + i, lanes);
    return v * v;
  });
  return 1.0f / __builtin_sqrtf(squares / static_cast<float>(columns) + epsilon);
}

void rms_norm(const Call& call) {
  const Rows r = rows_of(call.tensors[0]);
  const float epsilon = static_cast<float>(call.attributes[0]);
  with_float_type(call.tensors[0].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    const T* weight = data_of<T>(call.tensors[1]);
    for_each_row(call, r, 0.3, [&](int64_t row) {
      const T* x = data_of<T>(call.tensors[0]) + row * r.columns;
      T* y = data_of<T>(call.tensors[2]) + row * r.columns;
      const F inverse = set(inverse_rms(x, r.columns, epsilon));
      for_vectors(r.columns, [&](int64_t i, int64_t lanes) {
        store_f_first(y + i, load_f_first(x + i, lanes) * inverse * load_f_first(weight + i, lanes), lanes);
      });
    });
  });
}

/** With r = rsqrt(mean(x²) + ε) and n = x·r: dx = r · (g·w - n · mean(g·w·n)); adds g·n to `weight_sums`. */
template <class T>
void rms_norm_backward_row(const T* g, const T* x, const T* weight, T* dx, float* weight_sums, int64_t columns, float epsilon) {
  const float inverse = inverse_rms(x, columns, epsilon);
  const float dot = sum_vectors(columns, [&](int64_t i, int64_t lanes) {
    return load_f_first(g + i, lanes) * load_f_first(weight + i, lanes) * load_f_first(x + i, lanes);
  });
  const F r = set(inverse), projection = set(inverse * inverse * dot / static_cast<float>(columns));
  for_vectors(columns, [&](int64_t i, int64_t lanes) {
    const F gi = load_f_first(g + i, lanes), xi = load_f_first(x + i, lanes);
    store_f_first(dx + i, r * (gi * load_f_first(weight + i, lanes) - xi * projection), lanes);
    store_first(weight_sums + i, fma(gi, xi * r, load_first(weight_sums + i, lanes)), lanes);
  });
}

void rms_norm_backward(const Call& call) {
  const Rows r = rows_of(call.tensors[1]);
  const float epsilon = static_cast<float>(call.attributes[0]);
  // Partial sums of the weight gradient: at most 256 of them, fixed by the shape.
  const int64_t group = r.rows > 32 * 256 ? (r.rows + 255) / 256 : 32;
  const int64_t groups = (r.rows + group - 1) / group;
  float* partial = static_cast<float*>(scratch(Scratch::shared, static_cast<size_t>((groups + 1) * r.columns) * 4));
  with_float_type(call.tensors[1].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    parallel(call, groups, static_cast<double>(group * r.columns) * 0.5, [&](int64_t chunk) {
      float* sums = partial + chunk * r.columns;
      __builtin_memset(sums, 0, static_cast<size_t>(r.columns) * 4);
      for (int64_t row = chunk * group; row < r.rows && row < (chunk + 1) * group; row++) {
        const int64_t at = row * r.columns;
        rms_norm_backward_row(data_of<T>(call.tensors[0]) + at, data_of<T>(call.tensors[1]) + at, data_of<T>(call.tensors[2]),
                              data_of<T>(call.tensors[3]) + at, sums, r.columns, epsilon);
      }
    });
    T* out = data_of<T>(call.tensors[4]);
    for_vectors(r.columns, [&](int64_t i, int64_t lanes) {
      F sum = {};
      for (int64_t k = 0; k < groups; k++) sum += load_first(partial + k * r.columns + i, lanes);
      store_f_first(out + i, sum, lanes);
    });
  });
}

void layer_norm(const Call& call) {
  const Rows r = rows_of(call.tensors[0]);
  const float epsilon = static_cast<float>(call.attributes[0]);
  with_float_type(call.tensors[0].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    const T *weight = data_of<T>(call.tensors[1]), *bias = data_of<T>(call.tensors[2]);
    for_each_row(call, r, 0.4, [&](int64_t row) {
      const T* x = data_of<T>(call.tensors[0]) + row * r.columns;
      T* y = data_of<T>(call.tensors[3]) + row * r.columns;
      const float n = static_cast<float>(r.columns);
      const F mean = set(sum_vectors(r.columns, [&](int64_t i, int64_t lanes) { return load_f_first(x + i, lanes); }) / n);
      const float variance = sum_vectors(r.columns, [&](int64_t i, int64_t lanes) {
        const F v = load_f_first(x + i, lanes) - mean;
        return lanes < LANES ? select(first_lanes(lanes), v * v, F{}) : v * v;
      }) / n;
      const F inverse = set(1.0f / __builtin_sqrtf(variance + epsilon));
      for_vectors(r.columns, [&](int64_t i, int64_t lanes) {
        const F normalized = (load_f_first(x + i, lanes) - mean) * inverse;
        store_f_first(y + i, fma(normalized, load_f_first(weight + i, lanes), load_f_first(bias + i, lanes)), lanes);
      });
    });
  });
}

constexpr KernelEntry entries[] = {{"rmsNorm", rms_norm}, {"rmsNormBackward", rms_norm_backward}, {"layerNorm", layer_norm}};

} // namespace

extern const KernelTable norm_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
