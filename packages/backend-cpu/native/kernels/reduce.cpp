// sum, max, argMax, cumulativeSum, sumOfSquares. Attributes: sum and max [axis count, axes…]; argMax and
// cumulativeSum [axis].
//
// Sums run in fixed blocks: f32 vectors inside a block, f64 from block to block. The blocks follow the shape alone, so
// any number of threads gives the same bits, and so does a row whether it is summed alone or with others.
#include "loops.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

constexpr int64_t SEGMENT = 65536; // elements of one output that one chunk adds up
constexpr int64_t ROWS_PER_SEGMENT = 64;

/** Axes of a tensor, neighbours merged. */
struct Axes {
  int rank = 0;
  int64_t dims[MAX_RANK], strides[MAX_RANK];

  void add(int64_t size, int64_t stride) {
    if (size == 1) return;
    if (rank > 0 && strides[rank - 1] == stride * size) {
      dims[rank - 1] *= size;
      strides[rank - 1] = stride;
    } else {
      dims[rank] = size;
      strides[rank++] = stride;
    }
  }
  int64_t count() const { return product(rank); }
  /** Positions of all axes but the last. */
  int64_t rows() const { return product(rank - 1); }
  int64_t inner() const { return rank == 0 ? 1 : dims[rank - 1]; }
  int64_t inner_stride() const { return rank == 0 ? 1 : strides[rank - 1]; }
  int64_t offset(int64_t index, int upto) const {
    int64_t at = 0;
    for (int axis = upto - 1; axis >= 0; axis--) {
      at += index % dims[axis] * strides[axis];
      index /= dims[axis];
    }
    return at;
  }
  int64_t row_offset(int64_t row) const { return offset(row, rank - 1); }
  int64_t element_offset(int64_t index) const { return offset(index, rank); }

 private:
  int64_t product(int upto) const {
    int64_t result = 1;
    for (int i = 0; i < upto; i++) result *= dims[i];
    return result;
  }
};

struct Reduction {
  const char* data;
  DType dtype;
  int64_t bytes;
  Axes kept, reduced;
  Tensor output;
};

Reduction make_reduction(const Tensor& x, const Tensor& output, const double* axes, int axis_count) {
  Reduction r{x.data, x.dtype, element_bytes(x.dtype), {}, {}, output};
  for (int axis = 0; axis < x.rank; axis++) {
    bool is_reduced = false;
    for (int i = 0; i < axis_count; i++) is_reduced |= static_cast<int>(axes[i]) == axis;
    (is_reduced ? r.reduced : r.kept).add(x.dims[axis], x.strides[axis]);
  }
  return r;
}

struct Sum {
  static constexpr double START = 0.0;
  static F vector(F acc, F x) { return acc + x; }
  static double scalar(double acc, double x) { return acc + x; }
  static double finish(F acc) { return static_cast<double>(reduce_add(acc)); }
};

/** NaN is larger than everything. */
struct Max {
  static constexpr double START = -__builtin_inf();
  static F vector(F acc, F x) { return select((x > acc) | (x != x), x, acc); }
  static double scalar(double acc, double x) { return x > acc || x != x ? x : acc; }
  static double finish(F acc) {
    double best = START;
    for (int i = 0; i < LANES; i++) best = scalar(best, static_cast<double>(acc[i]));
    return best;
  }
};

/** `count` ≤ TILE numbers, whatever lies behind them. */
template <class Op>
double reduce_tile(const float* x, int64_t count) {
  F acc[4];
  for (F& each : acc) each = set(static_cast<float>(Op::START));
  int64_t i = 0;
  for (; i + 4 * LANES <= count; i += 4 * LANES)
    for (int k = 0; k < 4; k++) acc[k] = Op::vector(acc[k], load(x + i + k * LANES));
  for (; i + LANES <= count; i += LANES) acc[0] = Op::vector(acc[0], load(x + i));
  double result = Op::finish(Op::vector(Op::vector(acc[0], acc[1]), Op::vector(acc[2], acc[3])));
  for (; i < count; i++) result = Op::scalar(result, static_cast<double>(x[i]));
  return result;
}

/** Elements [first, first + count) of one row of the reduced axes. */
template <class Op>
double reduce_row(const Reduction& r, const char* row, int64_t first, int64_t count) {
  alignas(64) float memory[TILE];
  const int64_t stride = r.reduced.inner_stride();
  double result = Op::START;
  for (int64_t i = first; i < first + count; i += TILE) {
    const int64_t n = first + count - i < TILE ? first + count - i : TILE;
    result = Op::scalar(result, reduce_tile<Op>(read_tile(row + i * stride * r.bytes, r.dtype, stride, n, memory), n));
  }
  return result;
}

