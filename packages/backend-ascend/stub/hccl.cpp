// libhccl: ranks are processes that meet in a folder, whose name is in the root info. Work waits in the stream like that of ops.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "numbers.h"
#include "runtime.h"

using namespace stub;

namespace {

constexpr size_t kRootInfo = 4108;
constexpr int kPatience = 60'000;  // steps of a millisecond
enum Result { success = 0, parameter = 1, pointer = 2, internal = 4, notSupported = 5, timeout = 9 };

struct Comm {
  std::string folder;
  uint32_t rank, size;
  uint64_t next = 0;
  int failure = success;
};

std::unordered_map<void*, Comm>& comms() {
  static auto* made = new std::unordered_map<void*, Comm>;
  return *made;
}

int typeOf(int hccl) {
  switch (hccl) {
    case 0: return i8;
    case 2: return i32;
    case 3: return f16;
    case 4: return f32;
    case 7: return u8;
    case 11: return bf16;
    default: return -1;
  }
}

std::string nameOf(const Comm& comm, uint64_t step, uint32_t rank) {
  return comm.folder + "/" + std::to_string(step) + "." + std::to_string(rank);
}

void write(const std::string& name, const void* bytes, size_t count) {
  const std::string draft = name + ".draft";
  FILE* file = fopen(draft.c_str(), "wb");
  fwrite(bytes, 1, count, file);
  fclose(file);
  rename(draft.c_str(), name.c_str());
}

/** Waits for the file of a rank; false when it does not come or has another size: the ranks do not do the same work. */
bool readFile(Comm& comm, const std::string& name, std::vector<uint8_t>& bytes) {
  struct stat found{};
  for (int waited = 0; stat(name.c_str(), &found) != 0; waited++) {
    if (waited >= kPatience) return comm.failure = timeout, false;
    usleep(1000);
  }
  if (static_cast<size_t>(found.st_size) != bytes.size()) return comm.failure = internal, false;
  FILE* file = fopen(name.c_str(), "rb");
  const size_t got = fread(bytes.data(), 1, bytes.size(), file);
  fclose(file);
  return got == bytes.size();
}

bool read(Comm& comm, uint64_t step, uint32_t rank, std::vector<uint8_t>& bytes) {
  return readFile(comm, nameOf(comm, step, rank), bytes);
}

/** Checks what all calls have in common and enqueues `work`; a place that is not memory of the device is a violation. */
int collective(const char* name, void* handle, void* stream, int type, const std::vector<std::pair<const void*, uint64_t>>& places, std::function<void(Comm&, uint64_t)> work) {
  auto found = comms().find(handle);
  if (found == comms().end()) return violation("communicator", std::string(name) + " with one that is dead or was never made"), parameter;
  if (typeOf(type) < 0) return notSupported;
  std::vector<uint64_t> blocks;
  for (const auto& [address, count] : places) {
    const Block block = blockOf(address);
    const auto base = reinterpret_cast<uint64_t>(address);
    if (block.id == 0 || base + count * sizeOf(typeOf(type)) > block.base + block.size)
      return violation("collective-range", std::string(name) + " reaches beyond a block of the device"), pointer;
    blocks.push_back(block.id);
  }
  const uint64_t step = found->second.next++;
  Comm* comm = &found->second;
  return enqueue(name, stream, {name, blocks, [=] { work(*comm, step); }}) == ok ? success : internal;
}

std::string leaks() { return comms().empty() ? "" : std::to_string(comms().size()) + " communicators"; }

}  // namespace

ABI int HcclGetRootInfo(void* info) {
  if (int error = requireContext("HcclGetRootInfo")) return error ? internal : success;
  const char* set = getenv("TMPDIR");
  std::string folder = std::string(set ? set : P_tmpdir) + "/frugal-hccl-XXXXXX";
  if (!mkdtemp(folder.data())) return internal;
  memset(info, 0, kRootInfo);
  memcpy(info, folder.c_str(), folder.size());
  return success;
}

ABI int HcclCommInitRootInfo(uint32_t size, const void* info, uint32_t rank, void** comm) {
  if (requireContext("HcclCommInitRootInfo")) return internal;
  if (!info || !comm) return pointer;
  if (rank >= size) return parameter;
  static const bool once = (addLeakCheck(leaks), true);
  (void)once;
  Comm made{static_cast<const char*>(info), rank, size};
  const uint64_t step = made.next++;
  write(nameOf(made, step, rank), &size, sizeof size);
  for (uint32_t other = 0; other < size; other++) {
    std::vector<uint8_t> bytes(sizeof size);
    if (!read(made, step, other, bytes)) return timeout;
    if (memcmp(bytes.data(), &size, sizeof size) != 0) return parameter;
  }
  *comm = newHandle();
  comms().emplace(*comm, std::move(made));
  return success;
}

