// Matrix products of experts and adapters. Every product of a group is a Gemm of its own on one thread, and an element
// of it one chain of sums: a row has the same bits whatever the other rows and groups are.
// groupedMatmul: (x [N, C], weight [E, C, F], offsets i32 [E + 1]) → [N, F]; attributes [weight is [E, F, C]].
// groupedMatmulWeightGradient: (x [N, C], g [N, F], offsets) → [E, C, F].
// groupedLowRank: (x [N, C], down [A, R, C], up [A, F, R], adapter i32 [N]) → [N, F]; attributes [scale].
#include "gemm.hpp"
#include "rows.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Rows of one group that one task multiplies: enough that packing the weight again does not matter. */
constexpr int64_t ROWS_PER_TASK = 512;
constexpr int64_t GRADIENT_ROWS_PER_TASK = 256;

/** How groups are cut into tasks: by their sizes alone. */
struct Tasks {
  const int32_t* offsets;
  int64_t groups;

  int64_t rows(int64_t group) const { return larger(0, offsets[group + 1] - offsets[group]); }
  int64_t count() const {
    int64_t all = 0;
    for (int64_t e = 0; e < groups; e++) all += ceil_div(rows(e), ROWS_PER_TASK);
    return all;
  }
  /** The group and first row within it of task number `task`. */
  void find(int64_t task, int64_t& group, int64_t& first) const {
    for (group = 0;; group++) {
      const int64_t here = ceil_div(rows(group), ROWS_PER_TASK);
      if (task < here) break;
      task -= here;
    }
    first = task * ROWS_PER_TASK;
  }
};

Call on_one_thread(const Call& call) {
  Call serial = call;
  serial.threads = 1;
  return serial;
}

double nanoseconds(int64_t m, int64_t n, int64_t k) {
  return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) / FLOPS_PER_NANOSECOND + 200;
}

/** Zeros; an empty tensor may have no address. */
void clear(char* to, int64_t bytes) {
  if (bytes > 0) __builtin_memset(to, 0, static_cast<size_t>(bytes));
}

template <class Reader>
void multiply_groups(const Call& call) {
  using T = typename Reader::Element;
  const Tensor &x = call.tensors[0], &weight = call.tensors[1], &out = call.tensors[3];
  const bool transposed = call.attributes[0] != 0;
  const int64_t N = x.dims[0], C = x.dims[1], F = out.dims[1];
  const Tasks tasks{data_of<int32_t>(call.tensors[2]), weight.dims[0]};
  const int64_t first_row = tasks.groups > 0 ? tasks.offsets[0] : N, end = tasks.groups > 0 ? tasks.offsets[tasks.groups] : N;
  const int64_t row_bytes = F * static_cast<int64_t>(sizeof(T));
  clear(out.data, smaller(first_row, N) * row_bytes);
  clear(out.data + end * row_bytes, (N - end) * row_bytes);
  const Call serial = on_one_thread(call);
  const int64_t count = tasks.count();
  parallel(call, count, count > 0 ? nanoseconds(end - first_row, F, C) / static_cast<double>(count) : 0, [&](int64_t task) {
    int64_t e, first;
    tasks.find(task, e, first);
    const int64_t row = tasks.offsets[e] + first;
    const T* matrix = data_of<T>(weight) + e * C * F;
    const Operand<T> right = transposed ? Operand<T>{matrix, C, 1} : Operand<T>{matrix, 1, F};
    const Gemm<Reader, Reader> gemm{smaller(ROWS_PER_TASK, tasks.rows(e) - first), F, C, {data_of<T>(x) + row * C, C, 1}, right, {out.data + row * row_bytes, out.dtype, F}};
    gemm.run(serial);
  });
}

template <class Reader>
void weight_gradients(const Call& call) {
  using T = typename Reader::Element;
  const Tensor &x = call.tensors[0], &g = call.tensors[1], &out = call.tensors[3];
  const int64_t C = x.dims[1], F = g.dims[1], E = out.dims[0];
  const Tasks groups{data_of<int32_t>(call.tensors[2]), E};
  const int64_t blocks = ceil_div(C, GRADIENT_ROWS_PER_TASK);
  const Call serial = on_one_thread(call);
  const double cost = E > 0 ? nanoseconds(smaller(C, GRADIENT_ROWS_PER_TASK), F, x.dims[0]) / static_cast<double>(E) : 0;
  parallel(call, E * blocks, cost, [&](int64_t task) {
    const int64_t e = task / blocks, first = task % blocks * GRADIENT_ROWS_PER_TASK;
    const T* left = data_of<T>(x) + groups.offsets[e] * C + first;
    const T* right = data_of<T>(g) + groups.offsets[e] * F;
    char* to = out.data + (e * C + first) * F * static_cast<int64_t>(sizeof(T));
    const Gemm<Reader, Reader> gemm{smaller(GRADIENT_ROWS_PER_TASK, C - first), F, groups.rows(e), {left, 1, C}, {right, 1, F}, {to, out.dtype, F}};
    gemm.run(serial);
  });
}

