#include "pool.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace frugal {
namespace {

/** How long an idle worker looks for the next job before it sleeps: ops of one step follow each other faster. */
constexpr auto SPIN_TIME = std::chrono::microseconds(60);
constexpr int SPINS_BETWEEN_CLOCKS = 64;

inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

struct Job {
  void (*body)(void*, int64_t);
  void* context;
  int64_t chunks;
  int helpers; // workers with a smaller index than this take part
};

class Pool {
 public:
  void run(int threads, int64_t chunks, void (*body)(void*, int64_t), void* context) {
    if (!owner_.try_lock()) {
      for (int64_t i = 0; i < chunks; i++) body(context, i);
      return;
    }
    const int helpers = static_cast<int>(chunks < threads ? chunks : threads) - 1;
    grow(helpers);
    job_ = {body, context, chunks, helpers};
    next_.store(0, std::memory_order_relaxed);
    open_.store(true);
    generation_.fetch_add(1);
    if (sleepers_.load() > 0) wake();
    work();
    // Workers that come late find the job closed; only those inside are waited for.
    open_.store(false);
    for (int spins = 0; inside_.load() > 0; spins++) {
      if (spins < 4096) relax();
      else std::this_thread::yield();
    }
    owner_.unlock();
  }

  int size() const { return size_; }

 private:
  void work() {
    for (;;) {
      const int64_t chunk = next_.fetch_add(1, std::memory_order_relaxed);
      if (chunk >= job_.chunks) return;
      job_.body(job_.context, chunk);
    }
  }

  void grow(int workers) {
    for (; size_ < workers; size_++) std::thread([this, index = size_] { loop(index); }).detach();
  }

  void loop(int index) {
    uint64_t seen = generation_.load() - 1;
    for (;;) {
      wait(seen);
      seen = generation_.load();
      inside_.fetch_add(1);
      if (open_.load() && index < job_.helpers) work();
      inside_.fetch_sub(1);
    }
  }

  void wait(uint64_t seen) {
    const auto deadline = std::chrono::steady_clock::now() + SPIN_TIME;
    do {
      for (int i = 0; i < SPINS_BETWEEN_CLOCKS; i++) {
        if (generation_.load(std::memory_order_acquire) != seen) return;
        relax();
      }
    } while (std::chrono::steady_clock::now() < deadline);
    std::unique_lock lock(sleep_);
    sleepers_.fetch_add(1);
    wakeup_.wait(lock, [&] { return generation_.load() != seen; });
    sleepers_.fetch_sub(1);
  }

  void wake() {
    { std::lock_guard lock(sleep_); }
    wakeup_.notify_all();
  }

  std::mutex owner_;
  Job job_{};
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<bool> open_{false};
  std::atomic<int> inside_{0};
  alignas(64) std::atomic<uint64_t> generation_{1};
  std::atomic<int> sleepers_{0};
  std::mutex sleep_;
  std::condition_variable wakeup_;
  int size_ = 0;
};

/** Never destroyed: its threads outlive every JavaScript environment. */
Pool& pool() {
  static Pool* const instance = new Pool();
  return *instance;
}

struct Buffers {
  void* memory[static_cast<int>(Scratch::count)] = {};
  size_t bytes[static_cast<int>(Scratch::count)] = {};
  ~Buffers() {
    for (void* each : memory) std::free(each);
  }
};

} // namespace

void run_parallel(int threads, int64_t chunks, void (*body)(void*, int64_t), void* context) {
  pool().run(threads, chunks, body, context);
}

int pool_size() { return pool().size(); }

void* scratch(Scratch slot, size_t bytes) {
  static thread_local Buffers buffers;
  const int index = static_cast<int>(slot);
  if (buffers.bytes[index] < bytes) {
    std::free(buffers.memory[index]);
    const size_t rounded = (bytes + bytes / 8 + 4095) / 4096 * 4096;
    buffers.memory[index] = std::aligned_alloc(64, rounded);
    buffers.bytes[index] = rounded;
    if (!buffers.memory[index]) {
      std::fprintf(stderr, "frugal: no memory left for %zu bytes of kernel scratch\n", rounded);
      std::abort();
    }
  }
  return buffers.memory[index];
}

} // namespace frugal
