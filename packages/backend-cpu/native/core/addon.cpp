// The door to JavaScript. A call writes its op, tensors and attributes as doubles into one shared command buffer and
// then calls `execute()` without arguments: a handful of numbers costs less than one typed-array argument.
//
// Command: [kernel, isa, threads, input count, output count, attribute count, attributes…,
//           then per tensor: address, dtype, rank, dims…, strides…]
#include <node_api.h>

#include <cstring>
#include <string>

#include "call.hpp"
#include "cpu.hpp"
#include "map-file.hpp"
#include "pool.hpp"
#include "registry.hpp"

namespace frugal {
namespace {

/** Changes with the command layout; the TypeScript side refuses an addon of another version. */
constexpr int PROTOCOL = 1;

/** One per JavaScript environment (main thread or worker). */
struct Environment {
  const double* command = nullptr;
  napi_ref buffer = nullptr;
};

napi_value fail(napi_env env, const char* message) {
  napi_throw_error(env, nullptr, message);
  return nullptr;
}

Environment* environment(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return static_cast<Environment*>(data);
}

size_t arguments(napi_env env, napi_callback_info info, napi_value* values, size_t count) {
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  return count;
}

napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

napi_value text(napi_env env, const std::string& value) {
  napi_value result;
  napi_create_string_utf8(env, value.c_str(), value.size(), &result);
  return result;
}

const double* read_tensor(const double* from, Tensor& tensor) {
  tensor.data = reinterpret_cast<char*>(static_cast<uintptr_t>(from[0]));
  tensor.dtype = static_cast<DType>(static_cast<int>(from[1]));
  const int rank = static_cast<int>(from[2]);
  tensor.rank = rank;
  from += 3;
  for (int i = 0; i < rank; i++) tensor.dims[i] = static_cast<int64_t>(from[i]);
  for (int i = 0; i < rank; i++) tensor.strides[i] = static_cast<int64_t>(from[rank + i]);
  return from + 2 * rank;
}

/** Runs the command in the buffer. */
napi_value execute(napi_env env, napi_callback_info) {
  const double* command = environment(env)->command;
  const Kernel kernel = find_kernel(static_cast<int>(command[0]), static_cast<Isa>(static_cast<int>(command[1])));
  if (!kernel) return fail(env, "[backend-cpu] the addon has no such kernel.");
  Call call;
  call.threads = static_cast<int32_t>(command[2]);
  call.input_count = static_cast<int32_t>(command[3]);
  call.output_count = static_cast<int32_t>(command[4]);
  call.attributes = command + 6;
  const double* next = call.attributes + static_cast<int>(command[5]);
  const int tensors = call.input_count + call.output_count;
  for (int i = 0; i < tensors; i++) next = read_tensor(next, call.tensors[i]);
  kernel(call);
  return nullptr;
}

/** initialize(commandBuffer): kept alive for the life of the environment. */
napi_value initialize(napi_env env, napi_callback_info info) {
  napi_value argument;
  void* data = nullptr;
  size_t bytes = 0;
  if (arguments(env, info, &argument, 1) < 1 || napi_get_arraybuffer_info(env, argument, &data, &bytes) != napi_ok)
    return fail(env, "[backend-cpu] initialize expects the command buffer.");
  Environment* self = environment(env);
  if (self->buffer) napi_delete_reference(env, self->buffer);
  napi_create_reference(env, argument, 1, &self->buffer);
  self->command = static_cast<const double*>(data);
  return nullptr;
}

/** addressOf(arrayBuffer): where its bytes lie, valid as long as the buffer lives. */
napi_value address_of(napi_env env, napi_callback_info info) {
  napi_value argument;
  void* data = nullptr;
  size_t bytes = 0;
  if (arguments(env, info, &argument, 1) < 1 || napi_get_arraybuffer_info(env, argument, &data, &bytes) != napi_ok)
    return fail(env, "[backend-cpu] addressOf expects an ArrayBuffer.");
  return number(env, static_cast<double>(reinterpret_cast<uintptr_t>(data)));
}

/** copyOut(address, arrayBuffer, byteOffset, byteLength): reads memory that has no ArrayBuffer, such as a mapped file. */
napi_value copy_out(napi_env env, napi_callback_info info) {
  napi_value values[4];
  double address = 0, offset = 0, length = 0;
  void* data = nullptr;
  size_t bytes = 0;
  if (arguments(env, info, values, 4) < 4 || napi_get_value_double(env, values[0], &address) != napi_ok ||
      napi_get_arraybuffer_info(env, values[1], &data, &bytes) != napi_ok ||
      napi_get_value_double(env, values[2], &offset) != napi_ok || napi_get_value_double(env, values[3], &length) != napi_ok ||
      offset + length > static_cast<double>(bytes))
    return fail(env, "[backend-cpu] copyOut expects an address, an ArrayBuffer, an offset and a length inside it.");
  std::memcpy(static_cast<char*>(data) + static_cast<size_t>(offset), reinterpret_cast<void*>(static_cast<uintptr_t>(address)),
              static_cast<size_t>(length));
  return nullptr;
}

/** mapFile(path) → { address, byteLength, handle }: the file stays mapped while `handle` lives, or until unmapFile. */
napi_value map_file_call(napi_env env, napi_callback_info info) {
  napi_value argument;
  char path[4096];
  size_t length = 0;
  if (arguments(env, info, &argument, 1) < 1 || napi_get_value_string_utf8(env, argument, path, sizeof(path), &length) != napi_ok)
    return fail(env, "[backend-cpu] mapFile expects a path.");
  std::string problem;
  MappedFile* file = map_file(path, problem);
  if (!file) return fail(env, problem.c_str());
  napi_value result, handle;
  napi_create_object(env, &result);
  napi_create_external(env, file, [](napi_env, void* data, void*) { close_file(static_cast<MappedFile*>(data)); }, nullptr, &handle);
  napi_set_named_property(env, result, "address", number(env, static_cast<double>(reinterpret_cast<uintptr_t>(file->data))));
  napi_set_named_property(env, result, "byteLength", number(env, static_cast<double>(file->bytes)));
  napi_set_named_property(env, result, "handle", handle);
  return result;
}

napi_value unmap_file_call(napi_env env, napi_callback_info info) {
  napi_value argument;
  void* data = nullptr;
  if (arguments(env, info, &argument, 1) == 1 && napi_get_value_external(env, argument, &data) == napi_ok)
    unmap_file(static_cast<MappedFile*>(data));
  return nullptr;
}

template <class List, class Name>
napi_value strings(napi_env env, const List& list, Name name) {
  napi_value array;
  napi_create_array(env, &array);
  uint32_t i = 0;
  for (const auto& each : list) napi_set_element(env, array, i++, text(env, name(each)));
  return array;
}

napi_value set_up(napi_env env, napi_value exports) {
  napi_set_instance_data(env, new Environment(), [](napi_env, void* data, void*) { delete static_cast<Environment*>(data); }, nullptr);
  const auto add = [&](const char* name, napi_value value) { napi_set_named_property(env, exports, name, value); };
  const auto add_function = [&](const char* name, napi_callback callback) {
    napi_value function;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
    add(name, function);
  };
  add_function("initialize", initialize);
  add_function("execute", execute);
  add_function("addressOf", address_of);
  add_function("copyOut", copy_out);
  add_function("mapFile", map_file_call);
  add_function("unmapFile", unmap_file_call);
  add("protocol", number(env, PROTOCOL));
  add("maxRank", number(env, MAX_RANK));
  add("maxTensors", number(env, MAX_TENSORS));
  add("cpuModel", text(env, cpu_model()));
  add("kernels", strings(env, kernel_names(), [](const std::string& name) { return name; }));
  add("isas", strings(env, available_isas(), [](Isa isa) { return std::string(isa_name(isa)); }));
  return exports;
}

} // namespace
} // namespace frugal

NAPI_MODULE_INIT() { return frugal::set_up(env, exports); }