void store_number(const Tensor& output, int64_t index, double value) {
  const float tile[LANES] = {static_cast<float>(value)};
  write_tile(output.data + index * element_bytes(output.dtype), output.dtype, tile, 1);
}

/** The innermost axis is reduced: one output after the other, long ones in segments. */
template <class Op>
void reduce_inner(const Call& call, const Reduction& r) {
  const int64_t outputs = r.kept.count(), rows = r.reduced.rows(), inner = r.reduced.inner();
  // A segment is a number of short rows or a part of a long one.
  const int64_t rows_per_segment = inner >= SEGMENT ? 1 : SEGMENT / (inner > 0 ? inner : 1);
  const int64_t parts = (inner + SEGMENT - 1) / SEGMENT;
  const int64_t segments = inner >= SEGMENT ? rows * parts : (rows + rows_per_segment - 1) / rows_per_segment;
  const auto segment_of = [&](int64_t output, int64_t segment) {
    const char* base = r.data + r.kept.element_offset(output) * r.bytes;
    if (inner >= SEGMENT) {
      const int64_t first = segment % parts * SEGMENT;
      return reduce_row<Op>(r, base + r.reduced.row_offset(segment / parts) * r.bytes, first, inner - first < SEGMENT ? inner - first : SEGMENT);
    }
    double result = Op::START;
    for (int64_t row = segment * rows_per_segment; row < (segment + 1) * rows_per_segment && row < rows; row++)
      result = Op::scalar(result, reduce_row<Op>(r, base + r.reduced.row_offset(row) * r.bytes, 0, inner));
    return result;
  };
  if (segments > 1 && outputs < 32) {
    double* partial = static_cast<double*>(scratch(Scratch::shared, static_cast<size_t>(outputs * segments) * 8));
    parallel(call, outputs * segments, SEGMENT * 0.15, [&](int64_t i) { partial[i] = segment_of(i / segments, i % segments); });
    for (int64_t o = 0; o < outputs; o++) {
      double result = Op::START;
      for (int64_t s = 0; s < segments; s++) result = Op::scalar(result, partial[o * segments + s]);
      store_number(r.output, o, result);
    }
    return;
  }
  const int64_t length = rows * inner > 0 ? rows * inner : 1;
  const int64_t group = length >= CHUNK ? 1 : CHUNK / length;
  parallel(call, (outputs + group - 1) / group, static_cast<double>(group * length) * 0.2 + 20, [&](int64_t chunk) {
    for (int64_t o = chunk * group; o < outputs && o < (chunk + 1) * group; o++) {
      double result = Op::START;
      for (int64_t s = 0; s < segments; s++) result = Op::scalar(result, segment_of(o, s));
      store_number(r.output, o, result);
    }
  });
}

/** The innermost axis stays: rows are added to each other, TILE columns at a time. */
template <class Op>
struct OuterReduction {
  const Reduction& r;
  int64_t rows = r.reduced.count(), inner = r.kept.inner(), tiles = (inner + TILE - 1) / TILE;
  int64_t segments = (rows + ROWS_PER_SEGMENT - 1) / ROWS_PER_SEGMENT;

  int64_t columns(int64_t tile) const { return inner - tile * TILE < TILE ? inner - tile * TILE : TILE; }

  void segment(int64_t place, int64_t segment, float* acc) const {
    alignas(64) float memory[TILE];
    const int64_t tile = place % tiles, n = columns(tile);
    const char* base = r.data + (r.kept.row_offset(place / tiles) + tile * TILE) * r.bytes;
    for (int64_t i = 0; i < TILE; i++) acc[i] = static_cast<float>(Op::START);
    const int64_t end = (segment + 1) * ROWS_PER_SEGMENT < rows ? (segment + 1) * ROWS_PER_SEGMENT : rows;
    for (int64_t row = segment * ROWS_PER_SEGMENT; row < end; row++) {
      const float* x = read_tile(base + r.reduced.element_offset(row) * r.bytes, r.dtype, 1, n, memory);
      int64_t i = 0;
      for (; i + LANES <= n; i += LANES) store(acc + i, Op::vector(load(acc + i), load(x + i)));
      if (i < n) store(acc + i, Op::vector(load(acc + i), load_first(x + i, n - i)));
    }
  }

  template <class Segment>
  void finish(int64_t place, const Segment& segment_at) const {
    double total[TILE];
    const int64_t tile = place % tiles, n = columns(tile);
    for (int64_t i = 0; i < n; i++) total[i] = Op::START;
    for (int64_t s = 0; s < segments; s++) {
      const float* acc = segment_at(s);
      for (int64_t i = 0; i < n; i++) total[i] = Op::scalar(total[i], static_cast<double>(acc[i]));
    }
    alignas(64) float out[TILE];
    for (int64_t i = 0; i < n; i++) out[i] = static_cast<float>(total[i]);
    const int64_t at = place / tiles * inner + tile * TILE;
    write_tile(r.output.data + at * element_bytes(r.output.dtype), r.output.dtype, out, n);
  }

