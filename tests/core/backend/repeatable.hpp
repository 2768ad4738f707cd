// Whether a kernel gives the same bits each time: on the CPU with 1, 2 and 3 threads, on a device
// in two runs.
#pragma once

#include <functional>
#include <vector>

#include <omp.h>

#include "tests/core/tensor_helpers.hpp"

namespace weft {

// `compute` runs the kernel on fresh outputs and returns them. Take enough elements (100,000) that
// the work is shared out, and sizes that do not divide.
inline testing::AssertionResult repeatable(const std::function<std::vector<Tensor>()>& compute) {
  const int before = omp_get_max_threads();
  std::vector<std::vector<Tensor>> results;
  const std::vector<int> runs = on_cpu() ? std::vector{1, 2, 3} : std::vector{before, before};
  for (const int threads : runs) {
    omp_set_num_threads(threads);
    results.push_back(compute());
  }
  omp_set_num_threads(before);
  for (const std::vector<Tensor>& result : results) {
    for (std::size_t i = 0; i < result.size(); ++i) {
      const auto same = same_bits(result[i], results[0][i]);
      if (!same) return testing::AssertionFailure() << "output " << i << ": " << same.message();
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace weft
