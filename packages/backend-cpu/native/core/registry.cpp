#include "registry.hpp"

#include "families.hpp"

namespace frugal {

#define FRUGAL_DECLARE(family) extern const KernelTable family##_kernels;
namespace scalar {
FRUGAL_FAMILIES(FRUGAL_DECLARE)
}
#if defined(__x86_64__)
namespace avx2 {
FRUGAL_FAMILIES(FRUGAL_DECLARE)
}
namespace avx512 {
FRUGAL_FAMILIES(FRUGAL_DECLARE)
}
namespace avx512bf16 {
FRUGAL_BF16_FAMILIES(FRUGAL_DECLARE)
}
namespace amx {
FRUGAL_AMX_FAMILIES(FRUGAL_DECLARE)
}
#endif
#undef FRUGAL_DECLARE

namespace {

struct Registry {
  std::vector<std::string> names;
  std::vector<const KernelEntry*> kernels[static_cast<int>(Isa::count)];

  Registry() {
#define FRUGAL_ADD(family) add(Isa::scalar, scalar::family##_kernels);
    FRUGAL_FAMILIES(FRUGAL_ADD)
#undef FRUGAL_ADD
#if defined(__x86_64__)
#define FRUGAL_ADD(family) add(Isa::avx2, avx2::family##_kernels);
    FRUGAL_FAMILIES(FRUGAL_ADD)
#undef FRUGAL_ADD
#define FRUGAL_ADD(family) add(Isa::avx512, avx512::family##_kernels);
    FRUGAL_FAMILIES(FRUGAL_ADD)
#undef FRUGAL_ADD
    kernels[static_cast<int>(Isa::avx512bf16)] = kernels[static_cast<int>(Isa::avx512)];
#define FRUGAL_ADD(family) add(Isa::avx512bf16, avx512bf16::family##_kernels);
    FRUGAL_BF16_FAMILIES(FRUGAL_ADD)
#undef FRUGAL_ADD
    kernels[static_cast<int>(Isa::amx)] = kernels[static_cast<int>(Isa::avx512bf16)];
#define FRUGAL_ADD(family) add(Isa::amx, amx::family##_kernels);
    FRUGAL_AMX_FAMILIES(FRUGAL_ADD)
#undef FRUGAL_ADD
#endif
  }

  void add(Isa isa, const KernelTable& table) {
    auto& list = kernels[static_cast<int>(isa)];
    for (int32_t i = 0; i < table.count; i++) {
      const size_t number = number_of(table.entries[i].name);
      if (list.size() <= number) list.resize(number + 1);
      list[number] = &table.entries[i];
    }
  }

  size_t number_of(const char* name) {
    for (size_t i = 0; i < names.size(); i++)
      if (names[i] == name) return i;
    names.emplace_back(name);
    return names.size() - 1;
  }
};

const Registry& registry() {
  static const Registry instance;
  return instance;
}

} // namespace

const std::vector<std::string>& kernel_names() { return registry().names; }

const KernelEntry* find_kernel(int number, Isa isa) {
  const auto& list = registry().kernels[static_cast<int>(isa)];
  return number >= 0 && static_cast<size_t>(number) < list.size() ? list[static_cast<size_t>(number)] : nullptr;
}

} // namespace frugal