  void run(const Call& call) const {
    const int64_t places = r.kept.rows() * tiles;
    const double cost = static_cast<double>(ROWS_PER_SEGMENT * (inner < TILE ? inner : TILE)) * 0.15;
    if (places < 16 && segments > 1) {
      float* partial = static_cast<float*>(scratch(Scratch::shared, static_cast<size_t>(places * segments * TILE) * 4));
      parallel(call, places * segments, cost, [&](int64_t i) { segment(i / segments, i % segments, partial + i * TILE); });
      for (int64_t place = 0; place < places; place++)
        finish(place, [&](int64_t s) { return partial + (place * segments + s) * TILE; });
      return;
    }
    parallel(call, places, cost * static_cast<double>(segments), [&](int64_t place) {
      alignas(64) float acc[TILE];
      finish(place, [&](int64_t s) {
        segment(place, s, acc);
        return static_cast<const float*>(acc);
      });
    });
  }
};

template <class Op>
void reduce_floats(const Call& call, const Reduction& r) {
  const int64_t reduced_stride = r.reduced.inner_stride(), kept_stride = r.kept.inner_stride();
  if (r.kept.rank > 0 && r.reduced.rank > 0 && kept_stride == 1 && reduced_stride != 1) OuterReduction<Op>{r}.run(call);
  else reduce_inner<Op>(call, r);
}

/** Whole numbers: sums wrap like two's complement. */
void reduce_ints(const Call& call, const Reduction& r, bool is_sum) {
  const int64_t outputs = r.kept.count(), rows = r.reduced.rows(), inner = r.reduced.inner(), stride = r.reduced.inner_stride();
  parallel(call, outputs, static_cast<double>(rows * inner) + 20, [&](int64_t o) {
    const char* base = r.data + r.kept.element_offset(o) * r.bytes;
    uint32_t sum = 0;
    int32_t best = INT32_MIN;
    for (int64_t row = 0; row < rows; row++) {
      const char* from = base + r.reduced.row_offset(row) * r.bytes;
      for (int64_t i = 0; i < inner; i++) {
        int32_t memory;
        const int32_t x = *read_int_tile(from + i * stride * r.bytes, r.dtype, 1, 1, &memory);
        sum += static_cast<uint32_t>(x);
        best = x > best ? x : best;
      }
    }
    const int32_t result = is_sum ? static_cast<int32_t>(sum) : best;
    write_int_tile(r.output.data + o * element_bytes(r.output.dtype), r.output.dtype, &result, 1);
  });
}

template <class Op, bool IS_SUM>
void reduce(const Call& call) {
  const Tensor& x = call.tensors[0];
  const Reduction r = make_reduction(x, call.tensors[1], call.attributes + 1, static_cast<int>(call.attributes[0]));
  if (r.kept.count() == 0) return;
  if (!is_float(x.dtype)) return reduce_ints(call, r, IS_SUM);
  if (r.reduced.count() == 0) {
    for (int64_t o = 0; o < r.kept.count(); o++) store_number(r.output, o, Op::START);
    return;
  }
  reduce_floats<Op>(call, r);
}

/** Position of the largest number, the first among equals; NaN is larger than everything. */
int64_t arg_max(const float* x, int64_t count) {
  const float best = static_cast<float>(reduce_tile<Max>(x, count));
  for (int64_t i = 0; i < count; i++)
    if (best != best ? x[i] != x[i] : x[i] == best) return i;
  return 0;
}

void arg_max(const Call& call) {
  const Tensor& x = call.tensors[0];
  const double axis = call.attributes[0];
  const Reduction r = make_reduction(x, call.tensors[1], &axis, 1);
  const int64_t outputs = r.kept.count(), length = x.dims[static_cast<int>(axis)], stride = x.strides[static_cast<int>(axis)];
  int32_t* out = reinterpret_cast<int32_t*>(r.output.data);
  parallel(call, outputs, static_cast<double>(length) * 0.5 + 20, [&](int64_t o) {
    alignas(64) float memory[TILE];
    const char* base = r.data + r.kept.element_offset(o) * r.bytes;
    int64_t best = 0;
    double value = 0;
    for (int64_t i = 0; i < length; i += TILE) {
      const int64_t n = length - i < TILE ? length - i : TILE;
      if (x.dtype == DType::i32) {
        // Not every i32 is an f32.
        for (int64_t k = i; k < i + n; k++) {
          const double v = *reinterpret_cast<const int32_t*>(base + k * stride * 4);
          if (k == 0 || v > value) value = v, best = k;
        }
        continue;
      }
      const float* tile = read_tile(base + i * stride * r.bytes, r.dtype, stride, n, memory);
      const int64_t k = arg_max(tile, n);
      const double v = static_cast<double>(tile[k]);
      if (i == 0 || v > value || (v != v && value == value)) value = v, best = i + k;
    }
    out[o] = static_cast<int32_t>(best);
  });
}

