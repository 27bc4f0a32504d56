// Memory of the device: addresses that the host cannot touch, every live block known, freed ones poisoned.
#include <sys/mman.h>

#include <cstring>
#include <map>
#include <mutex>

#include "runtime.h"

namespace stub {
namespace {

constexpr uint64_t kArena = 1ull << 34;
constexpr uint64_t kAlign = 64;
constexpr uint64_t kTail = 32;
constexpr int kFresh = 0xff;  // NaN in every floating type
constexpr int kFreed = 0xfd;

struct Arena {
  uint8_t* device = nullptr;
  uint8_t* host = nullptr;
  uint64_t used = 0;
  uint64_t limit = kArena;
  uint64_t held = 0;
  uint64_t next = 1;
  std::map<uint64_t, Block> live;                 // by base
  std::multimap<uint64_t, uint64_t> free;         // span → base
  std::unordered_map<uint64_t, uint64_t> byId;    // id → base

  Arena() {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    device = static_cast<uint8_t*>(mmap(nullptr, kArena, PROT_NONE, flags, -1, 0));
    host = static_cast<uint8_t*>(mmap(nullptr, kArena, PROT_READ | PROT_WRITE, flags, -1, 0));
  }
};

Arena& arena() {
  static Arena made;
  return made;
}

uint64_t spanOf(uint64_t size) { return ((size + 31) / 32 * 32 + kTail + kAlign - 1) / kAlign * kAlign; }

}  // namespace

uint8_t* backing(const void* device) {
  Arena& all = arena();
  return all.host + (static_cast<const uint8_t*>(device) - all.device);
}

Block blockOf(const void* device) {
  Lock lock(mutex());
  const Arena& all = arena();
  const auto address = reinterpret_cast<uint64_t>(device);
  auto after = all.live.upper_bound(address);
  if (after == all.live.begin()) return {0, 0, 0};
  const Block& block = std::prev(after)->second;
  return address < block.base + spanOf(block.size) ? block : Block{0, 0, 0};
}

bool isLive(uint64_t block) {
  Lock lock(mutex());
  return arena().byId.count(block) > 0;
}

uint64_t liveBlocks() { return arena().live.size(); }

void limitMemory(uint64_t bytes) { arena().limit = bytes == 0 ? kArena : bytes; }

}  // namespace stub

using namespace stub;

ABI int aclrtMalloc(void** pointer, size_t size, int) {
  Lock lock(mutex());
  if (int error = requireContext("aclrtMalloc")) return error;
  if (!pointer || size == 0) {
    violation("malloc-size", "aclrtMalloc of 0 bytes");
    return fail(runtimeParameter, "aclrtMalloc: size must not be 0");
  }
  Arena& all = arena();
  const uint64_t span = spanOf(size);
  if (all.held + span > all.limit) return fail(outOfMemory, "aclrtMalloc: out of memory, " + std::to_string(size) + " bytes");
  uint64_t base;
  auto known = all.free.lower_bound(span);
  if (known != all.free.end() && known->first == span) {
    base = known->second;
    all.free.erase(known);
  } else {
    if (all.used + span > kArena) return fail(outOfMemory, "aclrtMalloc: out of addresses");
    base = reinterpret_cast<uint64_t>(all.device) + all.used;
    all.used += span;
  }
  const Block block{all.next++, base, size};
  all.live[base] = block;
  all.byId[block.id] = base;
  all.held += span;
  *pointer = reinterpret_cast<void*>(base);
  memset(backing(*pointer), kFresh, span);
  return ok;
}

ABI int aclrtFree(void* pointer) {
  Lock lock(mutex());
  if (int error = requireContext("aclrtFree")) return error;
  Arena& all = arena();
  auto found = all.live.find(reinterpret_cast<uint64_t>(pointer));
  if (found == all.live.end()) {
    violation("free-unknown", "aclrtFree of what is no block, or no longer");
    return fail(runtimeParameter, "aclrtFree: unknown pointer");
  }
  const Block block = found->second;
  const std::string user = pendingUser(block.id);
  if (!user.empty()) violation("free-in-use", "aclrtFree while " + user + " has not run");
  const uint64_t span = spanOf(block.size);
  memset(backing(pointer), kFreed, span);
  all.live.erase(found);
  all.byId.erase(block.id);
  all.free.emplace(span, block.base);
  all.held -= span;
  return ok;
}

namespace {

/** 0 when `count` bytes from `pointer` lie in one live block. */
int requireRange(const std::string& name, const void* pointer, size_t count) {
  const Block block = blockOf(pointer);
  const auto address = reinterpret_cast<uint64_t>(pointer);
  if (block.id != 0 && address + count <= block.base + block.size) return ok;
  violation("copy-range", name + " of " + std::to_string(count) + " bytes outside a block of the device");
  return fail(runtimeParameter, name + ": not memory of the device");
}

int checkCopy(const std::string& name, const void* device, size_t room, size_t count) {
  if (int error = requireContext(name)) return error;
  if (room < count) {
    violation("copy-room", name + ": destMax " + std::to_string(room) + " < count " + std::to_string(count));
    return fail(runtimeParameter, name + ": destMax < count");
  }
  return requireRange(name, device, count);
}

constexpr int kToDevice = 1, kToHost = 2;

}  // namespace

/** At once, whatever streams still have to do: who forgets to wait reads what was there before. */
ABI int aclrtMemcpy(void* to, size_t room, const void* from, size_t count, int kind) {
  Lock lock(mutex());
  if (kind != kToDevice && kind != kToHost) return fail(runtimeParameter, "aclrtMemcpy: kind not supported here");
  if (int error = checkCopy("aclrtMemcpy", kind == kToDevice ? to : from, room, count)) return error;
  if (kind == kToDevice) memcpy(backing(to), from, count);
  else memcpy(to, backing(from), count);
  return ok;
}

/** Memory of the host that is not pinned is read before this returns. */
ABI int aclrtMemcpyAsync(void* to, size_t room, const void* from, size_t count, int kind, void* stream) {
  Lock lock(mutex());
  if (kind != kToDevice) return fail(runtimeParameter, "aclrtMemcpyAsync: kind not supported here");
  if (int error = checkCopy("aclrtMemcpyAsync", to, room, count)) return error;
  const auto* bytes = static_cast<const uint8_t*>(from);
  std::vector<uint8_t> held(bytes, bytes + count);
  return enqueue("aclrtMemcpyAsync", stream, {"aclrtMemcpyAsync", {blockOf(to).id}, [to, held = std::move(held)] {
    memcpy(backing(to), held.data(), held.size());
  }});
}

ABI int aclrtGetMemInfo(int, size_t* free, size_t* total) {
  Lock lock(mutex());
  if (int error = requireContext("aclrtGetMemInfo")) return error;
  *total = arena().limit;
  *free = arena().limit - arena().held;
  return ok;
}
