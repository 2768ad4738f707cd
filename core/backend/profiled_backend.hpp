// A backend that records each call of another one: when it was, and the work counted of it.
#pragma once

#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "core/backend/backend.hpp"
#include "core/backend/device_timer.hpp"
#include "core/backend/timeline.hpp"

namespace weft {

// The results are those of `inner`, whose calls must have done their work when they return, unless
// there is a timer of its device. With one, a call's times are the device's own, and known when a
// download or synchronize() waits for it: a recording should end after one.
class ProfiledBackend final : public Backend {
 public:
  explicit ProfiledBackend(Backend& inner, std::unique_ptr<DeviceTimer> timer = nullptr)
      : inner_(inner), timer_(std::move(timer)) {}
  std::string_view name() const override { return inner_.name(); }

  void upload(Tensor& device, const Tensor& host) override;
  void download(std::span<Tensor> hosts, std::span<const Tensor> devices) override;
  bool fuses_activation(Activation f, DType dtype) const override {
    return inner_.fuses_activation(f, dtype);
  }
  // What is captured is not done, and what is replayed makes no calls: no time is told.
  std::unique_ptr<DeviceGraph> capture(const std::function<void()>& issue) override;
  void synchronize() override;
  void fill(Tensor& x, float value) override;
  void copy(Tensor& y, const Tensor& x) override;
  void add(Tensor& y, const Tensor& a, const Tensor& b) override;
  void count_up(Tensor& y, std::int64_t period, std::int64_t stride) override;
  void scale(Tensor& y, const Tensor& x, float alpha) override;
  void activation_forward(Tensor& y, const Tensor& x, Activation f) override;
  void activation_backward(Tensor& dx, const Tensor& dy, const Tensor& x, Activation f) override;
  void bias_activation_forward(Tensor& y, const Tensor& x, const Tensor& bias,
                               Activation f) override;
  void bias_activation_backward(Tensor& dx, Tensor& dbias, const Tensor& dy, const Tensor& x,
                                const Tensor& bias, Activation f) override;
  void dropout(Tensor& y, const Tensor& x, const Dropout& dropout) override;
  void matmul(Tensor& c, const Tensor& a, const Tensor& b, const MatmulArgs& args) override;
  void attention_forward(Tensor& out, Tensor& lse_BhT, const Tensor& qkv,
                         const AttentionArgs& args) override;
  void attention_backward(Tensor& dqkv, const Tensor& dout, const Tensor& qkv, const Tensor& out,
                          const Tensor& lse_BhT, const AttentionArgs& args) override;
  void layer_norm_forward(Tensor& y, Tensor& mean_N, Tensor& rstd_N, const Tensor& x,
                          const Tensor& gamma, const Tensor& beta, float eps) override;
  void layer_norm_backward(Tensor& dx, Tensor& dgamma, Tensor& dbeta, const Tensor& dy,
                           const Tensor& x, const Tensor& mean_N, const Tensor& rstd_N,
                           const Tensor& gamma) override;
  void residual_norm_forward(Tensor& y, Tensor& sum, Tensor& mean_N, Tensor& rstd_N,
                             const ResidualNorm& in) override;
  void residual_norm_backward(Tensor& dx, Tensor& dresidual, Tensor& dbias, Tensor& dgamma,
                              Tensor& dbeta, const Tensor& dy, const Tensor& sum,
                              const Tensor& mean_N, const Tensor& rstd_N, const Tensor& gamma,
                              const Dropout& dropout) override;
  void gather_rows(Tensor& y, const Tensor& x, const Tensor& index,
                   std::int64_t first_row) override;
  void scatter_add_rows(Tensor& dx, const Tensor& dy, const Tensor& index, std::int64_t first_row,
                        bool accumulate) override;
  void cross_entropy_parts(Tensor& parts_N3, const Tensor& logits_NV, const Tensor& targets_N,
                           std::int64_t first_column) override;
  void cross_entropy_join(Tensor& sums, Tensor& lse_N, const Tensor& parts_tN3,
                          const Tensor& targets_N) override;
  void cross_entropy_backward(Tensor& dlogits, const Tensor& logits_NV, const Tensor& targets_N,
                              const Tensor& lse_N, const Tensor& scale,
                              std::int64_t first_column) override;
  void sum_rows(Tensor& y_C, const Tensor& x_NC) override;
  void squared_norms(Tensor& sums, std::span<const Tensor> xs) override;
  void adamw(std::span<const AdamTensors> parameters, const AdamArgs& args) override;
  void lamb_moments(Tensor& squares, std::span<const AdamTensors> parameters,
                    const AdamArgs& args) override;
  void lamb_apply(std::span<const AdamTensors> parameters, const Tensor& squares,
                  const AdamArgs& args) override;

 private:
  // Does the call and adds what describe() tells, asked afterwards, with its times.
  template <class Call, class Describe>
  void record(const Call& call, const Describe& describe);
  template <class Call, class Count>
  void timed(const char* name, DType dtype, const Call& call, const Count& count);
  // One pass over these tensors.
  template <class Call>
  void timed_pass(const char* name, const Call& call, std::initializer_list<const Tensor*> tensors);
  void settle();  // the times of all calls so far, when the device has done them

  Backend& inner_;
  std::unique_ptr<DeviceTimer> timer_;
  std::vector<Span> unsettled_;  // between two marks each
  double first_mark_ = 0;
};

}  // namespace weft
