#pragma once

namespace frugal::FRUGAL_ISA {

/** Types of the kept values of sparse formats, and of scales of groups. Numbers as in src/packed-layout.ts. */
enum class ValueType : int { f32, bf16, f16, int8 };

} // namespace frugal::FRUGAL_ISA
