// Matrix products of experts and adapters. Every product of a group is a Gemm of its own on one thread, and an element
// of it one chain of sums: a row has the same bits whatever the other rows and groups are.
// groupedMatmul: (x [N, C], weight [E, C, F], offsets i32 [E + 1]) → [N, F]; attributes [weight is [E, F, C]].
// groupedMatmulWeightGradient: (x [N, C], g [N, F], offsets) → [E, C, F].
// groupedLowRank: see low-rank.hpp.
#include "gemm.hpp"
#include "low-rank.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

constexpr int64_t GRADIENT_ROWS_PER_TASK = 256;

double nanoseconds(int64_t m, int64_t n, int64_t k) {
  return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) / FLOPS_PER_NANOSECOND + 200;
}

/** product(task) for each of `count` tasks, while the operands of the task that its thread is likely to take next are fetched. */
template <class Product>
void run_products(const Call& call, int64_t count, double cost, const Product& product) {
  Call serial = call;
  serial.threads = 1;
  parallel(call, count, cost, [&](int64_t task) {
    auto gemm = product(task);
    Upcoming ahead;
    if (task + call.threads < count) gemm.fetch(ahead, product(task + call.threads));
    gemm.run(serial);
  });
}

template <class Reader>
void multiply_groups(const Call& call) {
  using T = typename Reader::Element;
  const Tensor &x = call.tensors[0], &weight = call.tensors[1], &out = call.tensors[3];
  const bool transposed = call.attributes[0] != 0;
  const int64_t N = x.dims[0], C = x.dims[1], F = out.dims[1];
  const GroupTasks tasks{data_of<int32_t>(call.tensors[2]), weight.dims[0]};
  const int64_t first_row = tasks.groups > 0 ? tasks.offsets[0] : N, end = tasks.groups > 0 ? tasks.offsets[tasks.groups] : N;
  const int64_t row_bytes = F * static_cast<int64_t>(sizeof(T));
  clear(out.data, smaller(first_row, N) * row_bytes);
  clear(out.data + end * row_bytes, (N - end) * row_bytes);
  const int64_t count = tasks.count();
  run_products(call, count, count > 0 ? nanoseconds(end - first_row, F, C) / static_cast<double>(count) : 0, [&](int64_t task) {
    int64_t e, first;
    tasks.find(task, e, first);
    const int64_t row = tasks.offsets[e] + first;
    const T* matrix = data_of<T>(weight) + e * C * F;
    const Operand<T> right = transposed ? Operand<T>{matrix, C, 1} : Operand<T>{matrix, 1, F};
    return Gemm<Reader, Reader>{tasks.rows_of_task(e, first), F, C, {data_of<T>(x) + row * C, C, 1}, right, {out.data + row * row_bytes, out.dtype, F}};
  });
}

template <class Reader>
void weight_gradients(const Call& call) {
  using T = typename Reader::Element;
  const Tensor &x = call.tensors[0], &g = call.tensors[1], &out = call.tensors[3];
  const int64_t C = x.dims[1], F = g.dims[1], E = out.dims[0];
  const GroupTasks groups{data_of<int32_t>(call.tensors[2]), E};
  const int64_t blocks = ceil_div(C, GRADIENT_ROWS_PER_TASK);
  const double cost = E > 0 ? nanoseconds(smaller(C, GRADIENT_ROWS_PER_TASK), F, x.dims[0]) / static_cast<double>(E) : 0;
  run_products(call, E * blocks, cost, [&](int64_t task) {
    const int64_t e = task / blocks, first = task % blocks * GRADIENT_ROWS_PER_TASK;
    const T* left = data_of<T>(x) + groups.offsets[e] * C + first;
    const T* right = data_of<T>(g) + groups.offsets[e] * F;
    char* to = out.data + (e * C + first) * F * static_cast<int64_t>(sizeof(T));
    return Gemm<Reader, Reader>{smaller(GRADIENT_ROWS_PER_TASK, C - first), F, groups.rows(e), {left, 1, C}, {right, 1, F}, {to, out.dtype, F}};
  });
}

constexpr Joint joint_low_rank{same_adapters, low_rank};

void grouped_low_rank(const Call& call) {
  const Call* const calls[] = {&call};
  low_rank(calls, 1);
}

#if defined(__AVX512BF16__)
using Bf16Reader = PairBf16;
#else
using Bf16Reader = AsF32<bf16>;
#endif

#define FRUGAL_BY_DTYPE(name, kernel)                            \
  void name(const Call& call) {                                  \
    switch (call.tensors[0].dtype) {                             \
      case DType::bf16: return kernel<Bf16Reader>(call);         \
      case DType::f16: return kernel<AsF32<f16>>(call);          \
      default: return kernel<AsF32<float>>(call);                \
    }                                                            \
  }
FRUGAL_BY_DTYPE(grouped_matmul, multiply_groups)
FRUGAL_BY_DTYPE(grouped_matmul_weight_gradient, weight_gradients)
#undef FRUGAL_BY_DTYPE

constexpr KernelEntry entries[] = {
    {"groupedMatmul", grouped_matmul}, {"groupedMatmulWeightGradient", grouped_matmul_weight_gradient}, {"groupedLowRank", grouped_low_rank, &joint_low_rank}};

} // namespace

extern const KernelTable grouped_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
