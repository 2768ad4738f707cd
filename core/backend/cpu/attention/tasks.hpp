// Shares attention's heads out among threads.
#pragma once

#include "core/backend/cpu/attention/head.hpp"
#include "core/backend/cpu/loops.hpp"
#include "core/tensor/memory_use.hpp"

namespace weft {

// Runs f(b, h, part, scratch) for each sample, head and part of a head. Always inside of a parallel
// region, which keeps oneDNN to one thread per product: the bits do not depend on the number of
// threads.
template <class F>
void for_each_part(const AttentionSizes& z, std::int64_t parts, std::size_t scratch_bytes, F&& f) {
  const MemoryScope scratch_scope(MemoryUse::workspace);
  const auto per_thread = static_cast<std::int64_t>((scratch_bytes + 127) / 64 * 64);
  const Tensor scratch({omp_get_max_threads() * per_thread}, DType::u8);
#pragma omp parallel
  {
    auto* own = static_cast<std::byte*>(scratch.raw()) + omp_get_thread_num() * per_thread;
#pragma omp for schedule(dynamic)
    for (std::int64_t task = 0; task < z.B * z.heads * parts; ++task) {
      const std::int64_t head = task / parts;
      f(head / z.heads, head % z.heads, task % parts, own);
    }
  }
}

}  // namespace weft
