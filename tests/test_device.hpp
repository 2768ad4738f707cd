// The device that the tests of this process run on.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "core/backend/cuda.hpp"
#include "core/tensor/device.hpp"

namespace weft {

// The CPU, or with WEFT_TEST_DEVICE=cuda a GPU that the program has, a real or an emulated one: the
// first, but the ranks of mpirun take them in turn.
inline Device test_device() {
  static const Device device = [] {
    const char* const name = std::getenv("WEFT_TEST_DEVICE");
    const std::string wanted = name == nullptr ? "cpu" : name;
    if (wanted == "cpu") return Device{};
    if (wanted == "cuda") {
      const char* const rank = std::getenv("OMPI_COMM_WORLD_LOCAL_RANK");
      const int gpus = std::max(1, cuda_device_count());
      return Device{DeviceType::cuda, rank == nullptr ? 0 : std::atoi(rank) % gpus};
    }
    throw std::invalid_argument("WEFT_TEST_DEVICE=" + wanted + ": give cpu or cuda");
  }();
  return device;
}

inline bool on_cpu() { return test_device().type == DeviceType::cpu; }

inline Backend& test_backend() { return backend(test_device()); }

// Suites of tests that are about the CPU's kernels alone have names that end in OnCpu.
inline constexpr const char* kSuitesOnCpu = "*OnCpu.*";

// GoogleTest's filter without these suites, too.
inline std::string filter_without(const std::string& suites, const std::string& filter) {
  return filter + (filter.find('-') == std::string::npos ? "-" : ":") + suites;
}

// Why no test can run, or "".
inline std::string missing_test_device() {
  return on_cpu() || cuda_device_count() > 0 ? "" : cuda_report().problem;
}

// What a program without its device returns: ctest counts it as skipped (SKIP_RETURN_CODE).
inline constexpr int kSkipped = 77;

}  // namespace weft