/** Rows by adapter, in their order: order[offsets[a]] … order[offsets[a + 1] - 1]; those without one are left out. */
void sort_by_adapter(const int32_t* adapter, int64_t rows, int64_t adapters, int32_t* offsets, int32_t* order) {
  for (int64_t a = 0; a <= adapters; a++) offsets[a] = 0;
  const auto is_known = [&](int64_t n) { return adapter[n] >= 0 && adapter[n] < adapters; };
  for (int64_t n = 0; n < rows; n++)
    if (is_known(n)) offsets[adapter[n] + 1]++;
  for (int64_t a = 0; a < adapters; a++) offsets[a + 1] += offsets[a];
  for (int64_t n = 0; n < rows; n++)
    if (is_known(n)) order[offsets[adapter[n]]++] = static_cast<int32_t>(n);
  for (int64_t a = adapters; a > 0; a--) offsets[a] = offsets[a - 1];
  offsets[0] = 0;
}

template <class Reader>
void low_rank(const Call& call) {
  using T = typename Reader::Element;
  const Tensor &x = call.tensors[0], &down = call.tensors[1], &up = call.tensors[2], &out = call.tensors[4];
  const F scale = set(static_cast<float>(call.attributes[0]));
  const int64_t N = x.dims[0], C = x.dims[1], A = down.dims[0], R = down.dims[1], F = up.dims[1];
  const auto floats = [](int64_t count) { return static_cast<size_t>(ceil_div(count, 16) * 16) * 4; };
  const size_t gathered_bytes = floats(N * C), narrow_bytes = floats(N * R), wide_bytes = floats(N * F);
  char* memory = static_cast<char*>(scratch(Scratch::shared, gathered_bytes + narrow_bytes + wide_bytes + floats(A + 1 + N)));
  T* gathered = reinterpret_cast<T*>(memory);
  float* narrow = reinterpret_cast<float*>(memory + gathered_bytes);
  float* wide = reinterpret_cast<float*>(memory + gathered_bytes + narrow_bytes);
  int32_t* offsets = reinterpret_cast<int32_t*>(memory + gathered_bytes + narrow_bytes + wide_bytes);
  int32_t* order = offsets + A + 1;
  __builtin_memset(out.data, 0, static_cast<size_t>(N * F) * sizeof(T));
  sort_by_adapter(data_of<int32_t>(call.tensors[3]), N, A, offsets, order);
  const Tasks tasks{offsets, A};
  const Call serial = on_one_thread(call);
  const int64_t count = tasks.count();
  parallel(call, count, count > 0 ? nanoseconds(N, R, C + F) / static_cast<double>(count) : 0, [&](int64_t task) {
    int64_t a, first;
    tasks.find(task, a, first);
    const int64_t row = offsets[a] + first, rows = smaller(ROWS_PER_TASK, tasks.rows(a) - first);
    for (int64_t i = row; i < row + rows; i++) __builtin_memcpy(gathered + i * C, data_of<T>(x) + order[i] * C, static_cast<size_t>(C) * sizeof(T));
    const Gemm<Reader, Reader> shrink{rows, R, C, {gathered + row * C, C, 1}, {data_of<T>(down) + a * R * C, C, 1}, {reinterpret_cast<char*>(narrow + row * R), DType::f32, R}};
    shrink.run(serial);
    const Gemm<AsF32<float>, AsF32<T>> grow{rows, F, R, {narrow + row * R, R, 1}, {data_of<T>(up) + a * F * R, R, 1}, {reinterpret_cast<char*>(wide + row * F), DType::f32, F}};
    grow.run(serial);
    for (int64_t i = row; i < row + rows; i++)
      for_vectors(F, [&](int64_t f, int64_t lanes) { store_f_first(data_of<T>(out) + order[i] * F + f, load_first(wide + i * F + f, lanes) * scale, lanes); });
  });
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
FRUGAL_BY_DTYPE(grouped_low_rank, low_rank)
#undef FRUGAL_BY_DTYPE

constexpr KernelEntry entries[] = {
    {"groupedMatmul", grouped_matmul}, {"groupedMatmulWeightGradient", grouped_matmul_weight_gradient}, {"groupedLowRank", grouped_low_rank}};

} // namespace

extern const KernelTable grouped_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
