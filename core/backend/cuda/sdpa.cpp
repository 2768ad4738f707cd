// Attention by cuDNN over a fused projection: plans by signature, and the memory they run on.
#include "core/backend/cuda/sdpa.hpp"

#include <vector>

#include "core/backend/cuda/dispatch.hpp"
#include "core/backend/cuda/runtime.hpp"
#include "core/backend/cuda/sdpa_limits.hpp"
#include "core/backend/cuda/sdpa_padding.hpp"
#include "core/tensor/memory_use.hpp"

namespace weft {

namespace {

constexpr int kAlignment = 16;

AttentionSignature signature_of(const Tensor& qkv, const AttentionArgs& args, bool deterministic) {
  const std::int64_t T = qkv.shape()[1], width = qkv.shape()[2] / 3;
  return {.dtype = qkv.dtype(),
          .B = qkv.shape()[0],
          .heads = args.heads,
          .kv_heads = args.heads,
          .T = T,
          .kv_T = T,
          .d = width / args.heads,
          .q_stride = 3 * width,
          .kv_stride = 3 * width,
          .out_stride = width,
          .causal = args.causal,
          .padded = static_cast<bool>(args.key_mask_BT),
          .deterministic = deterministic,
          .dropout_p = args.dropout_p,
          .scale = args.scale};
}

// Why cuDNN is not asked at all; "" when it is. Only of what both directions are given.
std::string outside_of_cudnn(const Tensor& qkv, const Tensor& out, const Tensor& lse_BhT,
                             const AttentionArgs& args) {
  if (qkv.dtype() == DType::f32) return "it is in f32";
  if (args.key_mask_BT && !args.keys_are_prefix)
    return "it hides keys that are not padding at the end";
  const std::int64_t width = qkv.shape().last() / 3;
  const bool aligned = width * static_cast<std::int64_t>(size_of(qkv.dtype())) % kAlignment == 0 &&
                       aligned_for(kAlignment, qkv) && aligned_for(kAlignment, out) &&
                       aligned_for(kAlignment, lse_BhT);
  return aligned ? "" : "its memory is not aligned to 16 bytes";
}

// Memory for the length of a call: the stream's order lets it be used again right afterwards.
class Workspace {
 public:
  explicit Workspace(Device device) : device_(device) {}
  void* bytes(std::size_t n) {
    if (n == 0) return nullptr;
    return kept_.emplace_back(Shape{static_cast<std::int64_t>(n)}, DType::u8, device_).raw();
  }
  template <class T>
  T* elements(std::int64_t n) {
    return static_cast<T*>(bytes(static_cast<std::size_t>(n) * sizeof(T)));
  }

 private:
  Device device_;
  std::vector<Tensor> kept_;
};

using Bindings = std::vector<graph::Binding>;

void* third(const Tensor& qkv, std::size_t part) {
  const std::size_t row = static_cast<std::size_t>(qkv.shape()[2] / 3) * size_of(qkv.dtype());
  return static_cast<std::byte*>(qkv.raw()) + part * row;
}

// What forward and backward read.
Bindings inputs_of(Workspace& workspace, const Tensor& qkv, const AttentionArgs& args,
                   cudaStream_t stream) {
  Bindings memory = {{kQuery, third(qkv, 0)}, {kKey, third(qkv, 1)}, {kValue, third(qkv, 2)}};
  const bool drops = args.dropout_p > 0, padded = static_cast<bool>(args.key_mask_BT);
  if (!drops && !padded) return memory;
  const std::int64_t B = padded ? qkv.shape()[0] : 0;
  const SdpaInputs inputs{.seed = workspace.elements<std::uint64_t>(1),
                          .offset = workspace.elements<std::uint64_t>(1),
                          .query_lengths = workspace.elements<std::int32_t>(B),
                          .key_lengths = workspace.elements<std::int32_t>(B)};
  write_sdpa_inputs(inputs, SdpaSeed(args), args.key_mask_BT, stream);
  if (drops) {
    memory.push_back({kSeed, inputs.seed});
    memory.push_back({kOffset, inputs.offset});
  }
  if (padded) {
    memory.push_back({kQueryLengths, inputs.query_lengths});
    memory.push_back({kKeyLengths, inputs.key_lengths});
  }
  return memory;
}

int compute_capability_major() {
  int device = 0, major = 0;
  check_cuda(cudaGetDevice(&device), "asking for the device");
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
             "asking for the compute capability");
  return major;
}

void copy_bytes(const Tensor& to, const Tensor& from, cudaStream_t stream) {
  check_cuda(cudaMemcpyAsync(to.raw(), from.raw(), from.bytes(), cudaMemcpyDeviceToDevice, stream),
             "copying a gradient");
}

}  // namespace

