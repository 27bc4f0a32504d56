// The door to JavaScript. A call writes its op, tensors and attributes as doubles into one shared command buffer and
// then calls `execute()` without arguments: a handful of numbers costs less than one typed-array argument.
//
// Command: [kernel, isa, threads, minimum work, input count, output count, attribute count, attributes…,
//           then per tensor: address, dtype, rank, dims…, strides…]
#include <node_api.h>

#include <cstring>
#include <string>
#include <vector>

#include "call.hpp"
#include "cpu.hpp"
#include "huge-pages.hpp"
#include "map-file.hpp"
#include "pool.hpp"
#include "program.hpp"
#include "registry.hpp"

namespace frugal {
namespace {

/** Changes with the command layout; the TypeScript side refuses an addon of another version. */
constexpr int PROTOCOL = 3;

/** One per JavaScript environment (main thread or worker). */
struct Environment {
  const double* command = nullptr;
  napi_ref buffer = nullptr;
  /** Takes down all calls, while not null. */
  Program* recording = nullptr;
  ~Environment() { delete recording; }
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

void release_mapping(napi_env, void* data, void*) { release_file(static_cast<MappedFile*>(data)); }

/** Runs the command in the buffer. */
napi_value execute(napi_env env, napi_callback_info) {
  const Environment* self = environment(env);
  const double* command = self->command;
  const int number_of_kernel = static_cast<int>(command[0]), attribute_count = static_cast<int>(command[6]);
  const KernelEntry* entry = find_kernel(number_of_kernel, static_cast<Isa>(static_cast<int>(command[1])));
  if (!entry) return fail(env, "[backend-cpu] the addon has no such kernel.");
  static thread_local Tensor memory[MAX_TENSORS];
  Call call;
  call.tensors = memory;
  call.threads = static_cast<int32_t>(command[2]);
  call.minimum_work = command[3];
  call.input_count = static_cast<int32_t>(command[4]);
  call.output_count = static_cast<int32_t>(command[5]);
  call.attributes = command + 7;
  const double* next = call.attributes + attribute_count;
  const int tensors = call.input_count + call.output_count;
  for (int i = 0; i < tensors; i++) next = read_tensor(next, memory[i]);
  if (self->recording) self->recording->add(number_of_kernel, *entry, call, attribute_count);
  entry->kernel(call);
  return nullptr;
}

/** startRecording(): from now on all calls are taken down. */
napi_value start_recording(napi_env env, napi_callback_info) {
  Environment* self = environment(env);
  delete self->recording;
  self->recording = new Program();
  return nullptr;
}

/**
 * finishRecording() → program. The command buffer names the memory that changes from run to run: [count, then per slot:
 * address, bytes].
 */
napi_value finish_recording(napi_env env, napi_callback_info) {
  Environment* self = environment(env);
  if (!self->recording) return fail(env, "[backend-cpu] nothing is being recorded.");
  std::vector<Slot> slots(static_cast<size_t>(self->command[0]));
  for (size_t i = 0; i < slots.size(); i++)
    slots[i] = {static_cast<uintptr_t>(self->command[1 + 2 * i]), static_cast<size_t>(self->command[2 + 2 * i])};
  Program* program = self->recording;
  self->recording = nullptr;
  program->bind(slots);
  napi_value handle;
  napi_create_external(env, program, [](napi_env, void* data, void*) { delete static_cast<Program*>(data); }, nullptr, &handle);
  return handle;
}

/** The program that the first argument of a call holds, or null. */
Program* program_of(napi_env env, napi_callback_info info) {
  napi_value argument;
  void* data = nullptr;
  if (arguments(env, info, &argument, 1) < 1 || napi_get_value_external(env, argument, &data) != napi_ok) return nullptr;
  return static_cast<Program*>(data);
}

/** replay(program): runs it. The command buffer holds [whether to take times, then the address of each slot]. */
napi_value replay(napi_env env, napi_callback_info info) {
  Program* program = program_of(env, info);
  if (!program) return fail(env, "[backend-cpu] replay expects a program.");
  const double* command = environment(env)->command;
  program->run(command + 1, command[0] != 0);
  return nullptr;
}

/** takeTimes(program) → [kernel, calls, nanoseconds] for each kernel, of the runs that were measured. */
napi_value take_times(napi_env env, napi_callback_info info) {
  Program* program = program_of(env, info);
  if (!program) return fail(env, "[backend-cpu] takeTimes expects a program.");
  napi_value list;
  napi_create_array(env, &list);
  uint32_t at = 0;
  for (const KernelTime& time : program->take_times()) {
    napi_value entry;
    napi_create_array(env, &entry);
    napi_set_element(env, entry, 0, number(env, time.kernel));
    napi_set_element(env, entry, 1, number(env, static_cast<double>(time.calls)));
    napi_set_element(env, entry, 2, number(env, time.nanoseconds));
    napi_set_element(env, list, at++, entry);
  }
  return list;
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

/** addressOf(arrayBuffer): where its bytes lie, valid as long as the buffer lives. Large buffers get huge pages. */
napi_value address_of(napi_env env, napi_callback_info info) {
  napi_value argument;
  void* data = nullptr;
  size_t bytes = 0;
  if (arguments(env, info, &argument, 1) < 1 || napi_get_arraybuffer_info(env, argument, &data, &bytes) != napi_ok)
    return fail(env, "[backend-cpu] addressOf expects an ArrayBuffer.");
  prefer_huge_pages(data, bytes);
  return number(env, static_cast<double>(reinterpret_cast<uintptr_t>(data)));
}

/** mapFile(path) → { address, byteLength, handle }: the file stays mapped while `handle` or a view of it lives. */
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
  napi_create_external(env, file, release_mapping, nullptr, &handle);
  napi_set_named_property(env, result, "address", number(env, static_cast<double>(reinterpret_cast<uintptr_t>(file->data))));
  napi_set_named_property(env, result, "byteLength", number(env, static_cast<double>(file->bytes)));
  napi_set_named_property(env, result, "handle", handle);
  return result;
}

/** The range of a mapped file that [handle, offset, length] name. False after a JavaScript error. */
bool read_range(napi_env env, const napi_value* argument, MappedFile*& file, size_t& offset, size_t& length) {
  void* data = nullptr;
  double start = 0, bytes = 0;
  if (napi_get_value_external(env, argument[0], &data) != napi_ok || napi_get_value_double(env, argument[1], &start) != napi_ok ||
      napi_get_value_double(env, argument[2], &bytes) != napi_ok) {
    fail(env, "[backend-cpu] expected the handle of a mapped file, an offset and a length.");
    return false;
  }
  file = static_cast<MappedFile*>(data);
  if (!(start >= 0 && bytes >= 0 && start + bytes <= static_cast<double>(file->bytes))) {
    fail(env, "[backend-cpu] the range does not lie inside the file.");
    return false;
  }
  offset = static_cast<size_t>(start);
  length = static_cast<size_t>(bytes);
  return true;
}

/** discardPages(handle, offset, length, cached): gives back memory of a mapped file that is not needed for now. */
napi_value discard_pages_call(napi_env env, napi_callback_info info) {
  napi_value argument[4];
  MappedFile* file;
  size_t offset, length;
  bool cached = false;
  if (arguments(env, info, argument, 4) < 3 || !read_range(env, argument, file, offset, length)) return nullptr;
  napi_get_value_bool(env, argument[3], &cached);
  if (file->data) discard_pages(file, offset, length, cached);
  return nullptr;
}

/** prefetchPages(handle, offset, length): begins to read memory of a mapped file that is needed soon. */
napi_value prefetch_pages_call(napi_env env, napi_callback_info info) {
  napi_value argument[3];
  MappedFile* file;
  size_t offset, length;
  if (arguments(env, info, argument, 3) < 3 || !read_range(env, argument, file, offset, length)) return nullptr;
  if (file->data) prefetch_pages(file, offset, length);
  return nullptr;
}

/** mappedBytes(handle, offset, length): part of a mapped file as an ArrayBuffer, without a copy. */
napi_value mapped_bytes(napi_env env, napi_callback_info info) {
  napi_value values[3], result;
  void* data = nullptr;
  double offset = 0, length = 0;
  if (arguments(env, info, values, 3) < 3 || napi_get_value_external(env, values[0], &data) != napi_ok ||
      napi_get_value_double(env, values[1], &offset) != napi_ok || napi_get_value_double(env, values[2], &length) != napi_ok)
    return fail(env, "[backend-cpu] mappedBytes expects a handle, an offset and a length.");
  MappedFile* file = static_cast<MappedFile*>(data);
  if (offset < 0 || length < 0 || offset + length > static_cast<double>(file->bytes))
    return fail(env, "[backend-cpu] mappedBytes: the range does not lie inside the file.");
  if (length == 0) {
    napi_create_arraybuffer(env, 0, &data, &result);
    return result;
  }
  file->owners++;
  char* start = static_cast<char*>(file->data) + static_cast<size_t>(offset);
  // V8 allows one ArrayBuffer per address, so the caller keeps what it gets and asks once per range.
  if (napi_create_external_arraybuffer(env, start, static_cast<size_t>(length), [](napi_env e, void*, void* hint) { release_mapping(e, hint, nullptr); }, file, &result) != napi_ok) {
    file->owners--;
    return fail(env, "[backend-cpu] mappedBytes: this runtime has no external ArrayBuffers.");
  }
  return result;
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
  add_function("startRecording", start_recording);
  add_function("finishRecording", finish_recording);
  add_function("replay", replay);
  add_function("takeTimes", take_times);
  add_function("addressOf", address_of);
  add_function("mapFile", map_file_call);
  add_function("mappedBytes", mapped_bytes);
  add_function("discardPages", discard_pages_call);
  add_function("prefetchPages", prefetch_pages_call);
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
