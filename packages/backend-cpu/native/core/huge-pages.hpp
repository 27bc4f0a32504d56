#pragma once
#include <stddef.h>

namespace frugal {

/**
 * Asks for huge pages where whole ones fit into the range: reading weights once per token costs a walk through the page
 * tables for every page. Does nothing where the system has none.
 */
void prefer_huge_pages(void* data, size_t bytes);

} // namespace frugal
