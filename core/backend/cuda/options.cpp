// What all GPUs of the process share: options, and notices for the user.
#include "core/backend/cuda/options.hpp"

#include <mutex>
#include <set>
#include <utility>

namespace weft {

namespace {

struct Shared {
  std::mutex mutex;
  CudaOptions options;
  std::set<std::string> given;
  std::vector<std::string> waiting;
};

Shared& shared() {
  static auto* one = new Shared;
  return *one;
}

}  // namespace

void set_cuda_options(const CudaOptions& options) {
  const std::lock_guard lock(shared().mutex);
  shared().options = options;
}

CudaOptions cuda_options() {
  const std::lock_guard lock(shared().mutex);
  return shared().options;
}

void give_cuda_notice(const std::string& text) {
  const std::lock_guard lock(shared().mutex);
  if (shared().given.insert(text).second) shared().waiting.push_back(text);
}

std::vector<std::string> take_cuda_notices() {
  const std::lock_guard lock(shared().mutex);
  return std::exchange(shared().waiting, {});
}

}  // namespace weft
