#pragma once
#include <string>
#include <vector>

#include "call.hpp"
#include "cpu.hpp"

namespace frugal {

/** Names of all kernels; the position of a name is its number in calls. */
const std::vector<std::string>& kernel_names();

/** The kernel with this number at a level that the machine has, or null. */
const KernelEntry* find_kernel(int number, Isa isa);

} // namespace frugal
