#include "pool.hpp"

#include "huge-pages.hpp"

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

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

/** How long an idle worker looks for the next job before it sleeps: ops of one step follow each other faster. */
constexpr auto SPIN_TIME = microseconds(100);
/** The same inside a region; it ends should the owner be held up. */
constexpr auto REGION_SPIN_TIME = microseconds(20000);
constexpr int SPINS_BETWEEN_CLOCKS = 32;
/** Waiting so much longer than expected for a worker means that its core does something else. */
constexpr auto STALL = microseconds(100);
constexpr auto FIRST_PENALTY = microseconds(2000);
/** Trying again costs a time slice of a few milliseconds at worst. */
constexpr auto LONGEST_PENALTY = microseconds(250000);
/** Helpers are worth having when they ran this many times as long as they then kept everybody waiting. */
constexpr int WORTH = 10;

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
};

/** What this thread may do: start jobs, start them as the owner of a region, or nothing but run chunks alone. */
enum class Role { outside, region, inside };
thread_local Role role = Role::outside;

/** Fewer threads for a while after one of them was held up: in lock step with it, all would be as slow. */
class Caution {
 public:
  /** How many of the wanted workers may help now. */
  int allowed(int workers) {
    if (limit_ < 0) return workers;
    if (Clock::now() >= until_) limit_ = -1;
    return limit_ < 0 || limit_ > workers ? workers : limit_;
  }

  /** `since` is when the wait began. A short absence, as on any idle machine, must not cost more than it took itself. */
  void stalled(int workers, Clock::time_point since) {
    const auto now = Clock::now();
    const bool worth = since - until_ > WORTH * (now - since);
    penalty_ = worth ? FIRST_PENALTY : 2 * penalty_ < LONGEST_PENALTY ? 2 * penalty_ : LONGEST_PENALTY;
    until_ = now + penalty_;
    limit_ = workers - 1;
  }

 private:
  int limit_ = -1;
  microseconds penalty_ = FIRST_PENALTY;
  Clock::time_point until_{};
};

/**
 * One job at a time. Its ticket holds its number and how many chunks are left; whoever lowers it owns that chunk, and the
 * job stays in place until all owned chunks are done. So nobody waits for a worker that has not begun: one that sleeps, or
 * whose core is busy, costs nothing.
 */
class Pool {
 public:
  void run(int threads, int64_t chunks, double cost, void (*body)(void*, int64_t), void* context) {
    const Role before = role;
    if (chunks > MAX_CHUNKS || before == Role::inside || (before == Role::outside && !owner_.try_lock())) {
      for (int64_t i = 0; i < chunks; i++) body(context, i);
      return;
    }
    role = Role::inside;
    const int workers = caution_.allowed(static_cast<int>(chunks < threads ? chunks : threads) - 1);
    if (workers <= 0)
      for (int64_t i = 0; i < chunks; i++) body(context, i);
    else
      share({body, context, chunks}, workers, cost);
    role = before;
    if (before == Role::outside) owner_.unlock();
  }

  bool enter(int threads) {
    if (threads <= 1 || role != Role::outside || !owner_.try_lock()) return false;
    role = Role::region;
    // A worker that may not help would only take the processor from who does.
    if (caution_.allowed(threads - 1) > 0) {
      awake_.store(true);
      if (sleepers_.load() > 0) wake();
    }
    return true;
  }

  void leave() {
    awake_.store(false);
    role = Role::outside;
    owner_.unlock();
  }

  int size() const { return size_; }

 private:
  static constexpr int64_t MAX_CHUNKS = 0xffffffff;

  void share(const Job& job, int workers, double cost) {
    grow(workers);
    job_ = job;
    finished_.store(0, std::memory_order_relaxed);
    wanted_.store(workers, std::memory_order_relaxed);
    number_++;
    // Sequentially consistent: a worker that goes to sleep either sees the job, or is seen sleeping.
    ticket_.exchange(static_cast<uint64_t>(number_) << 32 | static_cast<uint64_t>(job.chunks));
    if (sleepers_.load() > 0) wake();
    const int64_t others = job.chunks - work(number_);
    if (finished_.load(std::memory_order_acquire) != others) await(others, workers, cost);
  }

