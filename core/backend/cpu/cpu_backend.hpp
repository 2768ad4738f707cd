// The CPU backend: oneDNN for matrix products, own loops for the rest. Each kernel's body is in the
// file of its family.
#pragma once

#include <memory>

#include "core/backend/backend.hpp"

namespace weft {

class CpuBackend final : public Backend {
 public:
  CpuBackend();
  ~CpuBackend() override;
  std::string_view name() const override { return "cpu"; }

  void upload(Tensor& device, const Tensor& host) override;
  void download(std::span<Tensor> hosts, std::span<const Tensor> devices) override;
  void synchronize() override {}
  std::unique_ptr<DeviceGraph> capture(const std::function<void()>& issue) override;
  void fill(Tensor& x, float value) override;
  void copy(Tensor& y, const Tensor& x) override;
  void add(Tensor& y, const Tensor& a, const Tensor& b) override;
  void scale(Tensor& y, const Tensor& x, float alpha) override;
  void activation_forward(Tensor& y, const Tensor& x, Activation f) override;
  void activation_backward(Tensor& dx, const Tensor& dy, const Tensor& x, Activation f) override;
  void bias_activation_forward(Tensor& y, const Tensor& x, const Tensor& bias,
                               Activation f) override;
  void bias_activation_backward(Tensor& dx, Tensor& dbias, const Tensor& dy, const Tensor& x,
                                const Tensor& bias, Activation f) override;
  void dropout(Tensor& y, const Tensor& x, const Dropout& dropout) override;
  void matmul(Tensor& c, const Tensor& a, const Tensor& b, const MatmulArgs& args) override;
  bool fuses_activation(Activation, DType) const override { return false; }
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
  void count_up(Tensor& y, std::int64_t period, std::int64_t stride) override;
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
  struct OneDnn;  // compiled products and packed weights; onednn_state.hpp
  std::unique_ptr<OneDnn> onednn_;
};

}  // namespace weft
