// Which of the CPU's attention kernels to use.
#pragma once

#include <optional>
#include <vector>

#include "core/tensor/dtype.hpp"

namespace weft {

enum class AttentionPath {
  onednn,       // products by oneDNN, whole rows of scores
  baseline,     // own kernels in fp32, for the instructions the program is compiled for (AVX2)
  avx512,       // own kernels in fp32
  avx512_bf16,  // own kernels for bf16 tensors
};

// The fastest of attention_paths(dtype), or the one that was asked for.
AttentionPath attention_path(DType dtype);

// Those that this CPU has and that take tensors of the dtype. DNNL_MAX_CPU_ISA counts.
std::vector<AttentionPath> attention_paths(DType dtype);

// Makes all later calls, whose dtype it takes, use this path; none makes them choose again.
void set_attention_path(std::optional<AttentionPath> path);

}  // namespace weft
