// What the processor can do at most, as measured: the multiply-adds of matrix products without any loads, and reading
// memory. Roofline figures compare kernels with it.
// probeF32, probeBf16, probeInt8: () → f32 [1], operations of one iteration per thread; attributes [iterations].
// probeRead: (u8 [bytes]) → f32 [1].
#include "../core/parallel.hpp"
#include "amx.hpp"
#include "gemm-tile.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

#if defined(__x86_64__)
#define FRUGAL_VECTOR_REGISTER "x"
#else
#define FRUGAL_VECTOR_REGISTER "w"
#endif

constexpr int CHAINS = 12; // more than latency × ports of any processor so far, and few enough for 16 registers

template <class Dot>
float multiply(int64_t iterations) {
  F acc[CHAINS] = {}, a = {}, b = {};
#pragma GCC unroll 12
  for (int i = 0; i < CHAINS; i++) asm volatile("" : "+" FRUGAL_VECTOR_REGISTER(acc[i])); // nor may chains be seen to be equal
  asm volatile("" : "+" FRUGAL_VECTOR_REGISTER(b));
  for (int64_t n = 0; n < iterations; n++) {
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) {
      asm volatile("" : "+" FRUGAL_VECTOR_REGISTER(a)); // nothing may be computed once for several chains
      acc[i] = Dot::mac(acc[i], a, b);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < CHAINS; i++) asm volatile("" : : FRUGAL_VECTOR_REGISTER(acc[i]));
  return static_cast<float>(CHAINS * 2 * LANES * Dot::STEP);
}

#if defined(__AMX_TILE__)
template <bool INTEGERS>
float multiply_tiles(int64_t iterations) {
  configure_tiles();
  for (int64_t n = 0; n < iterations; n++) {
    if constexpr (INTEGERS) {
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    } else {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_release();
  return 4 * 2 * 16 * 16 * (INTEGERS ? 64 : 32);
}
#endif

template <class Spin>
void on_all_threads(const Call& call, Spin spin) {
  const int64_t iterations = static_cast<int64_t>(call.attributes[0]);
  float* out = reinterpret_cast<float*>(call.tensors[0].data);
  parallel(call, call.threads, 1e9, [&](int64_t thread) {
    const float operations = spin(iterations);
    if (thread == 0) *out = operations;
  });
}

void probe_f32(const Call& call) {
  on_all_threads(call, [](int64_t n) { return multiply<DotF32>(n); });
}

/** Where there is no bf16 instruction, products are those of f32. */
void probe_bf16(const Call& call) {
#if defined(__AMX_TILE__)
  on_all_threads(call, [](int64_t n) { return multiply_tiles<false>(n); });
#elif defined(__AVX512BF16__)
  on_all_threads(call, [](int64_t n) { return multiply<DotBf16>(n); });
#else
  probe_f32(call);
#endif
}

void probe_int8(const Call& call) {
#if defined(__AMX_TILE__)
  on_all_threads(call, [](int64_t n) { return multiply_tiles<true>(n); });
#elif defined(__AVX512VNNI__)
  on_all_threads(call, [](int64_t n) { return multiply<DotI8>(n); });
#else
  on_all_threads(call, [](int64_t n) { return multiply<DotI16>(n); });
#endif
}

/** Every byte once, in order; each thread reads runs of 4 MiB. */
void probe_read(const Call& call) {
  constexpr int64_t RUN = 4 << 20, GROUP = 4 * sizeof(I);
  const char* data = call.tensors[0].data;
  const int64_t bytes = call.tensors[0].dims[0];
  parallel(call, (bytes + RUN - 1) / RUN, 1e6, [&](int64_t chunk) {
    const int64_t end = (chunk + 1) * RUN < bytes ? (chunk + 1) * RUN : bytes;
    I seen[4] = {};
    for (int64_t at = chunk * RUN; at + GROUP <= end; at += GROUP) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) seen[i] |= load_as<I>(data + at + i * static_cast<int64_t>(sizeof(I)));
    }
    const I all = (seen[0] | seen[1]) | (seen[2] | seen[3]);
    asm volatile("" : : FRUGAL_VECTOR_REGISTER(all));
  });
  *reinterpret_cast<float*>(call.tensors[1].data) = 1;
}

constexpr KernelEntry entries[] = {{"probeF32", probe_f32}, {"probeBf16", probe_bf16}, {"probeInt8", probe_int8}, {"probeRead", probe_read}};

} // namespace

extern const KernelTable probe_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
