// libnnopbase: descriptors and executors. Handles are looked up, never followed: a dead one is known as such.
#include <sys/syscall.h>
#include <unistd.h>

#include "numbers.h"
#include "runtime.h"

namespace stub {
namespace {

std::unordered_map<const void*, Object>& objects() {
  static auto* made = new std::unordered_map<const void*, Object>;
  return *made;
}

std::unordered_map<const void*, Executor>& executors() {
  static auto* made = new std::unordered_map<const void*, Executor>;
  return *made;
}

uint64_t threadId() { return static_cast<uint64_t>(syscall(SYS_gettid)); }

std::string leaks() {
  std::string text;
  if (!objects().empty()) text += std::to_string(objects().size()) + " descriptors ";
  if (!executors().empty()) text += std::to_string(executors().size()) + " executors";
  return text;
}

const void* keep(Object object) {
  Lock lock(mutex());
  static const bool once = (addLeakCheck(leaks), true);
  (void)once;
  void* handle = newHandle();
  objects().emplace(handle, std::move(object));
  return handle;
}

int destroy(const void* handle, Kind kind, const char* name) {
  Lock lock(mutex());
  if (!handle) return ok;
  auto found = objects().find(handle);
  if (found == objects().end() || found->second.kind != kind) {
    violation("destroy-unknown", std::string(name) + " of what is dead or something else");
    return opInvalid;
  }
  // A list owns what it holds.
  for (const void* held : found->second.list) objects().erase(held);
  objects().erase(found);
  return ok;
}

/** Notes what is wrong with a descriptor; a device would crash later. */
void checkTensor(const Object& tensor) {
  const std::string what = describe(tensor);
  if (reinterpret_cast<uint64_t>(tensor.data) % 32) violation("alignment", "aclCreateTensor: address of " + what + " is no multiple of 32");
  int64_t last = tensor.offset;
  bool empty = false;
  for (size_t axis = 0; axis < tensor.dims.size(); axis++) {
    if (tensor.dims[axis] == 0) empty = true;
    last += (tensor.dims[axis] - 1) * tensor.strides[axis];
    if (tensor.strides[axis] < 0) violation("negative-stride", "aclCreateTensor: a negative stride in " + what);
  }
  if (empty) return;
  if (last >= tensor.storage || tensor.offset < 0) violation("view-range", "aclCreateTensor: " + what + " reaches beyond its storage");
  const Block block = blockOf(tensor.data);
  const auto address = reinterpret_cast<uint64_t>(tensor.data);
  const uint64_t end = address + bytesOf(tensor.dtype, tensor.storage);
  if (block.id == 0 || end > block.base + block.size)
    violation("storage-range", "aclCreateTensor: the storage of " + what + " is not inside one block of the device");
}

}  // namespace

const Object* objectOf(const void* handle) {
  Lock lock(mutex());
  auto found = objects().find(handle);
  return found == objects().end() ? nullptr : &found->second;
}

void* newExecutor(Executor executor) {
  Lock lock(mutex());
  executor.thread = threadId();
  void* handle = newHandle();
  executors().emplace(handle, std::move(executor));
  return handle;
}

int launch(const char* op, void* workspace, uint64_t size, void* handle, void* stream) {
  Lock lock(mutex());
  auto found = executors().find(handle);
  if (found == executors().end()) {
    violation("executor", std::string(op) + ": phase 2 with an executor that was used or never made");
    return fail(opNullPointer, std::string(op) + ": no executor");
  }
  Executor executor = std::move(found->second);
  executors().erase(found);  // whatever comes of it
  if (executor.op != op) {
    violation("executor-op", std::string(op) + ": phase 2 with the executor of " + executor.op);
    return fail(opInvalid, std::string(op) + ": executor of another op");
  }
  if (executor.thread != threadId()) violation("executor-thread", std::string(op) + ": phases on two threads");
  for (const void* object : executor.objects) {
    if (objects().count(object)) continue;
    violation("descriptor-lifetime", std::string(op) + ": a descriptor was destroyed before phase 2");
    return fail(opInvalid, std::string(op) + ": dead descriptor");
  }
  if (executor.workspace > 0) {
    const Block block = blockOf(workspace);
    const auto address = reinterpret_cast<uint64_t>(workspace);
    if (size < executor.workspace || block.id == 0 || address + size > block.base + block.size) {
      violation("workspace", std::string(op) + ": no workspace of " + std::to_string(executor.workspace) + " bytes");
      return fail(opNullPointer, std::string(op) + ": workspace");
    }
    executor.task.blocks.push_back(block.id);
    // Kernels write there.
    executor.task.run = [run = std::move(executor.task.run), workspace, size] {
      memset(backing(workspace), 0xff, size);
      run();
    };
  }
  return enqueue(op, stream, std::move(executor.task));
}

}  // namespace stub

using namespace stub;

ABI const void* aclCreateTensor(const int64_t* dims, uint64_t rank, int dtype, const int64_t* strides, int64_t offset,
                                int format, const int64_t* storageDims, uint64_t storageRank, void* data) {
  if ((!dims && rank) || (!storageDims && storageRank)) return nullptr;
  if (bytesOf(dtype, 2) == 0) {
    violation("dtype", "aclCreateTensor with dtype " + std::to_string(dtype));
    return nullptr;
  }
  if (format != 2) violation("format", "aclCreateTensor with format " + std::to_string(format) + "; only ND is plain");
  Object tensor{Kind::tensor, dtype};
  tensor.dims.assign(dims, dims + rank);
  tensor.strides = strides ? std::vector<int64_t>(strides, strides + rank) : contiguous(tensor.dims);
  tensor.offset = offset;
  tensor.storage = 1;
  for (uint64_t i = 0; i < storageRank; i++) tensor.storage *= storageDims[i];
  tensor.data = data;
  checkTensor(tensor);
  return keep(std::move(tensor));
}

ABI const void* aclCreateScalar(const void* value, int dtype) {
  if (!value || sizeOf(dtype) == 0) return nullptr;
  Object scalar{Kind::scalar, dtype};
  scalar.number = load(static_cast<const uint8_t*>(value), dtype);
  return keep(std::move(scalar));
}

ABI const void* aclCreateIntArray(const int64_t* values, uint64_t size) {
  Object array{Kind::intArray};
  array.ints.assign(values, values + size);
  return keep(std::move(array));
}

ABI const void* aclCreateTensorList(const void* const* tensors, uint64_t size) {
  Object list{Kind::tensorList};
  list.list.assign(tensors, tensors + size);
  return keep(std::move(list));
}

ABI int aclDestroyTensor(const void* handle) { return destroy(handle, Kind::tensor, "aclDestroyTensor"); }
ABI int aclDestroyScalar(const void* handle) { return destroy(handle, Kind::scalar, "aclDestroyScalar"); }
ABI int aclDestroyIntArray(const void* handle) { return destroy(handle, Kind::intArray, "aclDestroyIntArray"); }
ABI int aclDestroyTensorList(const void* handle) { return destroy(handle, Kind::tensorList, "aclDestroyTensorList"); }

ABI int aclDestroyAclOpExecutor(void* handle) {
  Lock lock(mutex());
  if (executors().erase(handle)) return ok;
  violation("executor", "aclDestroyAclOpExecutor of an executor that was used or never made");
  return opInvalid;
}