void Sdpa::try_to_plan(Direction& direction, bool backward, const AttentionSignature& signature) {
  if (direction.plan || !direction.refusal.empty()) return;
  const std::string beyond =
      beyond_sdpa(signature, backward, cudnn_number(), compute_capability_major());
  if (!beyond.empty()) {
    direction.refusal = "cuDNN " + cudnn_version() + ": " + beyond;
    return;
  }
  if (!engine_) engine_.emplace();
  graph::Graph graph;
  (backward ? attention_backward_graph : attention_forward_graph)(graph, signature);
  try {
    direction.plan = engine_->plan(graph);
  } catch (const GraphRefused& refused) {
    direction.refusal = refused.what();
  }
}

const Sdpa::Direction& Sdpa::choose(bool backward, const AttentionSignature& signature) {
  const std::lock_guard lock(mutex_);
  Plans& plans = plans_[signature];
  const bool both = signature.dropout_p > 0;
  if (both || !backward) try_to_plan(plans.forward, false, signature);
  if (both || backward) try_to_plan(plans.backward, true, signature);
  const Direction& other = backward ? plans.forward : plans.backward;
  if (both && !other.plan) return other;
  return backward ? plans.backward : plans.forward;
}

std::string Sdpa::forward(Tensor& out, Tensor& lse_BhT, const Tensor& qkv,
                          const AttentionArgs& args, bool deterministic, cudaStream_t stream) {
  std::string why = outside_of_cudnn(qkv, out, lse_BhT, args);
  if (!why.empty()) return why;
  const Direction& chosen = choose(false, signature_of(qkv, args, deterministic));
  if (!chosen.plan) return chosen.refusal;
  const MemoryScope scratch_scope(MemoryUse::workspace);
  Workspace workspace(qkv.device());
  Bindings memory = inputs_of(workspace, qkv, args, stream);
  memory.push_back({kOut, out.raw()});
  memory.push_back({kLse, lse_BhT.raw()});
  chosen.plan->run(memory, workspace.bytes(chosen.plan->workspace_bytes()), stream);
  if (args.key_mask_BT) clear_empty_samples(out, lse_BhT, args.key_mask_BT, stream);
  return "";
}

std::string Sdpa::backward(Tensor& dqkv, const Tensor& dout, const Tensor& qkv, const Tensor& out,
                           const Tensor& lse_BhT, const AttentionArgs& args, bool deterministic,
                           cudaStream_t stream) {
  std::string why = outside_of_cudnn(qkv, out, lse_BhT, args);
  if (!why.empty()) return why;
  const Direction& chosen = choose(true, signature_of(qkv, args, deterministic));
  if (!chosen.plan) return chosen.refusal;

  // Gradients may be views of anything; when such a view is not aligned, a copy is.
  const bool dout_aligned = aligned_for(kAlignment, dout);
  const bool dqkv_aligned = aligned_for(kAlignment, dqkv);
  const MemoryScope scratch_scope(MemoryUse::workspace);
  const Tensor dy = dout_aligned ? dout : empty_like(dout);
  Tensor dx = dqkv_aligned ? dqkv : empty_like(dqkv);
  if (!dout_aligned) copy_bytes(dy, dout, stream);

  Workspace workspace(qkv.device());
  Bindings memory = inputs_of(workspace, qkv, args, stream);
  const Bindings more = {{kOut, out.raw()},
                         {kLse, lse_BhT.raw()},
                         {kDout, dy.raw()},
                         {kDquery, third(dx, 0)},
                         {kDkey, third(dx, 1)},
                         {kDvalue, third(dx, 2)},
                         {kRowSums, workspace.elements<float>(lse_BhT.numel())}};
  memory.insert(memory.end(), more.begin(), more.end());
  if (!deterministic) memory.push_back({kDquerySums, workspace.elements<float>(out.numel())});
  chosen.plan->run(memory, workspace.bytes(chosen.plan->workspace_bytes()), stream);
  if (args.key_mask_BT) clear_padding_gradients(dx, args.key_mask_BT, stream);
  if (!dqkv_aligned) copy_bytes(dqkv, dx, stream);
  return "";
}

}  // namespace weft
