// attention over packed sequences: (q, k, v, sequenceStarts) → (softmax(scale · q kᵀ) v, log Σ exp of the scores).
#include "attention-amx.hpp"
#include "attention-pieces.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** The code by which many rows of a head meet its keys. */
template <class S>
struct RowsOf {
  using Type = RowBlock<S>;
};
#if defined(__AMX_BF16__)
template <>
struct RowsOf<bf16> {
  using Type = AmxRowBlock;
};
#endif
template <class S>
using Rows = typename RowsOf<S>::Type;

void attention(const Call& call) {
  const Tensor &q = call.tensors[0], &k = call.tensors[1], &v = call.tensors[2], &out = call.tensors[4], &totals = call.tensors[5];
  const AttentionShape s = attention_shape(q, v, call.attributes);
  const int32_t* starts = ints(call.tensors[3]);
  const int64_t sequences = call.tensors[3].dims[0] - 1, all = starts[sequences] - starts[0];
  for (int i = 4; i < 6; i++) {
    clear_rows(call.tensors[i], 0, starts[0]);
    clear_rows(call.tensors[i], starts[sequences], q.dims[0]);
  }
  if (all <= 0) return;
  const int64_t size = queries_per_piece(call, s, all);
  const auto length = [&](int64_t i) { return static_cast<int64_t>(starts[i + 1] - starts[i]); };
  int64_t count = 0, longest = 0;
  for (int64_t i = 0; i < sequences; i++) {
    count += (length(i) + size - 1) / size;
    longest = maximum(longest, length(i));
  }
  const double cost = piece_cost(s, static_cast<double>(all) / static_cast<double>(count), static_cast<double>(longest) / 2);
  with_float_type(k.dtype, [&](auto* type) {
    using S = ElementOf<decltype(type)>;
    parallel(call, count * s.K, cost, [&](int64_t chunk) {
      int64_t index = chunk / s.K, i = 0;
      for (; index >= (length(i) + size - 1) / size; i++) index -= (length(i) + size - 1) / size;
      const Piece piece = piece_at(i, chunk % s.K, length(i), size, index);
      const Keys<S> keys{reinterpret_cast<const S*>(k.data) + starts[i] * k.strides[0] + piece.head * k.strides[1],
                         reinterpret_cast<const S*>(v.data) + starts[i] * v.strides[0] + piece.head * v.strides[1],
                         k.strides[0], v.strides[0], length(i), nullptr, 1, nullptr, nullptr, 0, 0};
      const Queries queries = queries_of(s, q, out, reinterpret_cast<float*>(totals.data), piece, starts[i], length(i), length(i));
      Rows<S>(s, queries, keys).run();
    });
  });
}

constexpr KernelEntry entries[] = {{"attention", attention}};

} // namespace

extern const KernelTable attention_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