  /** Runs chunks of a job until none is left; how many. */
  int64_t work(uint32_t number) {
    int64_t done = 0;
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    for (;;) {
      const uint32_t left = static_cast<uint32_t>(ticket);
      if (ticket >> 32 != number || left == 0) return done;
      if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      job_.body(job_.context, job_.chunks - left);
      done++;
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }

  void await(int64_t others, int workers, double cost) {
    for (int spins = 0; spins < SPINS_BETWEEN_CLOCKS; spins++) {
      if (finished_.load(std::memory_order_acquire) == others) return;
      relax();
    }
    const auto patience = STALL + microseconds(static_cast<int64_t>(cost / 500));
    const auto start = Clock::now(), deadline = start + patience;
    bool stalled = false;
    while (finished_.load(std::memory_order_acquire) != others) {
      if (stalled) std::this_thread::yield();
      for (int spins = 0; spins < SPINS_BETWEEN_CLOCKS && finished_.load(std::memory_order_acquire) != others; spins++) relax();
      stalled = stalled || Clock::now() > deadline;
    }
    if (!stalled) return;
    caution_.stalled(workers, start);
    awake_.store(false);
  }

  void grow(int workers) {
    for (; size_ < workers; size_++) std::thread([this, index = size_] { loop(index); }).detach();
  }

  void loop(int index) {
    role = Role::inside;
    uint32_t seen = 0;
    for (;;) {
      const uint32_t number = wait(seen);
      if (number == seen) continue; // a region has begun
      seen = number;
      if (index >= wanted_.load(std::memory_order_relaxed)) continue;
      const int64_t done = work(seen);
      if (done > 0) finished_.fetch_add(done, std::memory_order_release);
    }
  }

  uint32_t number_of_job() const { return static_cast<uint32_t>(ticket_.load() >> 32); }

  /** Waits for a job that is not the one `seen`; its number. */
  uint32_t wait(uint32_t seen) {
    const auto start = Clock::now();
    do {
      for (int i = 0; i < SPINS_BETWEEN_CLOCKS; i++) {
        const uint32_t number = static_cast<uint32_t>(ticket_.load(std::memory_order_acquire) >> 32);
        if (number != seen) return number;
        relax();
      }
    } while (Clock::now() - start < (awake_.load(std::memory_order_relaxed) ? REGION_SPIN_TIME : SPIN_TIME));
    std::unique_lock lock(sleep_);
    sleepers_.fetch_add(1);
    wakeup_.wait(lock, [&] { return number_of_job() != seen || awake_.load(); });
    sleepers_.fetch_sub(1);
    return number_of_job();
  }

  void wake() {
    { std::lock_guard lock(sleep_); }
    wakeup_.notify_all();
  }

  std::mutex owner_;
  Caution caution_;
  uint32_t number_ = 0;
  Job job_{};
  alignas(64) std::atomic<uint64_t> ticket_{0};
  std::atomic<int> wanted_{0};
  alignas(64) std::atomic<int64_t> finished_{0};
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<bool> awake_{false};
  std::mutex sleep_;
  std::condition_variable wakeup_;
  int size_ = 0;
};

/** Never destroyed: its threads outlive every JavaScript environment. */
Pool& pool() {
  static Pool* const instance = new Pool();
  return *instance;
}

/** Buffers from this size on lie in huge pages: tiles jump through packed panels, each into another page. */
constexpr size_t LARGE = 256 << 10;
constexpr size_t HUGE_PAGE = 2 << 20;
constexpr size_t SMALL_PAGE = 4096;

struct Buffers {
  void* memory[static_cast<int>(Scratch::count)] = {};
  size_t bytes[static_cast<int>(Scratch::count)] = {};
  ~Buffers() {
    for (void* each : memory) std::free(each);
  }
};

} // namespace

void run_parallel(int threads, int64_t chunks, double cost, void (*body)(void*, int64_t), void* context) {
  pool().run(threads, chunks, cost, body, context);
}

PoolRegion::PoolRegion(int threads) : entered_(pool().enter(threads)) {}
PoolRegion::~PoolRegion() {
  if (entered_) pool().leave();
}

int pool_size() { return pool().size(); }

void* scratch(Scratch slot, size_t bytes) {
  static thread_local Buffers buffers;
  const int index = static_cast<int>(slot);
  if (buffers.bytes[index] < bytes) {
    std::free(buffers.memory[index]);
    const size_t page = bytes >= LARGE ? HUGE_PAGE : SMALL_PAGE;
    const size_t rounded = (bytes + bytes / 8 + page - 1) / page * page;
    buffers.memory[index] = std::aligned_alloc(page, rounded);
    buffers.bytes[index] = rounded;
    if (!buffers.memory[index]) {
      std::fprintf(stderr, "frugal: no memory left for %zu bytes of kernel scratch\n", rounded);
      std::abort();
    }
    if (page == HUGE_PAGE) prefer_huge_pages(buffers.memory[index], rounded);
  }
  return buffers.memory[index];
}

} // namespace frugal
