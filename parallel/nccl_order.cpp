// One order for the operations of all NCCL communicators of a GPU.
#include "parallel/nccl_order.hpp"

#include <cstdlib>

#include <nccl.h>

namespace weft {

namespace {

constexpr const char* kVariable = "NCCL_LAUNCH_ORDER_IMPLICIT";
constexpr int kFirstVersion = 22600;  // that knows the variable

bool ordered_by_nccl() {
  int version = 0;
  if (ncclGetVersion(&version) != ncclSuccess || version < kFirstVersion) return false;
  const char* const wanted = std::getenv(kVariable);
  if (wanted != nullptr && *wanted != '\0') return std::atoi(wanted) != 0;
  setenv(kVariable, "1", 1);
  return true;
}

}  // namespace

NcclOrder::NcclOrder() : by_nccl_(ordered_by_nccl()) {}

// What was captured before is no work of its own, and a capture begins on an idle device: events
// order what is on one side.
void NcclOrder::before(cudaStream_t stream) {
  if (by_nccl_ || !any_) return;
  if (capture_of(stream) == capture_) last_.make_wait(stream);
}

void NcclOrder::after(cudaStream_t stream) {
  if (by_nccl_) return;
  any_ = true;
  capture_ = capture_of(stream);
  last_.record(stream);
}

unsigned long long capture_of(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  unsigned long long id = 0;
  check_cuda(cudaStreamGetCaptureInfo(stream, &status, &id), "asking for a capture");
  return status == cudaStreamCaptureStatusNone ? 0 : id;
}

}  // namespace weft
