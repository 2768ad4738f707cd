// Refuses CPUs without the instructions that every other file is compiled for. This one is compiled
// for any x86-64, and runs before the initialisers of the others.
#include <unistd.h>

namespace {

__attribute__((constructor(101))) void check_cpu() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
      __builtin_cpu_supports("bmi") != 0 && __builtin_cpu_supports("bmi2") != 0) {
    return;
  }
  constexpr char kMessage[] =
      "error: weft needs a CPU with AVX2 and FMA (x86-64-v3), which this one, or its virtual "
      "machine, "
      "does not offer\n";
  [[maybe_unused]] const ssize_t told = write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  _exit(1);
}

}  // namespace
