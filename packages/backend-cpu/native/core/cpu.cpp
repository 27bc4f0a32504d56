#include "cpu.hpp"

#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace frugal {

const char* isa_name(Isa isa) {
  static const char* const names[] = {"scalar", "avx2", "avx512", "avx512bf16", "amx"};
  return names[static_cast<int>(isa)];
}

namespace {

#if defined(__x86_64__)
// __builtin_cpu_supports knows avx512bf16 only since GCC 11 and clang 17: read the bit itself.
bool has_avx512_bf16() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 5));
}

/**
 * Whether the processor has tiles with bf16 and int8 products, and Linux lets this process use them: their 8 KiB of
 * state per thread must be asked for. A kernel older than 5.16, or a signal stack that is too small for them, says no.
 */
bool has_amx() {
#if defined(__linux__)
  constexpr unsigned TILES = 1u << 24, INT8 = 1u << 25, BF16 = 1u << 22;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (TILES | INT8 | BF16)) != (TILES | INT8 | BF16)) return false;
  constexpr long REQUEST_PERMISSION = 0x1023, TILE_DATA = 18; // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
  return false;
#endif
}

std::vector<Isa> detect() {
  std::vector<Isa> found{Isa::scalar};
  __builtin_cpu_init();
  // The builtins also ask whether the operating system saves the wide registers.
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2")) return found;
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 29));
  if (!f16c) return found;
  found.push_back(Isa::avx2);
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512cd"))
    return found;
  found.push_back(Isa::avx512);
  if (!__builtin_cpu_supports("avx512vnni") || !has_avx512_bf16()) return found;
  found.push_back(Isa::avx512bf16);
  if (has_amx()) found.push_back(Isa::amx);
  return found;
}
#else
std::vector<Isa> detect() { return {Isa::scalar}; }
#endif

} // namespace

const std::vector<Isa>& available_isas() {
  static const std::vector<Isa> found = detect();
  return found;
}

std::string cpu_model() {
#if defined(__x86_64__)
  char brand[49] = {};
  unsigned words[12];
  if (__get_cpuid_max(0x80000000u, nullptr) >= 0x80000004u) {
    for (unsigned i = 0; i < 3; i++)
      __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
    std::memcpy(brand, words, 48);
  }
  std::string name(brand);
  const size_t first = name.find_first_not_of(' ');
  const size_t last = name.find_last_not_of(' ');
  if (first != std::string::npos) return name.substr(first, last - first + 1);
  return "x86-64";
#elif defined(__aarch64__)
  return "arm64";
#else
  return "unknown processor";
#endif
}

} // namespace frugal
