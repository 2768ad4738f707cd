// Checks a launch as the driver does, and gives it to the stream.
#include "tests/cuda_emulator/launches.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/races.hpp"
#include "tests/cuda_emulator/report.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"
#include "tests/cuda_emulator/settings.hpp"

namespace cuda_emulator {

namespace {

// "(weft::softmax_kernel<T, 4>)" is softmax_kernel.
std::string kernel_name(std::string_view expression) {
  while (!expression.empty() && (expression.front() == '(' || expression.front() == ' '))
    expression.remove_prefix(1);
  expression = expression.substr(0, expression.find_first_of("<) "));
  const std::size_t scope = expression.rfind("::");
  return std::string(scope == std::string_view::npos ? expression : expression.substr(scope + 2));
}

std::mutex limits_mutex;
std::map<const void*, std::size_t>& shared_limits() {
  static auto* limits = new std::map<const void*, std::size_t>;
  return *limits;
}

std::size_t shared_limit(const void* function) {
  const std::scoped_lock lock(limits_mutex);
  const auto found = shared_limits().find(function);
  return found == shared_limits().end() ? kSharedBytes : std::max(kSharedBytes, found->second);
}

// What is wrong with a launch; empty when nothing is.
std::string problem(const Launch& launch) {
  const dim3 &g = launch.grid, &b = launch.block;
  const auto sizes = [](const dim3& d) { return str(uint3{d.x, d.y, d.z}); };
  if (g.x == 0 || g.y == 0 || g.z == 0 || g.x > 2147483647U || g.y > 65535 || g.z > 65535)
    return "the grid " + sizes(g) + " is empty or beyond (2147483647,65535,65535)";
  if (b.x == 0 || b.y == 0 || b.z == 0 || b.x > 1024 || b.y > 1024 || b.z > 64 ||
      std::size_t{b.x} * b.y * b.z > kMaxThreads)
    return "the block " + sizes(b) + " is empty or has more than 1024 threads";
  if (launch.shared_bytes > shared_limit(launch.function))
    return std::to_string(launch.shared_bytes) + " bytes of dynamic shared memory, but " +
           std::to_string(shared_limit(launch.function)) +
           " are allowed (cudaFuncAttributeMaxDynamicSharedMemorySize)";
  return {};
}

}  // namespace

void enqueue_launch(const Launch& launch, std::shared_ptr<const KernelCall> call) {
  const std::string name = kernel_name(launch.expression);
  if (settings().devices == 0) {
    failed(cudaErrorNoDevice);
    return;
  }
  if (const std::string wrong = problem(launch); !wrong.empty()) {
    explain("launching " + name + " at " + launch.file + ":" + std::to_string(launch.line) + ": " +
            wrong);
    failed(launch.shared_bytes > shared_limit(launch.function) ? cudaErrorInvalidValue
                                                               : cudaErrorInvalidConfiguration);
    return;
  }
  report_launch(name, launch.file);
  Grid grid{.kernel = name,
            .grid = launch.grid,
            .block = launch.block,
            .shared_bytes = launch.shared_bytes,
            .shared_limit = shared_limit(launch.function),
            .call = nullptr,
            .device = current_device()};
  append_work(launch.stream, name, [grid = std::move(grid), call = std::move(call)] {
    static std::mutex one_at_a_time;
    const std::scoped_lock lock(one_at_a_time);
    Grid running = grid;
    running.call = call.get();
    running.first_serial = first_serial(grid.grid.x * grid.grid.y * grid.grid.z);
    run_grid(running);
  });
}

}  // namespace cuda_emulator

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  using namespace cuda_emulator;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value < 0 || static_cast<std::size_t>(value) > kMaxSharedBytes) {
    explain("no kernel can have " + std::to_string(value) + " bytes of dynamic shared memory");
    return failed(cudaErrorInvalidValue);
  }
  const std::scoped_lock lock(limits_mutex);
  shared_limits()[function] = static_cast<std::size_t>(value);
  return cudaSuccess;
}
