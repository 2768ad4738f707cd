// Choosing attention's kernels by what the CPU can do.
#include "core/backend/cpu/attention/choice.hpp"

#include <algorithm>
#include <atomic>

#include "core/backend/cpu/onednn.hpp"

namespace weft {

namespace {

std::atomic<std::optional<AttentionPath>> wanted;

}  // namespace

std::vector<AttentionPath> attention_paths(DType dtype) {
  std::vector<AttentionPath> paths{AttentionPath::onednn, AttentionPath::baseline};
  if (cpu_has_avx512()) paths.push_back(AttentionPath::avx512);
  if (dtype == DType::bf16 && cpu_has_bf16()) paths.push_back(AttentionPath::avx512_bf16);
  return paths;
}

AttentionPath attention_path(DType dtype) {
  const std::vector<AttentionPath> paths = attention_paths(dtype);
  const std::optional<AttentionPath> asked = wanted;
  if (asked && std::ranges::count(paths, *asked) > 0) return *asked;
  // AMX multiplies bf16 several times faster than AVX512_BF16, and only oneDNN uses it.
  if (dtype == DType::bf16 && cpu_has_amx()) return AttentionPath::onednn;
  return paths.back();
}

void set_attention_path(std::optional<AttentionPath> path) { wanted = path; }

}  // namespace weft
