// THE page: every kernel the framework needs. To port Weft to a device is to write this class.
//
// Conventions: outputs first, already allocated; shapes were checked by the ops; kernels never see
// Var. Unless stated otherwise floating tensors of one call share one dtype (f32 or bf16) and
// arithmetic is done in fp32. Parameter gradients (dw, dbias, dgamma ...) are f32 whatever the
// compute dtype. Suffixes: N rows, C columns, B batch, T tokens, h heads, d head size, V
// vocabulary.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "core/base/philox.hpp"
#include "core/tensor/tensor.hpp"

namespace weft {

enum class Activation { gelu, gelu_tanh, relu, tanh };

// Inverted dropout: element i of the call is kept iff philox_u32(key, first_element + i) >=
// drop_threshold(p), and then scaled by 1 / (1 - p). p = 0 is the identity.
struct Dropout {
  float p = 0;
  PhiloxKey key = {};
  std::uint64_t first_element = 0;  // position of element 0 in the global tensor
  Tensor step = {};  // i32 [1], or empty: stands for key.step when the kernel runs (see capture)
};

// What a kernel reads the step from: null where it is the key's own.
inline const std::int32_t* step_of(const Tensor& step) {
  return step ? step.data<std::int32_t>() : nullptr;
}

// c[M, N] = f(op(a) op(b) + bias (+ c)), f the identity unless asked for. a, b share a dtype; c has
// it too or is f32; bias has b's dtype.
struct MatmulArgs {
  bool transpose_a = false;  // a is stored [K, M]
  bool transpose_b = false;  // b is stored [N, K]: a linear layer's weight
  bool accumulate = false;   // add to what c holds
  // b changes rarely: forms derived from it may be cached by (storage id, version).
  bool b_is_weight = false;
  Tensor bias = {};  // [N], or empty
  // f32 [M], or empty; with transpose_a alone. Receives the sums of a's rows as they are stored:
  // where a is a gradient dy, the product's dw comes with its dbias.
  Tensor a_sums = {};
  // Unless before_activation [M, N], of c's dtype, is empty: it receives op(a) op(b) + bias, which
  // the backward of f needs, and c is f of that, from the product's own kernel. For an f that the
  // backend fuses (fuses_activation), with a bias and without accumulate.
  Activation activation = Activation::gelu;
  Tensor before_activation = {};
};

// Multi-head attention over a fused projection.
struct AttentionArgs {
  std::int64_t heads = 1;  // on this rank
  float scale = 1;         // scores are q k^T * scale
  bool causal = false;
  // u8, 1 = may be attended to; empty = all. A row without keys gives zeros.
  Tensor key_mask_BT = {};
  bool keys_are_prefix = false;  // each row of the mask is 1 ... 1 0 ... 0: padding at the end
  // Dropout of the probability of (b, h, i, j): element
  // (((first_sample + b) * total_heads + first_head + h) * T + i) * T + j of the global tensor.
  float dropout_p = 0;
  PhiloxKey dropout_key = {};
  Tensor dropout_step = {};  // as Dropout::step
  std::int64_t first_sample = 0;
  std::int64_t first_head = 0;
  std::int64_t total_heads = 1;
};

// One parameter of an update, all tensors [n]. w, m, v and the gradient g are f32; copy (in the
// compute dtype, or empty) receives the new w.
struct AdamTensors {
  Tensor w, m, v, copy, g;
  float weight_decay = 0;
};

struct AdamArgs {
  float lr = 0, eps = 1e-6F;
  float grad_scale = 1;               // multiplies the gradient: clipping, 1 / count
  double beta1 = 0.9, beta2 = 0.999;  // double, for 1 - beta loses digits in float
  double correction1 = 1;             // 1 - beta1^t, or 1 without bias correction
  double correction2 = 1;             // 1 - beta2^t, or 1
};

// Captured work of a device, which can be done again and again on the same memory.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
  virtual void replay() = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;

