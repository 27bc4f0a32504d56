// cholesky and triangularSolve, f32 in and out, computed in f64, in blocks. Attributes: triangularSolve [transpose].
// Every element is one chain of subtractions in ascending depth, whatever the blocks and threads.
#include "../core/parallel.hpp"
#include "../simd/vector.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

typedef double D __attribute__((vector_size(LANES * 4)));
constexpr int64_t DOUBLES = LANES / 2;
/** Columns of a block of the triangle, and of the band of right sides that is solved together. */
constexpr int64_t BLOCK = 64;
/** A tile of sums in registers: rows × 2 vectors. */
constexpr int64_t TILE_HEIGHT = 4, TILE_WIDTH = 2 * DOUBLES;
/** Rows of one chunk of work. */
constexpr int64_t ROWS = 32;

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/** c - a · b */
FRUGAL_INLINE D subtract_product(D c, D a, D b) {
#if defined(FRUGAL_AVX512)
  return (D)_mm512_fnmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(FRUGAL_AVX2)
  return (D)_mm256_fnmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  return c - a * b;
#endif
}

/** Element (i, k) of the left side of a product, f32 or f64. */
template <class T>
struct Left {
  const T* data;
  int64_t row_stride, depth_stride;
};

/** c [TILE_HEIGHT, BLOCK] (BLOCK apart) -= packed [depth][TILE_HEIGHT] · b [depth][BLOCK]. */
void subtract_tile(const double* packed, const double* b, int64_t depth, double* c) {
  for (int64_t j = 0; j < BLOCK; j += TILE_WIDTH) {
    D acc[TILE_HEIGHT][2];
#pragma GCC unroll 4
    for (int64_t i = 0; i < TILE_HEIGHT; i++)
      for (int v = 0; v < 2; v++) acc[i][v] = load_as<D>(c + i * BLOCK + j + v * DOUBLES);
    for (int64_t k = 0; k < depth; k++) {
      const D b0 = load_as<D>(b + k * BLOCK + j), b1 = load_as<D>(b + k * BLOCK + j + DOUBLES);
#pragma GCC unroll 4
      for (int64_t i = 0; i < TILE_HEIGHT; i++) {
        const D a = packed[k * TILE_HEIGHT + i] - D{};
        acc[i][0] = subtract_product(acc[i][0], a, b0);
        acc[i][1] = subtract_product(acc[i][1], a, b1);
      }
    }
#pragma GCC unroll 4
    for (int64_t i = 0; i < TILE_HEIGHT; i++)
      for (int v = 0; v < 2; v++) store_as(c + i * BLOCK + j + v * DOUBLES, acc[i][v]);
  }
}

/** Depth that is packed at once. */
constexpr int64_t DEPTH = 256;

/** c [rows, BLOCK] -= a [rows, depth] · b [depth, BLOCK]; the memory of c holds whole tiles. */
template <class T>
void subtract(const Left<T>& a, int64_t rows, int64_t depth, const double* b, double* c) {
  double packed[DEPTH * TILE_HEIGHT];
  for (int64_t start = 0; start < depth; start += DEPTH) {
    const int64_t count = smaller(DEPTH, depth - start);
    for (int64_t i = 0; i < rows; i += TILE_HEIGHT) {
      for (int64_t r = 0; r < TILE_HEIGHT; r++) {
        const T* row = a.data + (i + r) * a.row_stride + start * a.depth_stride;
        for (int64_t k = 0; k < count; k++) packed[k * TILE_HEIGHT + r] = i + r < rows ? static_cast<double>(row[k * a.depth_stride]) : 0.0;
      }
      subtract_tile(packed, b + start * BLOCK, count, c + i * BLOCK);
    }
  }
}

double dot(const double* a, const double* b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += a[i] * b[i];
  return sum;
}

