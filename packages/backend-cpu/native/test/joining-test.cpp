#include "../core/joining.hpp"
#include "harness.hpp"

namespace frugal::test {
namespace {

/** Calls over pieces of one array, in the order in which they are added. */
class Calls {
 public:
  explicit Calls(Suite& s) : suite(s) {}

  /** A call with pieces of 10 numbers; `joint` calls fit when they read the same. */
  void add(bool joint, std::vector<int> reads, int writes) {
    auto& tensors = all_.emplace_back();
    for (int piece : reads) tensors.push_back(piece_at(piece));
    tensors.push_back(piece_at(writes));
    calls_.push_back({static_cast<int32_t>(reads.size()), 1, 1, 0, nullptr, nullptr});
    joints_.push_back(joint);
  }

  /** The calls of each run, by number. */
  std::vector<std::vector<size_t>> runs() {
    static const Joint joint{[](const Call& first, const Call& other) { return first.tensors[0].data == other.tensors[0].data; }, nullptr};
    std::vector<Joinable> joinable;
    for (size_t i = 0; i < calls_.size(); i++) {
      calls_[i].tensors = all_[i].data();
      joinable.push_back({&calls_[i], joints_[i] ? &joint : nullptr});
    }
    std::vector<std::vector<size_t>> result;
    for (const Run& run : join_calls(joinable)) {
      auto& numbers = result.emplace_back();
      for (const Call* call : run.calls) numbers.push_back(static_cast<size_t>(call - calls_.data()));
      suite.check(numbers[0] == run.first, "a run begins with its first call");
    }
    return result;
  }

 private:
  Suite& suite;
  Array memory_{DType::f32, {1000}};
  std::vector<std::vector<Tensor>> all_;
  std::vector<Call> calls_;
  std::vector<bool> joints_;

  Tensor piece_at(int piece) {
    Tensor tensor = memory_.tensor();
    tensor.data += 10 * piece * bytes_of(DType::f32);
    tensor.dims[0] = 10;
    return tensor;
  }
};

} // namespace

void test_joining(Suite& suite) {
  using Runs = std::vector<std::vector<size_t>>;
  const auto expect = [&](const std::string& what, Calls& calls, const Runs& expected) { suite.check(calls.runs() == expected, "joining: " + what); };
  {
    Calls calls(suite); // x = 0: products 1, 2 and 3, each with something added: 4, 5 and 6
    calls.add(true, {0, 20}, 1);
    calls.add(false, {1}, 4);
    calls.add(true, {0, 21}, 2);
    calls.add(false, {2}, 5);
    calls.add(true, {0, 22}, 3);
    expect("products of the same rows move to the first", calls, {{0, 2, 4}, {1}, {3}});
  }
  {
    Calls calls(suite); // of a product with the first one's result, and of what comes after it
    calls.add(true, {0, 20}, 1);
    calls.add(true, {1, 21}, 2);
    calls.add(true, {0, 22}, 3);
    calls.add(true, {1, 23}, 4);
    expect("two chains", calls, {{0, 2}, {1, 3}});
  }
  {
    Calls calls(suite); // the result would lie where another call still reads
    calls.add(true, {0, 20}, 1);
    calls.add(false, {1}, 4);
    calls.add(true, {0, 21}, 1);
    expect("memory that is used again", calls, {{0}, {1}, {2}});
  }
  {
    Calls calls(suite); // what it reads is made in between
    calls.add(true, {0, 20}, 1);
    calls.add(false, {7}, 21);
    calls.add(true, {0, 21}, 2);
    expect("a weight that is made in between", calls, {{0}, {1}, {2}});
  }
  {
    Calls calls(suite); // an input of a kernel that is never joined may be changed by it
    calls.add(true, {0, 20}, 1);
    calls.add(false, {0}, 5);
    calls.add(true, {0, 21}, 2);
    expect("rows that may have changed", calls, {{0}, {1}, {2}});
  }
  {
    Calls calls(suite); // the result lies where the first one reads
    calls.add(true, {0, 20}, 1);
    calls.add(true, {0, 21}, 20);
    expect("a result over what the first one reads", calls, {{0}, {1}});
  }
  {
    Calls calls(suite);
    for (int i = 0; i <= MAX_JOINT; i++) calls.add(true, {0, 20}, 1 + i);
    suite.check(calls.runs().size() == 2, "joining: no more than fit");
  }
}

} // namespace frugal::test
