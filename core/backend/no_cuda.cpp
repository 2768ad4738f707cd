// A build without the CUDA backend.
#include "core/backend/cuda.hpp"
#include "core/backend/device_timer.hpp"
#include "core/backend/range.hpp"
#include "core/base/error.hpp"

namespace weft {

namespace {

constexpr const char* kProblem = "this build has no CUDA backend";
constexpr const char* kHint = "build with cmake --preset cuda, or use --device cpu";

}  // namespace

CudaReport cuda_report() {
  CudaReport report;
  report.problem = kProblem;
  report.hint = kHint;
  return report;
}

int cuda_device_count() { return 0; }
void set_cuda_options(const CudaOptions&) {}
std::vector<std::string> take_cuda_notices() { return {}; }

Backend& cuda_backend(int) { throw Error(kProblem, kHint); }
Allocator& cuda_allocator(int) { throw Error(kProblem, kHint); }
std::unique_ptr<DeviceTimer> cuda_timer(int) { throw Error(kProblem, kHint); }

void begin_range(const char*) {}
void end_range() {}

}  // namespace weft
