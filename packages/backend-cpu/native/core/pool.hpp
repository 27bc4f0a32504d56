#pragma once
// The thread pool and the scratch memory of its threads. Declarations only, see call.hpp.
#include <stddef.h>
#include <stdint.h>

namespace frugal {

/**
 * Runs body(context, chunk) for every chunk in 0..chunks-1 on up to `threads` threads, the calling one included, and
 * returns when all are done. Chunks are handed out in ascending order to whoever is free, so a kernel must split its
 * work by shape alone, never by the number of threads: then results have the same bits on every machine. `cost` are the
 * nanoseconds that a chunk is expected to take: who waits much longer for another thread assumes that a neighbour has
 * taken its core, and uses fewer threads for a while.
 * When another JavaScript thread holds the pool, the caller runs all chunks itself.
 */
void run_parallel(int threads, int64_t chunks, double cost, void (*body)(void* context, int64_t chunk), void* context);

/**
 * While one lives, the workers stay awake between the calls of `run_parallel` of this thread: for a step of many short
 * calls. Without the pool (another thread has it) nothing happens.
 */
class PoolRegion {
 public:
  explicit PoolRegion(int threads);
  ~PoolRegion();
  PoolRegion(const PoolRegion&) = delete;
  PoolRegion& operator=(const PoolRegion&) = delete;

 private:
  bool entered_;
};

/** Slots of scratch memory: one buffer per slot and thread, kept and grown, aligned to 64 bytes. */
enum class Scratch : int { chunk, chunk2, packed_a, packed_b, shared, count };

/** Contents are undefined, and valid until this thread asks for the same slot again. Aborts when memory is gone. */
void* scratch(Scratch slot, size_t bytes);

/** Threads started so far, the calling one not counted. */
int pool_size();

} // namespace frugal
