// Messages about wrong device code, and where it stands.
#include "tests/cuda_emulator/fail.hpp"

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <link.h>
#include <unistd.h>

#include "tests/cuda_emulator/block.hpp"
#include "tests/cuda_emulator/report.hpp"

namespace cuda_emulator {

namespace {

// Where this program, which may be position-independent, was loaded.
std::uintptr_t load_address() {
  std::uintptr_t address = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        *static_cast<std::uintptr_t*>(out) = info->dlpi_addr;
        return 1;  // the program itself comes first
      },
      &address);
  return address;
}

// A line of addr2line from the top of the sources: the compiler may have been given their paths
// whole, or (by ccache, with a base directory) from the build folder.
std::string tidy(std::string line) {
  while (!line.empty() && line.back() == '\n') line.pop_back();
  if (line.starts_with("??")) return {};
  if (line.starts_with(WEFT_SOURCES "/")) line.erase(0, sizeof WEFT_SOURCES);
  if (const std::size_t up = line.rfind("../"); up != std::string::npos) line.erase(0, up + 3);
  if (const std::size_t note = line.find(" ("); note != std::string::npos) line.erase(note);
  return line;
}

std::atomic<void (*)(const std::string&)> fault_handler = nullptr;
std::atomic<bool> broken = false;

}  // namespace

void fail(const std::string& message) {
  std::fflush(stdout);
  std::fprintf(stderr, "CUDA emulator: %s\n", message.c_str());
  report_end(message);
  std::abort();
}

void handle_faults(void (*handler)(const std::string& message)) { fault_handler = handler; }

bool devices_broken() { return broken; }

void repair_devices() { broken = false; }

void break_devices(const DeviceFault& fault) {
  broken = true;
  if (auto* const handler = fault_handler.load())
    handler(std::string("CUDA emulator: ") + fault.what());
}

void fault(const std::string& message) {
  if (fault_handler == nullptr) fail(message);
  throw DeviceFault(message);
}

void fail_in_kernel(const Thread& thread, const std::string& message) {
  BlockRunner& block = *thread.block;
  const std::string whole = "in " + block.grid().kernel + ", block " + str(block.index()) +
                            ", thread " + str(thread.index) + ": " + message;
  const bool on_fibre = thread.fibre != nullptr && thread.fibre->holds(__builtin_frame_address(0));
  if (fault_handler == nullptr || !on_fibre) fault(whole);
  block.abandon(thread, whole);
}

const Thread& leave_kernel() {
  const Thread* t = std::exchange(current_thread, nullptr);
  if (t == nullptr) fail("device code is called outside of a kernel");
  return *t;
}

void explain(const std::string& message) {
  std::fprintf(stderr, "CUDA emulator: %s\n", message.c_str());
}

std::string source_line(const void* instruction) {
  char command[128];
  std::snprintf(command, sizeof command, "addr2line -i -e /proc/%d/exe %zx 2>/dev/null",
                static_cast<int>(getpid()),
                reinterpret_cast<std::uintptr_t>(instruction) - load_address() - 1);
  std::string lines;  // the innermost first
  if (std::FILE* pipe = popen(command, "r")) {
    char text[512];
    while (std::fgets(text, sizeof text, pipe) != nullptr) {
      const std::string line = tidy(text);
      if (line.empty()) continue;
      // The emulator's own __shfl_sync() and the like, and the standard library, are not the
      // kernel's.
      if (line.find("cuda_emulator/device_functions.hpp") != std::string::npos ||
          line.starts_with("/usr/"))
        continue;
      if (!lines.empty()) lines += ", called at ";
      lines += line;
    }
    pclose(pipe);
  }
  return lines.empty() ? "(no debug information)" : lines;
}

}  // namespace cuda_emulator
