// Marks are events of the compute stream: the device itself takes the time, and nobody waits.
#include "core/backend/device_timer.hpp"

#include "core/backend/cuda/runtime.hpp"

namespace weft {

namespace {

class CudaTimer final : public DeviceTimer {
 public:
  explicit CudaTimer(int device) : runtime_(CudaRuntime::of(device)) {}

  void mark() override {
    if (used_ == events_.size()) events_.push_back(std::make_unique<CudaEvent>(true));
    events_[used_++]->record(runtime_.stream());
  }

  std::vector<double> seconds_between() override {
    std::vector<double> seconds;
    if (used_ > 0) events_[used_ - 1]->wait();
    for (std::size_t i = 1; i < used_; ++i)
      seconds.push_back(events_[i]->milliseconds_since(*events_[i - 1]) / 1000.0);
    used_ = 0;
    return seconds;
  }

 private:
  CudaRuntime& runtime_;
  std::vector<std::unique_ptr<CudaEvent>> events_;  // of which the first `used_` are marks
  std::size_t used_ = 0;
};

}  // namespace

std::unique_ptr<DeviceTimer> cuda_timer(int index) { return std::make_unique<CudaTimer>(index); }

}  // namespace weft
