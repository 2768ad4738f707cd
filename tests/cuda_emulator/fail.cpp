// Messages about wrong device code, and where it stands.
#include "tests/cuda_emulator/fail.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <link.h>
#include <unistd.h>

#include "tests/cuda_emulator/block.hpp"

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

}  // namespace

void fail(const std::string& message) {
  std::fflush(stdout);
  std::fprintf(stderr, "CUDA emulator: %s\n", message.c_str());
  std::abort();
}

void fail_in_kernel(const Thread& thread, const std::string& message) {
  fail("in " + thread.block->grid().kernel + ", block " + str(thread.block->index()) + ", thread " +
       str(thread.index) + ": " + message);
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
  std::snprintf(command, sizeof command, "addr2line -e /proc/%d/exe %zx 2>/dev/null",
                static_cast<int>(getpid()),
                reinterpret_cast<std::uintptr_t>(instruction) - load_address() - 1);
  std::string line;
  if (std::FILE* pipe = popen(command, "r")) {
    char text[512];
    if (std::fgets(text, sizeof text, pipe) != nullptr) line = text;
    pclose(pipe);
  }
  while (!line.empty() && line.back() == '\n') line.pop_back();
  // From the top of the sources: the compiler may have been called anywhere.
  if (const std::size_t up = line.rfind("../"); up != std::string::npos) line.erase(0, up + 3);
  if (const std::size_t note = line.find(" ("); note != std::string::npos) line.erase(note);
  return line.empty() ? "(no debug information)" : line;
}

}  // namespace cuda_emulator