  // ---- between host and device ------------------------------------------------------------------
  // Work on a device is only begun by the calls of this page, and done in their order; what the
  // host sees of it, it sees through these.
  virtual void upload(Tensor& device, const Tensor& host) = 0;  // host may change afterwards
  // Waits once, for all of them.
  virtual void download(std::span<Tensor> hosts, std::span<const Tensor> devices) = 0;
  virtual void synchronize() = 0;  // until all is done

  // Calls issue(), and keeps the work that it issues to the device instead of doing it: replay()
  // does it, at the price of one call. What changes from one replay to the next is in tensors that
  // were there before, and uploaded to before a replay: issue() itself can neither upload nor
  // download. Tensors that it makes hold what the last replay left in them. Throws Error on a
  // device without graphs and when a call cannot be captured; then the device keeps nothing of it.
  virtual std::unique_ptr<DeviceGraph> capture(const std::function<void()>& issue) = 0;

  // ---- elementwise -----------------------------------------------------------------------------
  virtual void fill(Tensor& x, float value) = 0;
  // Converts between floating dtypes. One of y and x may be on the host when this is a device's
  // backend; the CPU's refuses other devices' tensors.
  virtual void copy(Tensor& y, const Tensor& x) = 0;
  // y may be a or b; a, b any floating dtype.
  virtual void add(Tensor& y, const Tensor& a, const Tensor& b) = 0;
  virtual void scale(Tensor& y, const Tensor& x, float alpha) = 0;  // y may be x

  virtual void activation_forward(Tensor& y, const Tensor& x, Activation f) = 0;
  virtual void activation_backward(Tensor& dx, const Tensor& dy, const Tensor& x, Activation f) = 0;
  // y = f(x + bias), x [N, C]
  virtual void bias_activation_forward(Tensor& y, const Tensor& x, const Tensor& bias,
                                       Activation f) = 0;
  virtual void bias_activation_backward(Tensor& dx, Tensor& dbias, const Tensor& dy,
                                        const Tensor& x, const Tensor& bias, Activation f) = 0;

  // y = dropout(x); the backward is the same call on dy. y may be x.
  virtual void dropout(Tensor& y, const Tensor& x, const Dropout& dropout) = 0;

  // ---- matrix products -------------------------------------------------------------------------
  virtual void matmul(Tensor& c, const Tensor& a, const Tensor& b, const MatmulArgs& args) = 0;
  // Whether products have this function for MatmulArgs::activation: elsewhere it is faster to leave
  // the bias to bias_activation_forward.
  virtual bool fuses_activation(Activation f, DType dtype) const = 0;

  // out [B, T, h d] from qkv [B, T, 3 h d] (all q, then all k, then all v); lse_BhT f32 holds the
  // row's log-sum-exp of the masked, scaled scores. Nothing of size T x T is kept.
  virtual void attention_forward(Tensor& out, Tensor& lse_BhT, const Tensor& qkv,
                                 const AttentionArgs& args) = 0;
  virtual void attention_backward(Tensor& dqkv, const Tensor& dout, const Tensor& qkv,
                                  const Tensor& out, const Tensor& lse_BhT,
                                  const AttentionArgs& args) = 0;

  // ---- normalisation ---------------------------------------------------------------------------
  // y = (x - mean) * rstd * gamma + beta by rows of C; mean_N, rstd_N f32.
  virtual void layer_norm_forward(Tensor& y, Tensor& mean_N, Tensor& rstd_N, const Tensor& x,
                                  const Tensor& gamma, const Tensor& beta, float eps) = 0;
  virtual void layer_norm_backward(Tensor& dx, Tensor& dgamma, Tensor& dbeta, const Tensor& dy,
                                   const Tensor& x, const Tensor& mean_N, const Tensor& rstd_N,
                                   const Tensor& gamma) = 0;
  // sum = residual + dropout(x + bias); y = layer_norm(sum). bias may be empty.
  struct ResidualNorm {
    Tensor x, bias, residual, gamma, beta;
    float eps = 1e-12F;
    Dropout dropout;
  };
  virtual void residual_norm_forward(Tensor& y, Tensor& sum, Tensor& mean_N, Tensor& rstd_N,
                                     const ResidualNorm& in) = 0;
  // dresidual is the gradient of sum; dx = dropout(dresidual); dbias (unless empty) its column
  // sums.
  virtual void residual_norm_backward(Tensor& dx, Tensor& dresidual, Tensor& dbias, Tensor& dgamma,
                                      Tensor& dbeta, const Tensor& dy, const Tensor& sum,
                                      const Tensor& mean_N, const Tensor& rstd_N,
                                      const Tensor& gamma, const Dropout& dropout) = 0;

