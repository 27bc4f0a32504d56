// rmsNorm, addRmsNorm and layerNorm with their gradients, over the last axis. Attributes: [epsilon].
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

/** (x, y, weight) → (x + y, its norm): the sum is rounded to its dtype first, as if these were two ops. */
void add_rms_norm(const Call& call) {
  const Rows r = rows_of(call.tensors[0]);
  const float epsilon = static_cast<float>(call.attributes[0]);
  with_float_type(call.tensors[0].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    const T* weight = data_of<T>(call.tensors[2]);
    for_each_row(call, r, 0.5, [&](int64_t row) {
      const int64_t at = row * r.columns;
      const T *x = data_of<T>(call.tensors[0]) + at, *y = data_of<T>(call.tensors[1]) + at;
      T *sum = data_of<T>(call.tensors[3]) + at, *out = data_of<T>(call.tensors[4]) + at;
      for_vectors(r.columns, [&](int64_t i, int64_t lanes) { store_f_first(sum + i, load_f_first(x + i, lanes) + load_f_first(y + i, lanes), lanes); });
      const F inverse = set(inverse_rms(sum, r.columns, epsilon));
      for_vectors(r.columns, [&](int64_t i, int64_t lanes) {
        store_f_first(out + i, load_f_first(sum + i, lanes) * inverse * load_f_first(weight + i, lanes), lanes);
      });
    });
  });
}

/** With r = rsqrt(mean(x²) + ε) and n = x·r: dx = r · (g·w - n · mean(g·w·n)) + direct; adds g·n to `weight_sums`. */
template <class T>
void rms_norm_backward_row(const T* g, const T* x, const T* weight, const T* direct, T* dx, float* weight_sums, int64_t columns, float epsilon) {
  const float inverse = inverse_rms(x, columns, epsilon);
  const float dot = sum_vectors(columns, [&](int64_t i, int64_t lanes) {
    return load_f_first(g + i, lanes) * load_f_first(weight + i, lanes) * load_f_first(x + i, lanes);
  });
  const F r = set(inverse), projection = set(inverse * inverse * dot / static_cast<float>(columns));
  for_vectors(columns, [&](int64_t i, int64_t lanes) {
    const F gi = load_f_first(g + i, lanes), xi = load_f_first(x + i, lanes);
    const F own = r * (gi * load_f_first(weight + i, lanes) - xi * projection);
    store_f_first(dx + i, direct ? own + load_f_first(direct + i, lanes) : own, lanes);
    store_first(weight_sums + i, fma(gi, xi * r, load_first(weight_sums + i, lanes)), lanes);
  });
}

/**
 * Rows in groups that the shape alone decides, each with its own sums of `lists` vectors of parameters' gradients; then
 * the sums of all groups, in order. row(index, sums)
 */
template <class T, class Row>
void backward_rows(const Call& call, const Rows& r, int lists, int first_output, const Row& row) {
  const int64_t group = r.rows > 32 * 256 ? (r.rows + 255) / 256 : 32; // at most 256 groups
  const int64_t groups = (r.rows + group - 1) / group, width = r.columns * lists;
  float* partial = static_cast<float*>(scratch(Scratch::shared, static_cast<size_t>((groups + 1) * width) * 4));
  parallel(call, groups, static_cast<double>(group * r.columns) * 0.5, [&](int64_t chunk) {
    float* sums = partial + chunk * width;
    __builtin_memset(sums, 0, static_cast<size_t>(width) * 4);
    for (int64_t i = chunk * group; i < r.rows && i < (chunk + 1) * group; i++) row(i, sums);
  });
  for (int list = 0; list < lists; list++) {
    T* out = data_of<T>(call.tensors[first_output + list]);
    for_vectors(r.columns, [&](int64_t i, int64_t lanes) {
      F sum = {};
      for (int64_t k = 0; k < groups; k++) sum += load_first(partial + k * width + list * r.columns + i, lanes);
      store_f_first(out + i, sum, lanes);
    });
  }
}

