// Every call, timed: its name in the profile, the call itself, and its work.
#include "core/backend/profiled_backend.hpp"

#include <exception>
#include <utility>

#include <fmt/format.h>

#include "core/backend/work.hpp"

namespace weft {

namespace {

// While it lives, this thread's calls are not recorded.
class Silence {
 public:
  Silence() : before_(silent_) { silent_ = true; }
  ~Silence() { silent_ = before_; }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

  static bool now() { return silent_; }

 private:
  static inline thread_local bool silent_ = false;
  bool before_;
};

}  // namespace

template <class Call, class Describe>
void ProfiledBackend::record(const Call& call, const Describe& describe) {
  if (Silence::now()) return call();
  const Silence within;  // a call that makes others is told as one
  const double begin = timeline::now();
  if (timer_) {
    if (unsettled_.empty()) first_mark_ = begin;
    timer_->mark();
    std::exception_ptr failure;
    try {
      call();
    } catch (...) {
      failure = std::current_exception();
    }
    timer_->mark();  // each call has two, or all later times would be those of gaps
    unsettled_.push_back(failure ? Span{} : describe());
    if (failure) std::rethrow_exception(failure);
    return;
  }
  call();
  const double end = timeline::now();
  Span span = describe();
  span.begin = begin;
  span.end = end;
  timeline::add(std::move(span));
}

template <class Call, class Count>
void ProfiledBackend::timed(const char* name, DType dtype, const Call& call, const Count& count) {
  record(call,
         [&] { return Span{.name = name, .is_call = true, .dtype = dtype, .work = count()}; });
}

template <class Call>
void ProfiledBackend::timed_pass(const char* name, const Call& call,
                                 std::initializer_list<const Tensor*> tensors) {
  timed(name, (*tensors.begin())->dtype(), call, [&] { return work::pass(tensors); });
}

// From the host's clock at the first mark on by the device's: calls and the gaps between them.
void ProfiledBackend::settle() {
  if (!timer_) return;
  const std::vector<double> seconds = timer_->seconds_between();
  double at = first_mark_;
  for (std::size_t i = 0; i < unsettled_.size(); ++i) {
    Span& span = unsettled_[i];
    if (i > 0) at += seconds[2 * i - 1];
    span.begin = at;
    span.end = at += seconds[2 * i];
    if (span.is_call) timeline::add(std::move(span));
  }
  unsettled_.clear();
}

std::unique_ptr<DeviceGraph> ProfiledBackend::capture(const std::function<void()>& issue) {
  const Silence while_capturing;
  return inner_.capture(issue);
}

void ProfiledBackend::synchronize() {
  inner_.synchronize();
  settle();
}

void ProfiledBackend::upload(Tensor& device, const Tensor& host) {
  timed_pass("upload", [&] { inner_.upload(device, host); }, {&device, &host});
}

void ProfiledBackend::download(std::span<Tensor> hosts, std::span<const Tensor> devices) {
  timed(
      "download", DType::f32, [&] { inner_.download(hosts, devices); },
      [&] { return Work{.bytes = 2 * work::pass(devices).bytes}; });
  settle();
}

void ProfiledBackend::fill(Tensor& x, float value) {
  timed_pass("fill", [&] { inner_.fill(x, value); }, {&x});
}

void ProfiledBackend::copy(Tensor& y, const Tensor& x) {
  timed_pass("copy", [&] { inner_.copy(y, x); }, {&y, &x});
}

void ProfiledBackend::count_up(Tensor& y, std::int64_t period, std::int64_t stride) {
  timed_pass("count up", [&] { inner_.count_up(y, period, stride); }, {&y});
}

void ProfiledBackend::add(Tensor& y, const Tensor& a, const Tensor& b) {
  timed_pass("add", [&] { inner_.add(y, a, b); }, {&y, &a, &b});
}

void ProfiledBackend::scale(Tensor& y, const Tensor& x, float alpha) {
  timed_pass("scale", [&] { inner_.scale(y, x, alpha); }, {&y, &x});
}

void ProfiledBackend::activation_forward(Tensor& y, const Tensor& x, Activation f) {
  timed_pass("activation forward", [&] { inner_.activation_forward(y, x, f); }, {&y, &x});
}

void ProfiledBackend::activation_backward(Tensor& dx, const Tensor& dy, const Tensor& x,
                                          Activation f) {
  timed_pass("activation backward", [&] { inner_.activation_backward(dx, dy, x, f); },
             {&dx, &dy, &x});
}

void ProfiledBackend::bias_activation_forward(Tensor& y, const Tensor& x, const Tensor& bias,
                                              Activation f) {
  timed_pass("bias + activation forward", [&] { inner_.bias_activation_forward(y, x, bias, f); },
             {&y, &x, &bias});
}

void ProfiledBackend::bias_activation_backward(Tensor& dx, Tensor& dbias, const Tensor& dy,
                                               const Tensor& x, const Tensor& bias, Activation f) {
  timed_pass("bias + activation backward",
             [&] { inner_.bias_activation_backward(dx, dbias, dy, x, bias, f); },
             {&dx, &dbias, &dy, &x, &bias});
}

void ProfiledBackend::dropout(Tensor& y, const Tensor& x, const Dropout& dropout) {
  timed_pass("dropout", [&] { inner_.dropout(y, x, dropout); }, {&y, &x});
}

void ProfiledBackend::matmul(Tensor& c, const Tensor& a, const Tensor& b, const MatmulArgs& args) {
  record([&] { inner_.matmul(c, a, b, args); },
         [&] {
           const work::ProductSize size = work::product_size(c, a, args);
           return Span{.name = work::product_name(args.transpose_a, args.transpose_b),
                       .is_call = true,
                       .dtype = a.dtype(),
                       .work = work::matmul(c, a, b, args),
                       .size = fmt::format("{} x {} x {}", size.M, size.N, size.K)};
         });
}

void ProfiledBackend::attention_forward(Tensor& out, Tensor& lse_BhT, const Tensor& qkv,
                                        const AttentionArgs& args) {
  timed(
      "attention forward", qkv.dtype(), [&] { inner_.attention_forward(out, lse_BhT, qkv, args); },
      [&] { return work::attention_forward(out, lse_BhT, qkv, args); });
}

void ProfiledBackend::attention_backward(Tensor& dqkv, const Tensor& dout, const Tensor& qkv,
                                         const Tensor& out, const Tensor& lse_BhT,
                                         const AttentionArgs& args) {
  timed(
      "attention backward", qkv.dtype(),
      [&] { inner_.attention_backward(dqkv, dout, qkv, out, lse_BhT, args); },
      [&] { return work::attention_backward(dqkv, dout, qkv, out, lse_BhT, args); });
}

void ProfiledBackend::layer_norm_forward(Tensor& y, Tensor& mean_N, Tensor& rstd_N, const Tensor& x,
                                         const Tensor& gamma, const Tensor& beta, float eps) {
  timed_pass("layer norm forward",
             [&] { inner_.layer_norm_forward(y, mean_N, rstd_N, x, gamma, beta, eps); },
             {&y, &mean_N, &rstd_N, &x, &gamma, &beta});
}

void ProfiledBackend::layer_norm_backward(Tensor& dx, Tensor& dgamma, Tensor& dbeta,
                                          const Tensor& dy, const Tensor& x, const Tensor& mean_N,
                                          const Tensor& rstd_N, const Tensor& gamma) {
  timed_pass("layer norm backward",
             [&] { inner_.layer_norm_backward(dx, dgamma, dbeta, dy, x, mean_N, rstd_N, gamma); },
             {&dx, &dgamma, &dbeta, &dy, &x, &mean_N, &rstd_N, &gamma});
}

void ProfiledBackend::residual_norm_forward(Tensor& y, Tensor& sum, Tensor& mean_N, Tensor& rstd_N,
                                            const ResidualNorm& in) {
  timed_pass("residual + norm forward",
             [&] { inner_.residual_norm_forward(y, sum, mean_N, rstd_N, in); },
             {&y, &sum, &mean_N, &rstd_N, &in.x, &in.bias, &in.residual, &in.gamma, &in.beta});
}

void ProfiledBackend::residual_norm_backward(Tensor& dx, Tensor& dresidual, Tensor& dbias,
                                             Tensor& dgamma, Tensor& dbeta, const Tensor& dy,
                                             const Tensor& sum, const Tensor& mean_N,
                                             const Tensor& rstd_N, const Tensor& gamma,
                                             const Dropout& dropout) {
  const Tensor none;  // without dropout dx may be dresidual
  const Tensor& own_dx = dx.raw() == dresidual.raw() ? none : dx;
  timed_pass("residual + norm backward",
             [&] {
               inner_.residual_norm_backward(dx, dresidual, dbias, dgamma, dbeta, dy, sum, mean_N,
                                             rstd_N, gamma, dropout);
             },
             {&dresidual, &own_dx, &dbias, &dgamma, &dbeta, &dy, &sum, &mean_N, &rstd_N, &gamma});
}

void ProfiledBackend::gather_rows(Tensor& y, const Tensor& x, const Tensor& index,
                                  std::int64_t first_row) {
  timed(
      "gather rows", y.dtype(), [&] { inner_.gather_rows(y, x, index, first_row); },
      [&] { return work::gather_rows(y, index); });
}

void ProfiledBackend::scatter_add_rows(Tensor& dx, const Tensor& dy, const Tensor& index,
                                       std::int64_t first_row, bool accumulate) {
  timed(
      "scatter-add rows", dy.dtype(),
      [&] { inner_.scatter_add_rows(dx, dy, index, first_row, accumulate); },
      [&] { return work::scatter_add_rows(dx, dy, index, accumulate); });
}

void ProfiledBackend::cross_entropy_parts(Tensor& parts_N3, const Tensor& logits_NV,
                                          const Tensor& targets_N, std::int64_t first_column) {
  timed(
      "cross entropy forward", logits_NV.dtype(),
      [&] { inner_.cross_entropy_parts(parts_N3, logits_NV, targets_N, first_column); },
      [&] {
        return work::pass({&parts_N3, &logits_NV, &targets_N});
      });
}

void ProfiledBackend::cross_entropy_join(Tensor& sums, Tensor& lse_N, const Tensor& parts_tN3,
                                         const Tensor& targets_N) {
  timed_pass("cross entropy join",
             [&] { inner_.cross_entropy_join(sums, lse_N, parts_tN3, targets_N); },
             {&sums, &lse_N, &parts_tN3, &targets_N});
}

void ProfiledBackend::cross_entropy_backward(Tensor& dlogits, const Tensor& logits_NV,
                                             const Tensor& targets_N, const Tensor& lse_N,
                                             const Tensor& scale, std::int64_t first_column) {
  timed_pass("cross entropy backward",
             [&] {
               inner_.cross_entropy_backward(dlogits, logits_NV, targets_N, lse_N, scale,
                                             first_column);
             },
             {&dlogits, &logits_NV, &targets_N, &lse_N, &scale});
}

void ProfiledBackend::sum_rows(Tensor& y_C, const Tensor& x_NC) {
  timed(
      "sum rows", x_NC.dtype(), [&] { inner_.sum_rows(y_C, x_NC); },
      [&] {
        return work::pass({&y_C, &x_NC});
      });
}

void ProfiledBackend::squared_norms(Tensor& sums, std::span<const Tensor> xs) {
  timed(
      "squared norms", xs.empty() ? DType::f32 : xs[0].dtype(),
      [&] { inner_.squared_norms(sums, xs); }, [&] { return work::pass(xs); });
}

void ProfiledBackend::adamw(std::span<const AdamTensors> parameters, const AdamArgs& args) {
  timed(
      "adamw", DType::f32, [&] { inner_.adamw(parameters, args); },
      [&] { return work::adamw(parameters); });
}

void ProfiledBackend::lamb_moments(Tensor& squares, std::span<const AdamTensors> parameters,
                                   const AdamArgs& args) {
  timed(
      "lamb moments", DType::f32, [&] { inner_.lamb_moments(squares, parameters, args); },
      [&] { return work::lamb_moments(parameters); });
}

void ProfiledBackend::lamb_apply(std::span<const AdamTensors> parameters, const Tensor& squares,
                                 const AdamArgs& args) {
  timed(
      "lamb apply", DType::f32, [&] { inner_.lamb_apply(parameters, squares, args); },
      [&] { return work::lamb_apply(parameters); });
}

}  // namespace weft
