// Between the files of libascendcl.
#pragma once
#include <mutex>

#include "stub.h"

namespace stub __attribute__((visibility("default"))) {

using Lock = std::lock_guard<std::recursive_mutex>;
std::recursive_mutex& mutex();

/** Name of work that has not run and needs this block; empty when there is none. */
std::string pendingUser(uint64_t block);
uint64_t liveBlocks();
void limitMemory(uint64_t bytes);

/** What other libraries of the stub count when the process is done: text per kind of leak. */
using LeakCheck = std::string (*)();
void addLeakCheck(LeakCheck check);

}  // namespace stub
