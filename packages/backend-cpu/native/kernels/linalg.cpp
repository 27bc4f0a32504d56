// cholesky and triangularSolve, f32 in and out, computed in f64. Attributes: triangularSolve [transpose].
#include "../core/parallel.hpp"
#include "../simd/vector.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

typedef double D __attribute__((vector_size(LANES * 4)));
constexpr int64_t DOUBLES = LANES / 2;

double dot(const double* a, const double* b, int64_t count) {
  D sum[4] = {};
  int64_t i = 0;
  for (; i + 4 * DOUBLES <= count; i += 4 * DOUBLES)
    for (int k = 0; k < 4; k++) sum[k] += load_as<D>(a + i + k * DOUBLES) * load_as<D>(b + i + k * DOUBLES);
  const D all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  double result = 0;
  for (int l = 0; l < DOUBLES; l++) result += all[l];
  for (; i < count; i++) result += a[i] * b[i];
  return result;
}

/** Column by column; only the lower triangle of the input is read. A pivot that is not positive gives NaN. */
void cholesky(const Call& call) {
  const int64_t N = call.tensors[0].dims[0];
  const float* a = reinterpret_cast<const float*>(call.tensors[0].data);
  float* out = reinterpret_cast<float*>(call.tensors[1].data);
  double* lower = static_cast<double*>(scratch(Scratch::shared, static_cast<size_t>(N * N) * 8 + 8));
  constexpr int64_t GROUP = 32;
  for (int64_t j = 0; j < N; j++) {
    const double pivot = static_cast<double>(a[j * N + j]) - dot(lower + j * N, lower + j * N, j);
    const double diagonal = pivot > 0 ? __builtin_sqrt(pivot) : __builtin_nan("");
    lower[j * N + j] = diagonal;
    const int64_t below = N - j - 1;
    parallel(call, (below + GROUP - 1) / GROUP, GROUP * (10 + static_cast<double>(j) * 0.3), [&](int64_t chunk) {
      for (int64_t i = j + 1 + chunk * GROUP; i < N && i < j + 1 + (chunk + 1) * GROUP; i++)
        lower[i * N + j] = (static_cast<double>(a[i * N + j]) - dot(lower + i * N, lower + j * N, j)) / diagonal;
    });
  }
  for (int64_t i = 0; i < N; i++)
    for (int64_t j = 0; j < N; j++) out[i * N + j] = j <= i ? static_cast<float>(lower[i * N + j]) : 0.0f;
}

/** Substitution for a band of columns of the right side, all rows in turn. */
void triangular_solve(const Call& call) {
  const int64_t N = call.tensors[1].dims[0], M = call.tensors[1].dims[1];
  const float* lower = reinterpret_cast<const float*>(call.tensors[0].data);
  const float* right = reinterpret_cast<const float*>(call.tensors[1].data);
  float* out = reinterpret_cast<float*>(call.tensors[2].data);
  const bool transpose = call.attributes[0] != 0;
  constexpr int64_t BAND = 64;
  parallel(call, (M + BAND - 1) / BAND, static_cast<double>(N * N) * BAND * 0.1, [&](int64_t chunk) {
    const int64_t first = chunk * BAND, width = M - first < BAND ? M - first : BAND;
    double* x = static_cast<double*>(scratch(Scratch::chunk, static_cast<size_t>(N * BAND) * 8 + 64));
    for (int64_t step = 0; step < N; step++) {
      const int64_t i = transpose ? N - 1 - step : step;
      double* row = x + i * BAND;
      for (int64_t m = 0; m < BAND; m++) row[m] = m < width ? static_cast<double>(right[i * M + first + m]) : 0.0;
      for (int64_t done = 0; done < step; done++) {
        const int64_t k = transpose ? N - 1 - done : done;
        const D factor = static_cast<double>(transpose ? lower[k * N + i] : lower[i * N + k]) - D{};
        for (int64_t m = 0; m < BAND; m += DOUBLES)
          store_as(row + m, load_as<D>(row + m) - factor * load_as<D>(x + k * BAND + m));
      }
      const double pivot = static_cast<double>(lower[i * N + i]);
      for (int64_t m = 0; m < BAND; m++) row[m] /= pivot;
    }
    for (int64_t i = 0; i < N; i++)
      for (int64_t m = 0; m < width; m++) out[i * M + first + m] = static_cast<float>(x[i * BAND + m]);
  });
}

constexpr KernelEntry entries[] = {{"cholesky", cholesky}, {"triangularSolve", triangular_solve}};

} // namespace

extern const KernelTable linalg_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
