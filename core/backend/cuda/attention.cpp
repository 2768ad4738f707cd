// Attention: cuDNN's kernels where they serve, Weft's own elsewhere.
#include "core/backend/cuda/cuda_backend.hpp"
#include "core/backend/cuda/options.hpp"
#include "core/backend/cuda/sdpa.hpp"
#include "core/backend/cuda/tiled_attention.hpp"

namespace weft {

namespace {

// The options keep cuDNN away from this call.
bool wants_exact_dropout(const CudaOptions& options, const AttentionArgs& args) {
  return options.exact_attention_dropout && args.dropout_p > 0;
}

void tell(const Tensor& qkv, const AttentionArgs& args, const std::string& why) {
  const std::int64_t d = qkv.shape().last() / (3 * args.heads);
  give_cuda_notice("attention, " + std::string(name_of(qkv.dtype())) + ", " +
                   std::to_string(args.heads) + " heads of " + std::to_string(d) + ", T " +
                   std::to_string(qkv.shape()[1]) + ": by Weft's own kernel, not cuDNN's: " + why);
}

}  // namespace

void CudaBackend::attention_forward(Tensor& out, Tensor& lse_BhT, const Tensor& qkv,
                                    const AttentionArgs& args) {
  if (qkv.numel() == 0) return;
  const CudaOptions options = cuda_options();
  if (!wants_exact_dropout(options, args)) {
    const std::string why =
        sdpa_->forward(out, lse_BhT, qkv, args, options.deterministic, stream());
    if (why.empty()) return;
    tell(qkv, args, why);
  }
  tiled_attention_forward(out, lse_BhT, qkv, args, stream());
}

void CudaBackend::attention_backward(Tensor& dqkv, const Tensor& dout, const Tensor& qkv,
                                     const Tensor& out, const Tensor& lse_BhT,
                                     const AttentionArgs& args) {
  if (qkv.numel() == 0) return;
  const CudaOptions options = cuda_options();
  if (!wants_exact_dropout(options, args)) {
    const std::string why =
        sdpa_->backward(dqkv, dout, qkv, out, lse_BhT, args, options.deterministic, stream());
    if (why.empty()) return;
    tell(qkv, args, why);
  }
  tiled_attention_backward(dqkv, dout, qkv, out, lse_BhT, args, stream());
}

}  // namespace weft
