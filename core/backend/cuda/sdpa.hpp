// Attention by cuDNN over a fused projection ("scaled dot product attention" in its words).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <cuda_runtime.h>

#include "core/backend/backend.hpp"
#include "core/backend/cuda/attention_graph.hpp"
#include "core/backend/cuda/cudnn_graph.hpp"

namespace weft {

class Sdpa {
 public:
  // Begins the computation on `stream` and returns "". Otherwise nothing was begun, and the text is
  // why cuDNN cannot do it. Forward and backward of the same arguments are decided alike where it
  // matters: with dropout, as cuDNN's mask is its own.
  std::string forward(Tensor& out, Tensor& lse_BhT, const Tensor& qkv, const AttentionArgs& args,
                      bool deterministic, cudaStream_t stream);
  std::string backward(Tensor& dqkv, const Tensor& dout, const Tensor& qkv, const Tensor& out,
                       const Tensor& lse_BhT, const AttentionArgs& args, bool deterministic,
                       cudaStream_t stream);

 private:
  // One direction of a signature: planned, refused, or not asked for yet.
  struct Direction {
    std::unique_ptr<GraphPlan> plan;
    std::string refusal;
  };
  struct Plans {
    Direction forward, backward;
  };

  const Direction& choose(bool backward, const AttentionSignature& signature);
  void try_to_plan(Direction& direction, bool backward, const AttentionSignature& signature);

  std::mutex mutex_;
  std::optional<GraphEngine> engine_;  // made at first use
  std::map<AttentionSignature, Plans> plans_;
};

}  // namespace weft