/** [direct,] gradient, x, weight → dx, dweight */
template <bool ADDED>
void rms_norm_backward(const Call& call) {
  constexpr int FIRST = ADDED ? 1 : 0;
  const Rows r = rows_of(call.tensors[FIRST + 1]);
  const float epsilon = static_cast<float>(call.attributes[0]);
  with_float_type(call.tensors[0].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    backward_rows<T>(call, r, 1, FIRST + 4, [&](int64_t row, float* sums) {
      const int64_t at = row * r.columns;
      const auto data = [&](int tensor) { return data_of<T>(call.tensors[tensor]); };
      rms_norm_backward_row<T>(data(FIRST) + at, data(FIRST + 1) + at, data(FIRST + 2), ADDED ? data(0) + at : nullptr, data(FIRST + 3) + at, sums, r.columns,
                               epsilon);
    });
  });
}

struct Moments {
  float mean, inverse;
};

template <class T>
Moments moments(const T* x, int64_t columns, float epsilon) {
  const float n = static_cast<float>(columns);
  const float mean = sum_vectors(columns, [&](int64_t i, int64_t lanes) { return load_f_first(x + i, lanes); }) / n;
  const float variance = sum_vectors(columns, [&](int64_t i, int64_t lanes) {
    const F v = load_f_first(x + i, lanes) - set(mean);
    return lanes < LANES ? select(first_lanes(lanes), v * v, F{}) : v * v;
  }) / n;
  return {mean, 1.0f / __builtin_sqrtf(variance + epsilon)};
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
      const Moments m = moments(x, r.columns, epsilon);
      const F mean = set(m.mean), inverse = set(m.inverse);
      for_vectors(r.columns, [&](int64_t i, int64_t lanes) {
        const F normalized = (load_f_first(x + i, lanes) - mean) * inverse;
        store_f_first(y + i, fma(normalized, load_f_first(weight + i, lanes), load_f_first(bias + i, lanes)), lanes);
      });
    });
  });
}

/** n = (x - mean) · r: dx = r · (g·w - mean(g·w) - n · mean(g·w·n)); adds g·n and g to `sums`. */
template <class T>
void layer_norm_backward_row(const T* g, const T* x, const T* weight, T* dx, float* sums, int64_t columns, float epsilon) {
  const Moments m = moments(x, columns, epsilon);
  const F mean = set(m.mean), r = set(m.inverse);
  const float n = static_cast<float>(columns);
  const auto scaled = [&](int64_t i, int64_t lanes) { return load_f_first(g + i, lanes) * load_f_first(weight + i, lanes); };
  const F average = set(sum_vectors(columns, scaled) / n);
  const F dot = set(sum_vectors(columns, [&](int64_t i, int64_t lanes) { return scaled(i, lanes) * (load_f_first(x + i, lanes) - mean) * r; }) / n);
  for_vectors(columns, [&](int64_t i, int64_t lanes) {
    const F gi = load_f_first(g + i, lanes), normalized = (load_f_first(x + i, lanes) - mean) * r;
    store_f_first(dx + i, r * (scaled(i, lanes) - average - normalized * dot), lanes);
    store_first(sums + i, fma(gi, normalized, load_first(sums + i, lanes)), lanes);
    store_first(sums + columns + i, load_first(sums + columns + i, lanes) + gi, lanes);
  });
}

void layer_norm_backward(const Call& call) {
  const Rows r = rows_of(call.tensors[1]);
  const float epsilon = static_cast<float>(call.attributes[0]);
  with_float_type(call.tensors[1].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    backward_rows<T>(call, r, 2, 4, [&](int64_t row, float* sums) {
      const int64_t at = row * r.columns;
      layer_norm_backward_row(data_of<T>(call.tensors[0]) + at, data_of<T>(call.tensors[1]) + at, data_of<T>(call.tensors[2]), data_of<T>(call.tensors[3]) + at,
                              sums, r.columns, epsilon);
    });
  });
}

constexpr KernelEntry entries[] = {{"rmsNorm", rms_norm},
                                   {"rmsNormBackward", rms_norm_backward<false>},
                                   {"addRmsNorm", add_rms_norm},
                                   {"addRmsNormBackward", rms_norm_backward<true>},
                                   {"layerNorm", layer_norm},
                                   {"layerNormBackward", layer_norm_backward}};

} // namespace

extern const KernelTable norm_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
