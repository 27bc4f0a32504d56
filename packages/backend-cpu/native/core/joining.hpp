#pragma once
#include <cstddef>
#include <vector>

#include "call.hpp"

namespace frugal {

/** A call, and how it becomes one with others; null: never. */
struct Joinable {
  const Call* call;
  const Joint* joint;
};

/** Calls that run as one in the place of the first of them, whose index is `first`. */
struct Run {
  size_t first;
  std::vector<const Call*> calls;
};

/**
 * The calls in an order that gives the same results, with those that fit an earlier one moved to it: the products of a
 * layer's input with the weights of queries, keys and values, for instance. A call passes others only if none of them
 * touches what it touches, but for reading the same.
 */
std::vector<Run> join_calls(const std::vector<Joinable>& calls);

} // namespace frugal
