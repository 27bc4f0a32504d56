// Devices, contexts per thread, streams that do nothing until somebody waits, and the list of broken rules.
#include "runtime.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>

namespace stub {
namespace {

/** Work that a stream holds before the oldest half of it runs by itself, as it would some time on a device. */
constexpr size_t kQueue = 512;

struct Stream {
  void* context;
  std::deque<Task> queue;
  int error = 0;
};

struct State {
  bool initialized = false;
  int devices = 1;
  std::map<int, int> references;      // device → SetDevice calls
  std::map<int, void*> contexts;      // device → default context
  std::map<void*, Stream> streams;
  std::vector<std::string> violations;
  std::vector<LeakCheck> leakChecks;
  std::string failingOp;              // fails when it runs
  int failure = kernelFailed;         // how it does
  std::map<std::string, int> refused; // op → status of its phase 1
  std::map<std::string, uint64_t> calls;
  std::string text;                   // what the last report returned
};

State& state() {
  static State* made = new State;  // never destroyed: libraries are unloaded in no known order
  return *made;
}

thread_local void* currentContext = nullptr;
thread_local int currentDevice = -1;
thread_local std::string recent;
thread_local std::string returned;

/** Runs the oldest `count` tasks. */
void work(Stream& stream, size_t count) {
  for (; count > 0 && !stream.queue.empty(); count--) {
    Task task = std::move(stream.queue.front());
    stream.queue.pop_front();
    bool usable = true;
    for (uint64_t block : task.blocks) {
      if (isLive(block)) continue;
      violation("use-after-free", task.name + " runs on memory that was freed");
      usable = false;
    }
    if (!usable) continue;
    if (task.name == state().failingOp) {
      stream.error = state().failure;
      state().failingOp.clear();
      stream.queue.clear();  // nothing behind a kernel that failed runs
      return;
    }
    task.run();
  }
}

int synchronize(Stream& stream) {
  work(stream, stream.queue.size());
  return stream.error ? fail(stream.error, "a kernel failed: aicore exception") : ok;
}

/** Null, with a violation, when the stream is dead or of another context. */
Stream* streamOf(const std::string& name, void* handle, int* error) {
  auto found = state().streams.find(handle);
  if (found == state().streams.end()) {
    violation("stream-unknown", name + " on what is no stream, or no longer");
    *error = fail(runtimeParameter, name + ": unknown stream");
    return nullptr;
  }
  if (found->second.context != currentContext) {
    violation("stream-context", name + " on a stream of another context");
    *error = fail(streamContext, name + ": the stream is not in the current context");
    return nullptr;
  }
  return &found->second;
}

const char* report(std::string text) {
  state().text = std::move(text);
  return state().text.c_str();
}

}  // namespace

std::recursive_mutex& mutex() {
  static auto* made = new std::recursive_mutex;
  return *made;
}

void violation(const std::string& rule, const std::string& what) {
  Lock lock(mutex());
  state().violations.push_back(rule + ": " + what);
}

int fail(int code, const std::string& message) {
  recent = "EE" + std::to_string(code) + ": " + message;
  return code;
}

void* newHandle() {
  Lock lock(mutex());
  static uint64_t next = 0x5ac100000000;
  return reinterpret_cast<void*>(next += 64);
}

int requireContext(const std::string& name) {
  if (!state().initialized) {
    violation("init", name + " before aclInit");
    return fail(uninitialized, name + ": aclInit was not called");
  }
  if (currentContext) {
    const auto refused = state().refused.find(name);
    return refused == state().refused.end() ? ok : fail(refused->second, name + ": refused");
  }
  violation("context", name + " on a thread without a device");
  return fail(contextNull, name + ": no context on this thread");
}

int enqueue(const std::string& name, void* handle, Task task) {
  Lock lock(mutex());
  if (int error = requireContext(name)) return error;
  int error = 0;
  Stream* stream = streamOf(name, handle, &error);
  if (!stream) return error;
  if (stream->error) return fail(stream->error, name + ": the stream failed before");
  state().calls[name]++;
  stream->queue.push_back(std::move(task));
  if (stream->queue.size() >= kQueue) work(*stream, kQueue / 2);
  return ok;
}

std::string pendingUser(uint64_t block) {
  for (const auto& [handle, stream] : state().streams)
    for (const Task& task : stream.queue)
      for (uint64_t used : task.blocks)
        if (used == block) return task.name;
  return "";
}

void addLeakCheck(LeakCheck check) { state().leakChecks.push_back(check); }

}  // namespace stub

using namespace stub;

ABI int aclInit(const char*) {
  Lock lock(mutex());
  if (state().initialized) return fail(repeatInitialize, "aclInit: called before");
  state().initialized = true;
  return ok;
}