ABI int HcclAllReduce(void* from, void* to, uint64_t count, int type, int op, void* comm, void* stream) {
  if (op != 0) return notSupported;
  return collective("HcclAllReduce", comm, stream, type, {{from, count}, {to, count}}, [=](Comm& ranks, uint64_t step) {
    const int dtype = typeOf(type);
    const size_t width = sizeOf(dtype);
    write(nameOf(ranks, step, ranks.rank), backing(from), count * width);
    std::vector<double> sums(count, 0);
    std::vector<uint8_t> bytes(count * width);
    for (uint32_t rank = 0; rank < ranks.size; rank++) {
      if (!read(ranks, step, rank, bytes)) return;
      for (uint64_t i = 0; i < count; i++) sums[i] += load(bytes.data() + i * width, dtype);
    }
    for (uint64_t i = 0; i < count; i++) store(backing(to) + i * width, dtype, sums[i]);
  });
}

ABI int HcclBroadcast(void* buffer, uint64_t count, int type, uint32_t root, void* comm, void* stream) {
  return collective("HcclBroadcast", comm, stream, type, {{buffer, count}}, [=](Comm& ranks, uint64_t step) {
    const size_t width = sizeOf(typeOf(type));
    if (ranks.rank == root) return write(nameOf(ranks, step, root), backing(buffer), count * width);
    std::vector<uint8_t> bytes(count * width);
    if (read(ranks, step, root, bytes)) memcpy(backing(buffer), bytes.data(), bytes.size());
  });
}

ABI int HcclAllGather(void* from, void* to, uint64_t count, int type, void* comm, void* stream) {
  auto found = comms().find(comm);
  const uint64_t all = found == comms().end() ? count : count * found->second.size;
  return collective("HcclAllGather", comm, stream, type, {{from, count}, {to, all}}, [=](Comm& ranks, uint64_t step) {
    const size_t length = count * sizeOf(typeOf(type));
    write(nameOf(ranks, step, ranks.rank), backing(from), length);
    std::vector<uint8_t> bytes(length);
    for (uint32_t rank = 0; rank < ranks.size; rank++) {
      if (!read(ranks, step, rank, bytes)) return;
      memcpy(backing(to) + rank * length, bytes.data(), length);
    }
  });
}

ABI int HcclAlltoAllV(const void* from, const void* counts, const void* starts, int type, const void* to, const void* gotCounts, const void* gotStarts, int gotType, void* comm, void* stream) {
  auto found = comms().find(comm);
  const uint32_t size = found == comms().end() ? 0 : found->second.size;
  auto numbers = [&](const void* list) { return std::vector<uint64_t>(static_cast<const uint64_t*>(list), static_cast<const uint64_t*>(list) + size); };
  const auto sent = numbers(counts), begin = numbers(starts), got = numbers(gotCounts), place = numbers(gotStarts);
  auto end = [](const std::vector<uint64_t>& lengths, const std::vector<uint64_t>& at) {
    uint64_t most = 0;
    for (size_t i = 0; i < lengths.size(); i++) most = std::max(most, lengths[i] + at[i]);
    return most;
  };
  if (type != gotType) return parameter;
  return collective("HcclAlltoAllV", comm, stream, type, {{from, end(sent, begin)}, {to, end(got, place)}}, [=](Comm& ranks, uint64_t step) {
    const size_t width = sizeOf(typeOf(type));
    auto folder = [&](uint32_t rank) { return nameOf(ranks, step, rank); };
    for (uint32_t rank = 0; rank < size; rank++)
      write(folder(ranks.rank) + "-" + std::to_string(rank), backing(from) + begin[rank] * width, sent[rank] * width);
    for (uint32_t rank = 0; rank < size; rank++) {
      std::vector<uint8_t> bytes(got[rank] * width);
      if (!readFile(ranks, folder(rank) + "-" + std::to_string(ranks.rank), bytes)) return;
      memcpy(backing(to) + place[rank] * width, bytes.data(), bytes.size());
    }
  });
}

ABI int HcclGetCommAsyncError(void* comm, int* status) {
  auto found = comms().find(comm);
  if (found == comms().end() || !status) return parameter;
  *status = found->second.failure;
  return success;
}

ABI int HcclCommDestroy(void* comm) {
  if (comms().erase(comm)) return success;
  violation("communicator", "HcclCommDestroy of one that is dead or was never made");
  return parameter;
}

ABI const char* HcclGetErrorString(int code) {
  switch (code) {
    case success: return "no error";
    case parameter: return "parameter error";
    case pointer: return "null pointer or no memory of the device";
    case notSupported: return "not supported";
    case timeout: return "timeout";
    default: return "internal error";
  }
}
