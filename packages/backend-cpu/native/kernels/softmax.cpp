// softmax, logSoftmax and the gradient of softmax over the last axis.
#include "rows.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

template <bool LOG>
void softmax(const Call& call) {
  const Rows r = rows_of(call.tensors[0]);
  with_float_type(call.tensors[0].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    for_each_row(call, r, 1.0, [&](int64_t row) {
      const T* x = data_of<T>(call.tensors[0]) + row * r.columns;
      T* y = data_of<T>(call.tensors[1]) + row * r.columns;
      const F total = set(log_sum_exp(x, r.columns, 1.0f));
      for_vectors(r.columns, [&](int64_t i, int64_t lanes) {
        const F shifted = load_f_first(x + i, lanes) - total;
        store_f_first(y + i, LOG ? shifted : exp(shifted), lanes);
      });
    });
  });
}

/** y · (g - Σ g·y) */
void softmax_backward(const Call& call) {
  const Rows r = rows_of(call.tensors[1]);
  with_float_type(call.tensors[1].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    for_each_row(call, r, 0.4, [&](int64_t row) {
      const T* g = data_of<T>(call.tensors[0]) + row * r.columns;
      const T* y = data_of<T>(call.tensors[1]) + row * r.columns;
      T* dx = data_of<T>(call.tensors[2]) + row * r.columns;
      const F dot = set(sum_vectors(r.columns, [&](int64_t i, int64_t lanes) {
        return load_f_first(g + i, lanes) * load_f_first(y + i, lanes);
      }));
      for_vectors(r.columns, [&](int64_t i, int64_t lanes) {
        store_f_first(dx + i, load_f_first(y + i, lanes) * (load_f_first(g + i, lanes) - dot), lanes);
      });
    });
  });
}

constexpr KernelEntry entries[] = {
    {"softmax", softmax<false>}, {"logSoftmax", softmax<true>}, {"softmaxBackward", softmax_backward}};

} // namespace

extern const KernelTable softmax_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
