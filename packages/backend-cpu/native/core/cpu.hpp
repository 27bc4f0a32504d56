#pragma once
#include <string>
#include <vector>

namespace frugal {

/** ISA levels, each containing all earlier ones. */
enum class Isa : int { scalar, avx2, avx512, avx512bf16, amx, count };

const char* isa_name(Isa isa);

/** Levels that this machine can run and this build contains, lowest first. */
const std::vector<Isa>& available_isas();

/** As the manufacturer calls it, or the architecture. */
std::string cpu_model();

} // namespace frugal
