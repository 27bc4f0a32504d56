// crossEntropy and klDivergence over rows of logits [N, V], with their gradients.
// Attributes: crossEntropy [ignoreIndex]; klDivergence [temperature].
#include "rows.hpp"

namespace frugal::FRUGAL_ISA {
namespace {

void cross_entropy(const Call& call) {
  const Rows r = rows_of(call.tensors[0]);
  const int32_t* targets = data_of<int32_t>(call.tensors[1]);
  const int32_t ignored = static_cast<int32_t>(call.attributes[0]);
  with_float_type(call.tensors[0].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    for_each_row(call, r, 0.6, [&](int64_t row) {
      const T* x = data_of<T>(call.tensors[0]) + row * r.columns;
      const float total = log_sum_exp(x, r.columns, 1.0f);
      data_of<float>(call.tensors[2])[row] = targets[row] == ignored ? 0.0f : total - to_f32(x[targets[row]]);
      data_of<float>(call.tensors[3])[row] = total;
    });
  });
}

/** gradient · (softmax(logits) - one hot) */
void cross_entropy_backward(const Call& call) {
  const Rows r = rows_of(call.tensors[1]);
  const int32_t* targets = data_of<int32_t>(call.tensors[2]);
  const int32_t ignored = static_cast<int32_t>(call.attributes[0]);
  with_float_type(call.tensors[1].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    for_each_row(call, r, 0.6, [&](int64_t row) {
      const T* x = data_of<T>(call.tensors[1]) + row * r.columns;
      T* dx = data_of<T>(call.tensors[4]) + row * r.columns;
      const int32_t target = targets[row];
      if (target == ignored) {
        __builtin_memset(dx, 0, static_cast<size_t>(r.columns) * sizeof(T));
        return;
      }
      const float gradient = data_of<float>(call.tensors[0])[row], total = data_of<float>(call.tensors[3])[row];
      for_vectors(r.columns, [&](int64_t i, int64_t lanes) {
        store_f_first(dx + i, exp(load_f_first(x + i, lanes) - set(total)) * set(gradient), lanes);
      });
      const float own = gradient * (exp(set(to_f32(x[target]) - total))[0] - 1.0f);
      store_f_first(dx + target, set(own), 1);
    });
  });
}

void kl_divergence(const Call& call) {
  const Rows r = rows_of(call.tensors[0]);
  const float scale = static_cast<float>(1.0 / call.attributes[0]);
  with_float_type(call.tensors[0].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    for_each_row(call, r, 1.5, [&](int64_t row) {
      const T* student = data_of<T>(call.tensors[0]) + row * r.columns;
      const T* teacher = data_of<T>(call.tensors[1]) + row * r.columns;
      const float student_total = log_sum_exp(student, r.columns, scale), teacher_total = log_sum_exp(teacher, r.columns, scale);
      const F factor = set(scale), ds = set(-student_total), dt = set(-teacher_total);
      data_of<float>(call.tensors[2])[row] = sum_vectors(r.columns, [&](int64_t i, int64_t lanes) {
        const F log_student = fma(load_f_first(student + i, lanes), factor, ds);
        const F log_teacher = fma(load_f_first(teacher + i, lanes), factor, dt);
        const F p = exp(log_teacher);
        // A token that the teacher rules out adds nothing, whatever the student says.
        const F term = select(p != F{}, p * (log_teacher - log_student), F{});
        return lanes < LANES ? select(first_lanes(lanes), term, F{}) : term;
      });
      data_of<float>(call.tensors[3])[row] = student_total;
      data_of<float>(call.tensors[4])[row] = teacher_total;
    });
  });
}

/** gradient / T · (softmax(student / T) - softmax(teacher / T)) */
void kl_divergence_backward(const Call& call) {
  const Rows r = rows_of(call.tensors[1]);
  const float scale = static_cast<float>(1.0 / call.attributes[0]);
  with_float_type(call.tensors[1].dtype, [&](auto* type) {
    using T = ElementOf<decltype(type)>;
    for_each_row(call, r, 1.2, [&](int64_t row) {
      const T* student = data_of<T>(call.tensors[1]) + row * r.columns;
      const T* teacher = data_of<T>(call.tensors[2]) + row * r.columns;
      T* out = data_of<T>(call.tensors[5]) + row * r.columns;
      const F factor = set(scale), g = set(data_of<float>(call.tensors[0])[row] * scale);
      const F ds = set(-data_of<float>(call.tensors[3])[row]), dt = set(-data_of<float>(call.tensors[4])[row]);
      for_vectors(r.columns, [&](int64_t i, int64_t lanes) {
        const F p = exp(fma(load_f_first(student + i, lanes), factor, ds));
        const F q = exp(fma(load_f_first(teacher + i, lanes), factor, dt));
        store_f_first(out + i, g * (p - q), lanes);
      });
    });
  });
}

constexpr KernelEntry entries[] = {
    {"crossEntropy", cross_entropy},
    {"crossEntropyBackward", cross_entropy_backward},
    {"klDivergence", kl_divergence},
    {"klDivergenceBackward", kl_divergence_backward},
};

} // namespace

extern const KernelTable loss_kernels{entries, sizeof(entries) / sizeof(entries[0])};

} // namespace frugal::FRUGAL_ISA
