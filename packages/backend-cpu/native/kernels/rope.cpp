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

#if defined(FRUGAL_AVX512)
FRUGAL_INLINE F swap_pairs(F x) { return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14); }
FRUGAL_INLINE F double_low(F x) { return __builtin_shufflevector(x, x, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7); }
#elif defined(FRUGAL_AVX2)
FRUGAL_INLINE F swap_pairs(F x) { return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6); }
FRUGAL_INLINE F double_low(F x) { return __builtin_shufflevector(x, x, 0, 0, 1, 1, 2, 2, 3, 3); }
#else
FRUGAL_INLINE F swap_pairs(F x) { return __builtin_shufflevector(x, x, 1, 0, 3, 2); }
FRUGAL_INLINE F double_low(F x) { return __builtin_shufflevector(x, x, 0, 0, 1, 1); }
#endif

/** The angles of a row for neighbours: [2 · R] of cos, and of sin with alternating signs, in whole vectors. */
void double_angles(const float* cos, const float* sin, float sign, int64_t R, float* cosines, float* sines) {
  F alternating;
  for (int l = 0; l < LANES; l++) alternating[l] = l % 2 == 0 ? -sign : sign;
  for (int64_t i = 0; i < R; i += LANES / 2) {
    const int64_t pairs = R - i < LANES / 2 ? R - i : LANES / 2;
    store(cosines + 2 * i, double_low(load_first(cos + i, pairs)));
    store(sines + 2 * i, double_low(load_first(sin + i, pairs)) * alternating);
  }
}

template <class T>
void rotate_neighbours(const T* x, const float* cosines, const float* sines, int64_t R, T* y) {
  for_vectors(2 * R, [&](int64_t i, int64_t lanes) {
    const F v = load_f_first(x + i, lanes);
    store_f_first(y + i, fma(v, load(cosines + i), swap_pairs(v) * load(sines + i)), lanes);
  });
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
      float *cosines = nullptr, *sines = nullptr;
      if (interleaved) {
        const int64_t room = (2 * R + LANES) / LANES * LANES;
        cosines = static_cast<float*>(scratch(Scratch::chunk, static_cast<size_t>(2 * room) * 4));
        sines = cosines + room;
        double_angles(c, s, sign, R, cosines, sines);
      }
      for (int64_t h = 0; h < H; h++) {
        const int64_t at = (n * H + h) * D;
        const T* from = data_of<T>(x) + at;
        T* to = data_of<T>(call.tensors[3]) + at;
        if (interleaved) rotate_neighbours(from, cosines, sines, R, to);
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