/** The diagonal block of what remains, factored in place: rows of L, N apart. */
void factor_block(const double* sums, int64_t columns, int64_t N, double* diagonal) {
  for (int64_t i = 0; i < columns; i++) {
    double* row = diagonal + i * N;
    for (int64_t j = 0; j < i; j++) row[j] = (sums[i * BLOCK + j] - dot(row, diagonal + j * N, j)) / diagonal[j * N + j];
    const double pivot = sums[i * BLOCK + i] - dot(row, row, i);
    row[i] = pivot > 0 ? __builtin_sqrt(pivot) : __builtin_nan("");
  }
}

/** A row below the diagonal block D, given as Dᵀ [BLOCK, BLOCK]: L[j] = (sums[j] - Σ L[t] D[j, t]) / D[j, j]. */
void finish_row(double* sums, const double* transposed, int64_t columns) {
  for (int64_t j = 0; j < columns; j++) {
    sums[j] /= transposed[j * BLOCK + j];
    const D factor = sums[j] - D{};
    double own[BLOCK];
    const int64_t from = (j + 1) / DOUBLES * DOUBLES;
    for (int64_t t = from; t <= j; t++) own[t - from] = sums[t]; // in the first vector, but done already
    for (int64_t t = from; t < BLOCK; t += DOUBLES) store_as(sums + t, subtract_product(load_as<D>(sums + t), factor, load_as<D>(transposed + j * BLOCK + t)));
    for (int64_t t = from; t <= j; t++) sums[t] = own[t - from];
  }
}

/** What is left of rows [first, first + rows) of a block of columns: A - L L'ᵀ over all columns before the block. */
void remaining(const float* a, const double* lower, const double* panel, int64_t N, int64_t column, int64_t first, int64_t rows, double* sums) {
  const int64_t width = smaller(BLOCK, N - column);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < BLOCK; j++)
      sums[i * BLOCK + j] = j < width && column + j <= first + i ? static_cast<double>(a[(first + i) * N + column + j]) : 0.0;
  subtract(Left<double>{lower + first * N, N, 1}, rows, column, panel, sums);
}

/** Block column by block column; only the lower triangle of the input is read. A pivot that is not positive gives NaN. */
void cholesky(const Call& call) {
  const int64_t N = call.tensors[0].dims[0];
  const float* a = reinterpret_cast<const float*>(call.tensors[0].data);
  float* out = reinterpret_cast<float*>(call.tensors[1].data);
  double* lower = static_cast<double*>(scratch(Scratch::shared, static_cast<size_t>(N * N) * 8 + 64));
  double* panel = static_cast<double*>(scratch(Scratch::packed_b, static_cast<size_t>(N * BLOCK) * 8 + 64));
  for (int64_t column = 0; column < N; column += BLOCK) {
    const int64_t width = smaller(BLOCK, N - column);
    parallel(call, (column + ROWS - 1) / ROWS, ROWS * BLOCK * 1.0, [&](int64_t chunk) {
      for (int64_t k = chunk * ROWS; k < smaller(column, (chunk + 1) * ROWS); k++)
        for (int64_t j = 0; j < BLOCK; j++) panel[k * BLOCK + j] = j < width ? lower[(column + j) * N + k] : 0.0;
    });
    double sums[BLOCK * BLOCK];
    remaining(a, lower, panel, N, column, column, width, sums);
    double* diagonal = lower + column * N + column;
    factor_block(sums, width, N, diagonal);
    double transposed[BLOCK * BLOCK];
    for (int64_t j = 0; j < BLOCK; j++)
      for (int64_t t = 0; t < BLOCK; t++) transposed[j * BLOCK + t] = j <= t && t < width ? diagonal[t * N + j] : 0.0;
    const int64_t below = N - column - width;
    parallel(call, (below + ROWS - 1) / ROWS, ROWS * BLOCK * (static_cast<double>(column) * 0.1 + 20), [&](int64_t chunk) {
      const int64_t first = column + width + chunk * ROWS, rows = smaller(ROWS, N - first);
      double rest[ROWS * BLOCK];
      remaining(a, lower, panel, N, column, first, rows, rest);
      for (int64_t i = 0; i < rows; i++) {
        finish_row(rest + i * BLOCK, transposed, width);
        __builtin_memcpy(lower + (first + i) * N + column, rest + i * BLOCK, static_cast<size_t>(width) * 8);
      }
    });
  }
  parallel(call, (N + ROWS - 1) / ROWS, static_cast<double>(N) * ROWS * 0.5, [&](int64_t chunk) {
    for (int64_t i = chunk * ROWS; i < smaller(N, (chunk + 1) * ROWS); i++)
      for (int64_t j = 0; j < N; j++) out[i * N + j] = j <= i ? static_cast<float>(lower[i * N + j]) : 0.0f;
  });
}

