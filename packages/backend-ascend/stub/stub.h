// What the libraries of the stub share. It computes on the processor and is strict where a device is treacherous: what
// is undefined there is a violation here, kept in a list that tests read.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#define ABI extern "C" __attribute__((visibility("default")))

namespace stub __attribute__((visibility("default"))) {

enum Status {
  ok = 0,
  invalidParameter = 100000,
  uninitialized = 100001,
  repeatInitialize = 100002,
  runtimeParameter = 107000,
  invalidDevice = 107001,
  contextNull = 107002,
  streamContext = 107003,
  outOfMemory = 207001,
  noDevice = 207004,
  kernelFailed = 507015,
  opNullPointer = 161001,
  opInvalid = 161002,
};

/** Notes that a rule was broken. */
void violation(const std::string& rule, const std::string& what);
/** Keeps `message` for aclGetRecentErrMsg of this thread and returns `code`. */
int fail(int code, const std::string& message);

/** Never the same twice, so that a dead handle is known as such. */
void* newHandle();

/** Memory of the device. Its addresses cannot be read by the host: `backing` tells where the bytes really lie. */
struct Block {
  uint64_t id;
  uint64_t base;
  uint64_t size;
};
/** The live block that holds this address; id 0 when there is none. */
Block blockOf(const void* device);
bool isLive(uint64_t block);
uint8_t* backing(const void* device);

/** Work of a stream. */
struct Task {
  std::string name;
  /** Blocks that must live until it has run. */
  std::vector<uint64_t> blocks;
  std::function<void()> run;
};
/** Puts work at the end of a stream, where it stays until somebody waits. */
int enqueue(const std::string& name, void* stream, Task task);
/** 0 when this thread has a context and the device takes `name`, else its error. */
int requireContext(const std::string& name);

enum class Kind { tensor, scalar, intArray, tensorList };

/** What aclCreate… makes; `kind` says which members count. */
struct Object {
  Kind kind;
  int dtype = 0;
  // tensor
  std::vector<int64_t> dims{}, strides{};
  int64_t offset = 0;
  int64_t storage = 0;
  const void* data = nullptr;
  // scalar
  double number = 0;
  // intArray
  std::vector<int64_t> ints{};
  // tensorList
  std::vector<const void*> list{};
};
/** Null for handles that are dead or were never made. */
const Object* objectOf(const void* handle);

/** What phase 1 leaves for phase 2. */
struct Executor {
  std::string op;
  uint64_t thread;
  uint64_t workspace;
  /** Descriptors that phase 2 reads. */
  std::vector<const void*> objects;
  Task task;
};
void* newExecutor(Executor executor);
int launch(const char* op, void* workspace, uint64_t size, void* executor, void* stream);

}  // namespace stub
