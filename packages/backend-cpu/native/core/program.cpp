#include "program.hpp"

#include <algorithm>
#include <chrono>

#include "pool.hpp"

namespace frugal {
namespace {

/** Nanoseconds of work worth sharing among workers that are awake: several times what handing it over costs. */
constexpr double AWAKE_MINIMUM_WORK = 3000;

int tensor_count(const Call& call) { return call.input_count + call.output_count; }

} // namespace

void Program::add(int number, const KernelEntry& entry, const Call& call, int attribute_count) {
  auto step = std::make_unique<Step>();
  step->number = number;
  step->entry = &entry;
  step->call = call;
  step->call.minimum_work = std::min(call.minimum_work, AWAKE_MINIMUM_WORK);
  step->tensors.assign(call.tensors, call.tensors + tensor_count(call));
  step->call.tensors = step->tensors.data();
  step->attributes.assign(call.attributes, call.attributes + attribute_count);
  step->call.attributes = step->attributes.data();
  threads_ = std::max(threads_, static_cast<int>(call.threads));
  steps_.push_back(std::move(step));
}

void Program::bind(const std::vector<Slot>& slots) {
  slots_ = slots;
  for (const auto& step : steps_) {
    for (Tensor& tensor : step->tensors) {
      char*& data = tensor.data;
      const uintptr_t address = reinterpret_cast<uintptr_t>(data);
      for (size_t slot = 0; slot < slots.size(); slot++) {
        const uintptr_t start = slots[slot].start;
        if (address < start || address >= start + slots[slot].bytes) continue;
        places_.push_back({&data, slot, static_cast<ptrdiff_t>(address - start)});
        break;
      }
    }
  }
  std::vector<Joinable> calls;
  for (const auto& step : steps_) calls.push_back({&step->call, step->entry->joint});
  runs_ = join_calls(calls);
}

void Program::run(const Run& run) const {
  const Step& first = *steps_[run.first];
  if (run.calls.size() > 1) first.entry->joint->run(run.calls.data(), static_cast<int32_t>(run.calls.size()));
  else first.entry->kernel(first.call);
}

void Program::run(const double* addresses, bool measure) {
  for (const Place& place : places_)
    *place.data = reinterpret_cast<char*>(static_cast<uintptr_t>(addresses[place.slot])) + place.offset;
  const PoolRegion region(threads_);
  if (!measure) {
    for (const Run& each : runs_) run(each);
    return;
  }
  auto before = std::chrono::steady_clock::now();
  for (const Run& each : runs_) {
    run(each);
    const auto now = std::chrono::steady_clock::now();
    Step& step = *steps_[each.first];
    step.nanoseconds += std::chrono::duration<double, std::nano>(now - before).count();
    step.calls++;
    before = now;
  }
}

std::vector<KernelTime> Program::take_times() {
  std::vector<KernelTime> times;
  for (const auto& step : steps_) {
    auto known = std::find_if(times.begin(), times.end(), [&](const KernelTime& time) { return time.kernel == step->number; });
    if (known == times.end()) known = times.insert(times.end(), {step->number, 0, 0});
    known->calls += step->calls;
    known->nanoseconds += step->nanoseconds;
    step->calls = 0;
    step->nanoseconds = 0;
  }
  return times;
}

} // namespace frugal
