// Tensors from nothing. Attributes: fill [value]; arange [start, step]; random [seed low, seed high, counter].
#include "../simd/math.hpp"
#include "loops.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

int64_t size_of(const Tensor& t) {
  int64_t size = 1;
  for (int i = 0; i < t.rank; i++) size *= t.dims[i];
  return size;
}

/** Fills a contiguous output: compute(first element, count, numbers) for tiles of numbers. */
template <class Compute>
void generate(const Call& call, double cost, const Compute& compute) {
  const Tensor& output = call.tensors[call.input_count];
  const int64_t size = size_of(output), bytes = element_bytes(output.dtype);
  parallel(call, (size + CHUNK - 1) / CHUNK, cost * CHUNK, [&](int64_t chunk) {
    alignas(64) float tile[TILE];
    const int64_t end = (chunk + 1) * CHUNK < size ? (chunk + 1) * CHUNK : size;
    for (int64_t i = chunk * CHUNK; i < end; i += TILE) {
      const int64_t count = end - i < TILE ? end - i : TILE;
      compute(i, count, tile);
      write_tile(output.data + i * bytes, output.dtype, tile, count);
    }
  });
}

void fill(const Call& call) {
  const double value = call.attributes[0];
  const Tensor& output = call.tensors[0];
  if (output.dtype != DType::i32) {
    return generate(call, 0.1, [&](int64_t, int64_t, float* tile) {
      for (int i = 0; i < TILE; i++) tile[i] = static_cast<float>(value);
    });
  }
  // i32 holds numbers that f32 does not.
  int32_t* data = reinterpret_cast<int32_t*>(output.data);
  const int64_t size = size_of(output);
  for (int64_t i = 0; i < size; i++) data[i] = static_cast<int32_t>(value);
}

void arange(const Call& call) {
  const Tensor& output = call.tensors[0];
  const double start = call.attributes[0], step = call.attributes[1];
  for (int64_t i = 0; i < output.dims[0]; i++) {
    const double value = start + static_cast<double>(i) * step;
    if (output.dtype == DType::i32) reinterpret_cast<int32_t*>(output.data)[i] = static_cast<int32_t>(value);
    else reinterpret_cast<float*>(output.data)[i] = static_cast<float>(value);
  }
}

/** Philox4x32-10 (Salmon et al. 2011): four random words from a counter and a key. */
void philox(uint64_t counter, uint32_t key0, uint32_t key1, uint32_t (&words)[4]) {
  uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32), c2 = 0, c3 = 0;
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c0, p1 = uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ key0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ key1;
    c3 = static_cast<uint32_t>(p0);
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  words[0] = c0;
  words[1] = c1;
  words[2] = c2;
  words[3] = c3;
}

template <class Convert>
void random(const Call& call, double cost, const Convert& convert) {
  const uint32_t low = static_cast<uint32_t>(call.attributes[0]), high = static_cast<uint32_t>(call.attributes[1]);
  const uint64_t counter = static_cast<uint64_t>(call.attributes[2]);
  generate(call, cost, [&](int64_t first, int64_t count, float* tile) {
    for (int64_t i = 0; i < count; i += 4) {
      uint32_t words[4];
      philox(counter + static_cast<uint64_t>(first + i) / 4, low, high, words);
      convert(words, tile + i);
    }
  });
}

float unit(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

void uniform(const Call& call) {
  random(call, 2.0, [](const uint32_t (&words)[4], float* out) {
    for (int i = 0; i < 4; i++) out[i] = unit(words[i]);
  });
}

/** Box–Muller on words (0, 1) and (2, 3) of each block. */
void normal(const Call& call) {
  random(call, 20.0, [](const uint32_t (&words)[4], float* out) {
    for (int pair = 0; pair < 4; pair += 2) {
      const double radius = __builtin_sqrt(-2.0 * __builtin_log(static_cast<double>(unit(words[pair])) + 0x1p-24));
      const double angle = 6.283185307179586 * static_cast<double>(unit(words[pair + 1]));
      out[pair] = static_cast<float>(radius * __builtin_cos(angle));
      out[pair + 1] = static_cast<float>(radius * __builtin_sin(angle));
    }
  });
}

constexpr KernelEntry entries[] = {{"fill", fill}, {"arange", arange}, {"randomUniform", uniform}, {"randomNormal", normal}};

} // namespace

extern const KernelTable creation_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
