// cachedAttention: (q, keys, values, sequenceStarts, pageTable, lengths[, keyScales, valueScales]) → out. Sequences with
// few query rows are cut along their keys, so that all threads read a long cache; the others along their queries.
#include "attention-decode.hpp"
#include "attention-pieces.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

/** Blocks of keys per piece of work when decoding. */
constexpr int64_t SPAN = 1;

/** The work of one sequence; pieces of all key heads follow each other. */
struct Work {
  int64_t queries, pieces, first_piece; // pieces of one key head
  int64_t partial;                      // where the results of its blocks begin, in floats; -1: not decoding
};

template <class S>
class Batch {
 public:
  Batch(const Call& c, const AttentionShape& shape) : call(c), s(shape), starts(ints(c.tensors[3])), lengths(ints(c.tensors[5])), out(c.tensors[c.input_count]) {
    sequences = c.tensors[3].dims[0] - 1;
  }

  void run() {
    clear_rows(out, 0, starts[0]);
    clear_rows(out, starts[sequences], call.tensors[0].dims[0]);
    if (starts[sequences] <= starts[0]) return;
    plan();
    const double cost = work_cost / static_cast<double>(maximum(1, count));
    parallel(call, count, cost, [&](int64_t chunk) { run_piece(chunk); });
    for (int64_t i = 0; i < sequences; i++)
      for (int64_t head = 0; work[i].partial >= 0 && head < s.K; head++) {
        DecodeRows<S> rows = decode(i, head);
        rows.join(partials + work[i].partial + head * rows.blocks * rows.block_floats());
      }
  }

 private:
  const Call& call;
  const AttentionShape& s;
  const int32_t *starts, *lengths;
  const Tensor& out;
  int64_t sequences, count = 0, size = 1;
  double work_cost = 0;
  Work* work = nullptr;
  float* partials = nullptr;

  void plan() {
    work = static_cast<Work*>(scratch(Scratch::shared, static_cast<size_t>(sequences) * sizeof(Work)));
    int64_t floats = 0, many = 0;
    for (int64_t i = 0; i < sequences; i++)
      if (queries_in(i) * s.G > DECODE_ROWS) many += queries_in(i);
    size = queries_per_piece(call, s, many);
    for (int64_t i = 0; i < sequences; i++) {
      Work& w = work[i];
      w = {queries_in(i), 0, count, -1};
      if (w.queries == 0) continue;
      const double keys = static_cast<double>(s.window > 0 ? minimum(lengths[i], s.window + w.queries) : lengths[i]);
      if (w.queries * s.G <= DECODE_ROWS) {
        const DecodeRows<S> rows = decode(i, 0);
        w.pieces = (rows.blocks + SPAN - 1) / SPAN;
        w.partial = floats;
        floats += s.K * rows.blocks * rows.block_floats();
        work_cost += keys * static_cast<double>(s.K * (s.D + s.Dv)) * 0.1;
      } else {
        w.pieces = (w.queries + size - 1) / size;
        work_cost += piece_cost(s, static_cast<double>(w.queries * s.K), keys);
      }
      count += w.pieces * s.K;
    }
    partials = static_cast<float*>(scratch(Scratch::packed_a, static_cast<size_t>(floats + 1) * 4));
  }

  int64_t queries_in(int64_t i) const { return starts[i + 1] - starts[i]; }

  Keys<S> keys_of(int64_t i, int64_t head) const {
    const Tensor &k = call.tensors[1], &v = call.tensors[2], &pages = call.tensors[4];
    const auto scales = [&](int t) { return call.input_count > t ? reinterpret_cast<const float*>(call.tensors[t].data) + head * call.tensors[t].strides[1] : nullptr; };
    const auto stride = [&](int t) { return call.input_count > t ? call.tensors[t].strides[0] : 0; };
    return {reinterpret_cast<const S*>(k.data) + head * k.strides[1], reinterpret_cast<const S*>(v.data) + head * v.strides[1], k.strides[0], v.strides[0],
            lengths[i], ints(pages) + i * pages.strides[0], s.page_size, scales(6), scales(7), stride(6), stride(7)};
  }

  Queries queries(const Piece& piece) const {
    const int64_t i = piece.sequence;
    return queries_of(s, call.tensors[0], out, nullptr, piece, starts[i], queries_in(i), lengths[i]);
  }

  DecodeRows<S> decode(int64_t i, int64_t head) const { return {s, queries({i, head, 0, queries_in(i)}), keys_of(i, head)}; }

  void run_piece(int64_t index) {
    int64_t i = 0;
    while (index >= work[i].first_piece + work[i].pieces * s.K) i++;
    const Work& w = work[i];
    const int64_t local = index - w.first_piece, head = local % s.K, part = local / s.K;
    if (w.partial < 0) {
      const Queries mine = queries(piece_at(i, head, w.queries, size, part));
      const Keys<S> keys = keys_of(i, head);
      return RowBlock<S>(s, mine, keys).run();
    }
    DecodeRows<S> rows = decode(i, head);
    rows.run_blocks(part * SPAN, minimum(SPAN, rows.blocks - part * SPAN), partials + w.partial + head * rows.blocks * rows.block_floats());
  }
};

void cached_attention(const Call& call) {
  const AttentionShape s = attention_shape(call.tensors[0], call.tensors[2], call.attributes);
  const DType stored = call.tensors[1].dtype;
  if (stored == DType::i8) return Batch<int8_t>(call, s).run();
  with_float_type(stored, [&](auto* type) { Batch<ElementOf<decltype(type)>>(call, s).run(); });
}

constexpr KernelEntry entries[] = {{"cachedAttention", cached_attention}};

} // namespace

extern const KernelTable cached_attention_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
