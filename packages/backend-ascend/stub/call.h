// Phase 1 of an op: checks its descriptors and keeps what phase 2 runs.
#pragma once
#include <algorithm>

#include "numbers.h"

namespace stub {

using Types = std::vector<int>;
inline const Types kFloats{f32, f16, bf16}, kNumbers{f32, f16, bf16, i32, i8, u8, i64},
    kAll{f32, f16, bf16, i32, i8, u8, i64, boolean};

class Call {
 public:
  Call(const char* op, uint64_t* workspace, void** executor) : op_(op), workspace_(workspace), executor_(executor) {
    status_ = requireContext(op);
    if (!workspace || !executor) refuse(opNullPointer, "workspaceSize or executor is null");
  }

  View tensor(const void* handle, const char* name, const Types& types = kAll) {
    const Object* object = find(handle, name, Kind::tensor);
    if (!object) return {};
    const Block block = blockOf(object->data);
    if (block.id) blocks_.push_back(block.id);
    require(std::count(types.begin(), types.end(), object->dtype) > 0, std::string(name) + ": dtype not supported, " + describe(*object));
    require(object->dims.size() <= 8, std::string(name) + ": more than 8 axes");
    return {object->dtype, object->dims, object->strides, backing(object->data) + bytesOf(object->dtype, object->offset)};
  }

  double scalar(const void* handle, const char* name) {
    const Object* object = find(handle, name, Kind::scalar);
    return object ? object->number : 0;
  }

  Dims ints(const void* handle, const char* name) {
    const Object* object = find(handle, name, Kind::intArray);
    return object ? object->ints : Dims{};
  }

  std::vector<View> list(const void* handle, const char* name, const Types& types = kAll) {
    const Object* object = find(handle, name, Kind::tensorList);
    std::vector<View> views;
    if (object)
      for (const void* held : std::vector<const void*>(object->list)) views.push_back(tensor(held, name, types));
    return views;
  }

  /** Refuses the call with 161002 unless `holds`. */
  bool require(bool holds, const std::string& what) {
    if (!holds) refuse(opInvalid, what);
    return holds;
  }

  bool failed() const { return status_ != 0; }
  int status() const { return status_; }

  /** A workspace is asked for by ops of some size, as on the device. */
  int finish(std::function<void()> run, uint64_t workspace = 0) {
    if (failed()) return status_;
    *workspace_ = workspace;
    *executor_ = newExecutor({op_, 0, workspace, objects_, {op_, blocks_, std::move(run)}});
    return ok;
  }

 private:
  const Object* find(const void* handle, const char* name, Kind kind) {
    if (!handle) return refuse(opNullPointer, std::string(name) + " is null"), nullptr;
    const Object* object = objectOf(handle);
    if (!object || object->kind != kind) {
      violation("descriptor", op_ + ": " + name + " is dead or of another kind");
      return refuse(opNullPointer, std::string(name) + " is no such object"), nullptr;
    }
    objects_.push_back(handle);
    return object;
  }

  void refuse(int code, const std::string& what) {
    if (!status_) status_ = fail(code, op_ + ": " + what);
  }

  std::string op_;
  uint64_t* workspace_;
  void** executor_;
  int status_ = 0;
  std::vector<const void*> objects_;
  std::vector<uint64_t> blocks_;
};

/** NumPy broadcasting; false when the shapes do not fit. */
inline bool broadcastInto(Dims& result, const Dims& other) {
  if (other.size() > result.size()) result.insert(result.begin(), other.size() - result.size(), 1);
  const size_t lead = result.size() - other.size();
  for (size_t axis = 0; axis < other.size(); axis++) {
    int64_t& size = result[lead + axis];
    if (size == 1) size = other[axis];
    else if (other[axis] != 1 && other[axis] != size) return false;
  }
  return true;
}

}  // namespace stub

/** Phase 2 of an op, the same for all. */
#define PHASE2(op)                                                                            \
  ABI int aclnn##op(void* workspace, uint64_t size, void* executor, void* stream) {           \
    return stub::launch("aclnn" #op, workspace, size, executor, stream);                      \
  }
#define PHASE1(op, ...) \
  PHASE2(op)            \
  ABI int aclnn##op##GetWorkspaceSize(__VA_ARGS__, uint64_t* workspace, void** executor)
#define CALL(op) stub::Call call("aclnn" #op, workspace, executor)
