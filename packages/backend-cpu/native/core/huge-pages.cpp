#include "huge-pages.hpp"

#include <stdint.h>
#include <sys/mman.h>

namespace frugal {

void prefer_huge_pages(void* data, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  constexpr uintptr_t HUGE_PAGE = 2u << 20;
  const uintptr_t address = reinterpret_cast<uintptr_t>(data);
  const uintptr_t start = (address + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  const uintptr_t end = (address + bytes) / HUGE_PAGE * HUGE_PAGE;
  if (start < end) madvise(reinterpret_cast<void*>(start), end - start, MADV_HUGEPAGE);
#else
  static_cast<void>(data), static_cast<void>(bytes);
#endif
}

} // namespace frugal