  // ---- rows ------------------------------------------------------------------------------------
  // y[n] = x[index[n] - first_row], or zeros where that row is not in x [R, C]: embeddings, a
  // rank's part of a vocabulary, the masked places of a batch. index i32 [N].
  virtual void gather_rows(Tensor& y, const Tensor& x, const Tensor& index,
                           std::int64_t first_row) = 0;
  // dx = 0, unless `accumulate`; dx[index[n] - first_row] += dy[n], in the order of n:
  // deterministic. dx may be f32 when dy is not.
  virtual void scatter_add_rows(Tensor& dx, const Tensor& dy, const Tensor& index,
                                std::int64_t first_row, bool accumulate) = 0;

  // y[i] = i % period * stride, i32: positions, or the first row of each sample.
  virtual void count_up(Tensor& y, std::int64_t period, std::int64_t stride) = 0;

  // ---- cross entropy over (a rank's slice of) the vocabulary -----------------------------------
  // parts_N3 f32: per row the maximum, the sum of exp(logit - maximum), and the target's logit
  // (-inf where the target is not in [first_column, first_column + V)). targets i32 [N]; a negative
  // one is ignored.
  virtual void cross_entropy_parts(Tensor& parts_N3, const Tensor& logits_NV,
                                   const Tensor& targets_N, std::int64_t first_column) = 0;
  // Joins the parts of t ranks. sums f32 [2]: the summed loss, and how many targets have the
  // highest logit; lse_N f32.
  virtual void cross_entropy_join(Tensor& sums, Tensor& lse_N, const Tensor& parts_tN3,
                                  const Tensor& targets_N) = 0;
  // dlogits = (exp(logits - lse) - onehot(target)) * scale[0], zero in ignored rows; may be logits
  // itself.
  virtual void cross_entropy_backward(Tensor& dlogits, const Tensor& logits_NV,
                                      const Tensor& targets_N, const Tensor& lse_N,
                                      const Tensor& scale, std::int64_t first_column) = 0;

  // ---- reductions: the same bits for any thread count ------------------------------------------
  virtual void sum_rows(Tensor& y_C, const Tensor& x_NC) = 0;  // y f32: a bias gradient
  // sums[i] = the sum of squares of xs[i]; sums f64 [n]. NaN and Inf come through.
  virtual void squared_norms(Tensor& sums, std::span<const Tensor> xs) = 0;

  // ---- optimizers ------------------------------------------------------------------------------
  virtual void adamw(std::span<const AdamTensors> parameters, const AdamArgs& args) = 0;
  // LAMB, first half: m, v updated; squares f64 [n, 2], |w|^2 and |u|^2 of each of n parameters,
  // u being the direction that m and v give now, with the decay.
  virtual void lamb_moments(Tensor& squares, std::span<const AdamTensors> parameters,
                            const AdamArgs& args) = 0;
  // LAMB, second half: w -= lr ratio u, u made again and ratio = |w| / |u|, 1 where either is 0. No
  // gradient is read.
  virtual void lamb_apply(std::span<const AdamTensors> parameters, const Tensor& squares,
                          const AdamArgs& args) = 0;
};

// The backend of a device; created at first use, lives as long as the process.
Backend& backend(Device device);
inline Backend& backend(const Tensor& x) { return backend(x.device()); }

}  // namespace weft