/**
 * Substitution for a band of BLOCK columns of the right side. Solved rows stand in `x` in the order in which they were
 * found, which for the transpose is from the last one up: then both cases run forward.
 */
void solve_band(const float* lower, const float* right, float* out, int64_t N, int64_t M, int64_t first, bool transpose) {
  const int64_t width = smaller(BLOCK, M - first);
  double* x = static_cast<double*>(scratch(Scratch::chunk, static_cast<size_t>((N + TILE_HEIGHT) * BLOCK) * 8));
  // Element (step, done) of the triangle in the order of solving.
  const Left<float> triangle = transpose ? Left<float>{lower + N * N - 1, -1, -N} : Left<float>{lower, N, 1};
  const auto row_of = [&](int64_t step) { return transpose ? N - 1 - step : step; };
  for (int64_t step = 0; step < N; step += ROWS) {
    const int64_t rows = smaller(ROWS, N - step);
    for (int64_t i = 0; i < rows; i++)
      for (int64_t m = 0; m < BLOCK; m++) x[(step + i) * BLOCK + m] = m < width ? static_cast<double>(right[row_of(step + i) * M + first + m]) : 0.0;
    subtract(Left<float>{triangle.data + step * triangle.row_stride, triangle.row_stride, triangle.depth_stride}, rows, step, x, x + step * BLOCK);
    for (int64_t i = step; i < step + rows; i++) {
      double* row = x + i * BLOCK;
      const float* factors = triangle.data + i * triangle.row_stride;
      for (int64_t k = step; k < i; k++) {
        const D factor = static_cast<double>(factors[k * triangle.depth_stride]) - D{};
        for (int64_t m = 0; m < BLOCK; m += DOUBLES) store_as(row + m, subtract_product(load_as<D>(row + m), factor, load_as<D>(x + k * BLOCK + m)));
      }
      const double pivot = static_cast<double>(factors[i * triangle.depth_stride]);
      for (int64_t m = 0; m < BLOCK; m++) row[m] /= pivot;
    }
  }
  for (int64_t i = 0; i < N; i++)
    for (int64_t m = 0; m < width; m++) out[row_of(i) * M + first + m] = static_cast<float>(x[i * BLOCK + m]);
}

void triangular_solve(const Call& call) {
  const int64_t N = call.tensors[1].dims[0], M = call.tensors[1].dims[1];
  const float* lower = reinterpret_cast<const float*>(call.tensors[0].data);
  const float* right = reinterpret_cast<const float*>(call.tensors[1].data);
  float* out = reinterpret_cast<float*>(call.tensors[2].data);
  const bool transpose = call.attributes[0] != 0;
  parallel(call, (M + BLOCK - 1) / BLOCK, static_cast<double>(N * N) * BLOCK * 0.03, [&](int64_t chunk) {
    solve_band(lower, right, out, N, M, chunk * BLOCK, transpose);
  });
}

constexpr KernelEntry entries[] = {{"cholesky", cholesky}, {"triangularSolve", triangular_solve}};

} // namespace

extern const KernelTable linalg_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