/** Running sums along an axis, in f64 (or whole numbers), for TILE neighbouring columns at a time. */
void cumulative_sum(const Call& call) {
  const Tensor &x = call.tensors[0], &y = call.tensors[1];
  const int axis = static_cast<int>(call.attributes[0]);
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < axis; i++) outer *= x.dims[i];
  for (int i = axis + 1; i < x.rank; i++) inner *= x.dims[i];
  const int64_t length = x.dims[axis], bytes = element_bytes(x.dtype), tiles = (inner + TILE - 1) / TILE;
  parallel(call, outer * tiles, static_cast<double>(length * (inner < TILE ? inner : TILE)), [&](int64_t place) {
    alignas(64) float memory[TILE];
    double sums[TILE] = {};
    uint32_t whole[TILE] = {};
    const int64_t first = place % tiles * TILE, n = inner - first < TILE ? inner - first : TILE;
    for (int64_t k = 0; k < length; k++) {
      const int64_t at = ((place / tiles * length + k) * inner + first) * bytes;
      if (x.dtype == DType::i32) {
        for (int64_t i = 0; i < n; i++) {
          whole[i] += reinterpret_cast<const uint32_t*>(x.data + at)[i];
          reinterpret_cast<uint32_t*>(y.data + at)[i] = whole[i];
        }
        continue;
      }
      const float* tile = read_tile(x.data + at, x.dtype, 1, n, memory);
      for (int64_t i = 0; i < n; i++) memory[i] = static_cast<float>(sums[i] += static_cast<double>(tile[i]));
      write_tile(y.data + at, y.dtype, memory, n);
    }
  });
}

double squares_of_tile(const float* x, int64_t count) {
  F acc[4] = {};
  int64_t i = 0;
  for (; i + 4 * LANES <= count; i += 4 * LANES)
    for (int k = 0; k < 4; k++) acc[k] = fma(load(x + i + k * LANES), load(x + i + k * LANES), acc[k]);
  for (; i < count; i += LANES) {
    const F v = load_first(x + i, count - i < LANES ? count - i : LANES);
    acc[0] = fma(v, v, acc[0]);
  }
  return static_cast<double>(reduce_add((acc[0] + acc[1]) + (acc[2] + acc[3])));
}

int64_t size_of(const Tensor& x) {
  int64_t size = 1;
  for (int i = 0; i < x.rank; i++) size *= x.dims[i];
  return size;
}

/** Σ x² over all inputs, added to the output's number where the attribute says so: they may come in several calls. */
void sum_of_squares(const Call& call) {
  // Segments of all inputs are numbered through: input t has those from ends[t - 1] to ends[t] - 1.
  int64_t ends[MAX_TENSORS], segments = 0;
  for (int t = 0; t < call.input_count; t++) ends[t] = segments += (size_of(call.tensors[t]) + SEGMENT - 1) / SEGMENT;
  double* partial = static_cast<double*>(scratch(Scratch::shared, static_cast<size_t>(segments + 1) * 8));
  parallel(call, segments, SEGMENT * 0.15, [&](int64_t segment) {
    int t = 0;
    while (ends[t] <= segment) t++;
    const Tensor& x = call.tensors[t];
    alignas(64) float memory[TILE];
    const int64_t size = size_of(x), bytes = element_bytes(x.dtype), start = (segment - (t > 0 ? ends[t - 1] : 0)) * SEGMENT;
    const int64_t end = start + SEGMENT < size ? start + SEGMENT : size;
    double total = 0;
    for (int64_t i = start; i < end; i += TILE) {
      const int64_t n = end - i < TILE ? end - i : TILE;
      total += squares_of_tile(read_tile(x.data + i * bytes, x.dtype, 1, n, memory), n);
    }
    partial[segment] = total;
  });
  float* output = reinterpret_cast<float*>(call.tensors[call.input_count].data);
  double total = call.attributes[0] != 0 ? static_cast<double>(*output) : 0;
  for (int64_t s = 0; s < segments; s++) total += partial[s];
  *output = static_cast<float>(total);
}

constexpr KernelEntry entries[] = {
    {"sum", reduce<Sum, true>},       {"max", reduce<Max, false>},        {"argMax", arg_max},
    {"cumulativeSum", cumulative_sum}, {"sumOfSquares", sum_of_squares},
};

} // namespace

extern const KernelTable reduce_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