ABI int aclFinalize() {
  Lock lock(mutex());
  if (!state().initialized) return fail(uninitialized, "aclFinalize: aclInit was not called");
  if (liveBlocks()) violation("leak", std::to_string(liveBlocks()) + " blocks of memory");
  if (!state().streams.empty()) violation("leak", std::to_string(state().streams.size()) + " streams");
  for (LeakCheck check : state().leakChecks) {
    const std::string leak = check();
    if (!leak.empty()) violation("leak", leak);
  }
  for (const auto& [device, count] : state().references)
    if (count > 0) violation("leak", "device " + std::to_string(device) + " was not reset");
  state().initialized = false;
  return ok;
}

ABI const char* aclGetRecentErrMsg() {
  if (recent.empty()) return nullptr;
  returned = std::move(recent);
  recent.clear();
  return returned.c_str();
}

ABI int aclrtGetVersion(int32_t* major, int32_t* minor, int32_t* patch) {
  *major = 1, *minor = 13, *patch = 0;
  return ok;
}

ABI const char* aclrtGetSocName() { return getenv("FRUGAL_STUB_SOC") ? getenv("FRUGAL_STUB_SOC") : "Ascend910B1"; }

ABI int aclrtGetDeviceCount(uint32_t* count) {
  if (!state().initialized) return fail(uninitialized, "aclrtGetDeviceCount: aclInit was not called");
  if (const char* set = getenv("FRUGAL_STUB_DEVICES")) state().devices = atoi(set);
  *count = state().devices;
  return state().devices > 0 ? ok : fail(noDevice, "aclrtGetDeviceCount: no device");
}

ABI int aclrtSetDevice(int32_t device) {
  Lock lock(mutex());
  if (!state().initialized) {
    violation("init", "aclrtSetDevice before aclInit");
    return fail(uninitialized, "aclrtSetDevice: aclInit was not called");
  }
  if (device < 0 || device >= state().devices) return fail(invalidDevice, "aclrtSetDevice: no device " + std::to_string(device));
  void*& context = state().contexts[device];
  if (!context) context = newHandle();
  state().references[device]++;
  currentContext = context;
  currentDevice = device;
  return ok;
}

ABI int aclrtResetDevice(int32_t device) {
  Lock lock(mutex());
  if (state().references[device] <= 0) return fail(invalidDevice, "aclrtResetDevice: the device is not set");
  if (--state().references[device] > 0) return ok;
  for (const auto& [handle, stream] : state().streams)
    if (stream.context == state().contexts[device]) violation("destroy-order", "aclrtResetDevice before its streams were destroyed");
  state().contexts.erase(device);
  currentContext = nullptr;
  return ok;
}

ABI int aclrtCreateStream(void** stream) {
  Lock lock(mutex());
  if (int error = requireContext("aclrtCreateStream")) return error;
  *stream = newHandle();
  state().streams[*stream].context = currentContext;
  return ok;
}

ABI int aclrtDestroyStream(void* handle) {
  Lock lock(mutex());
  int error = requireContext("aclrtDestroyStream");
  Stream* stream = error ? nullptr : streamOf("aclrtDestroyStream", handle, &error);
  if (!stream) return error;
  work(*stream, stream->queue.size());
  state().streams.erase(handle);
  return ok;
}

ABI int aclrtSynchronizeStream(void* handle) {
  Lock lock(mutex());
  int error = requireContext("aclrtSynchronizeStream");
  Stream* stream = error ? nullptr : streamOf("aclrtSynchronizeStream", handle, &error);
  return stream ? synchronize(*stream) : error;
}

/** One line per broken rule. */
ABI const char* frugalStubViolations() {
  Lock lock(mutex());
  std::string all;
  for (const std::string& line : state().violations) all += line + "\n";
  return report(all);
}

ABI void frugalStubForget() {
  Lock lock(mutex());
  state().violations.clear();
}

/** The next task with this name fails when it runs, as kernels do: who waits learns of it. */
ABI void frugalStubFailOp(const char* name, int code) {
  state().failingOp = name;
  state().failure = code ? code : kernelFailed;
}

/** Phase 1 of this op gives a status from now on, as where its kernels are not installed; other ops and the stream work. */
ABI void frugalStubRefuseOp(const char* name, int code) {
  Lock lock(mutex());
  state().refused[name] = code;
}

/** As for a process that is started again: streams work, and what they had left to do is gone. */
ABI void frugalStubRepair() {
  Lock lock(mutex());
  state().failingOp.clear();
  state().refused.clear();
  for (auto& [handle, stream] : state().streams) {
    stream.error = ok;
    stream.queue.clear();
  }
}

/** How often an op was enqueued. */
ABI uint64_t frugalStubCalls(const char* name) { return state().calls[name]; }

ABI void frugalStubLimitMemory(uint64_t bytes) { limitMemory(bytes); }
