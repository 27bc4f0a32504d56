// Rotary positions: pairs of x [N, H, D] turned by the angles of cos and sin [N, R]. Attributes: [interleaved, inverse].
#include "rows.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

template <class T>
void rotate_halves(const T* x, const float* cos, const float* sin, F sign, int64_t R, T* y) {
  for_vectors(R, [&](int64_t i, int64_t lanes) {
    const F a = load_f_first(x + i, lanes), b = load_f_first(x + R + i, lanes);
    const F c = load_first(cos + i, lanes), s = load_first(sin + i, lanes) * sign;
    store_f_first(y + i, fma(a, c, -(b * s)), lanes);
    store_f_first(y + R + i, fma(b, c, a * s), lanes);
  });
}

template <class T>
void rotate_neighbours(const T* x, const float* cos, const float* sin, float sign, int64_t R, T* y) {
  for (int64_t i = 0; i < R; i += LANES / 2) {
    const int64_t pairs = R - i < LANES / 2 ? R - i : LANES / 2;
    float in[LANES], out[LANES];
    store(in, load_f_first(x + 2 * i, 2 * pairs));
    for (int64_t p = 0; p < pairs; p++) {
      const float c = cos[i + p], s = sin[i + p] * sign;
      out[2 * p] = in[2 * p] * c - in[2 * p + 1] * s;
      out[2 * p + 1] = in[2 * p + 1] * c + in[2 * p] * s;
    }
    store_f_first(y + 2 * i, load_first(out, 2 * pairs), 2 * pairs);
  }
}

void rope(const Call& call) {
  const Tensor &x = call.tensors[0], &cos = call.tensors[1];
  const int64_t N = x.dims[0], H = x.dims[1], D = x.dims[2], R = cos.dims[1];
  const bool interleaved = call.attributes[0] != 0;
  const float sign = call.attributes[1] != 0 ? -1.0f : 1.0f;
  with_float_type(x.dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    for_each_row(call, Rows{N, H * D}, 0.3, [&](int64_t n) {
      const float *c = data_of<float>(cos) + n * R, *s = data_of<float>(call.tensors[2]) + n * R;
      for (int64_t h = 0; h < H; h++) {
        const int64_t at = (n * H + h) * D;
        const T* from = data_of<T>(x) + at;
        T* to = data_of<T>(call.tensors[3]) + at;
        if (interleaved) rotate_neighbours(from, c, s, sign, R, to);
        else rotate_halves(from, c, s, set(sign), R, to);
        __builtin_memcpy(to + 2 * R, from + 2 * R, static_cast<size_t>(D - 2 * R) * sizeof(T));
      }
    });
  });
}

constexpr KernelEntry entries[] = {{"rope", rope}};

} // namespace

extern const KernelTable rope_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
