// Reads the emulator's environment variables; a value that makes no sense ends the program.
#include "tests/cuda_emulator/settings.hpp"

#include <cstdlib>
#include <string_view>

#include "tests/cuda_emulator/fail.hpp"

namespace cuda_emulator {

namespace {

std::size_t number_from(const char* variable, std::size_t otherwise) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return otherwise;
  char* end = nullptr;
  const std::size_t value = std::strtoull(text, &end, 10);
  if (end == text || *end != 0) fail(std::string(variable) + "=" + text + " is no number");
  return value;
}

ThreadOrder order_from_environment() {
  const char* text = std::getenv("CUDA_EMULATOR_ORDER");
  const std::string_view order = text == nullptr ? "forward" : text;
  if (order == "forward") return ThreadOrder::forward;
  if (order == "reverse") return ThreadOrder::reverse;
  if (order == "random") return ThreadOrder::random;
  fail("CUDA_EMULATOR_ORDER must be forward, reverse or random");
}

bool eager_from_environment() {
  const char* text = std::getenv("CUDA_EMULATOR_STREAMS");
  const std::string_view streams = text == nullptr ? "late" : text;
  if (streams != "late" && streams != "eager") fail("CUDA_EMULATOR_STREAMS must be late or eager");
  return streams == "eager";
}

Settings read_environment() {
  Settings s;
  s.devices = static_cast<int>(number_from("WEFT_EMULATED_GPUS", 1));
  s.device_bytes = number_from("WEFT_EMULATED_GPU_MEMORY", s.device_bytes);
  s.multiprocessors = static_cast<int>(number_from("WEFT_EMULATED_SMS", 4));
  s.order = order_from_environment();
  s.eager_streams = eager_from_environment();
  if (const char* text = std::getenv("CUDA_EMULATOR_DROP_BARRIER")) {
    const std::string site = text;
    const std::size_t colon = site.rfind(':');
    if (colon == std::string::npos) fail("CUDA_EMULATOR_DROP_BARRIER must be file:line");
    s.dropped_file = site.substr(0, colon);
    s.dropped_line = static_cast<unsigned>(std::strtoul(site.c_str() + colon + 1, nullptr, 10));
  }
  if (const char* text = std::getenv("WEFT_KERNEL_REPORT")) s.report = text;
  return s;
}

}  // namespace

const Settings& settings() {
  static const Settings s = read_environment();
  return s;
}

}  // namespace cuda_emulator
