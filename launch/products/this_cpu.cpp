// What products depend on in a CPU, in words.
#include "launch/products/this_cpu.hpp"

#include <fmt/format.h>

#include "core/backend/cpu/onednn.hpp"
#include "launch/doctor/machine.hpp"

namespace weft {

namespace {

const char* instructions() {
  if (cpu_has_amx()) return "AMX";
  if (cpu_has_bf16()) return "AVX-512 bf16";
  return cpu_has_avx512() ? "AVX-512" : "no AVX-512";
}

}  // namespace

std::string this_cpu() {
  const Machine machine = this_machine();
  return fmt::format("{}{}, {}", machine.processor.empty() ? "a CPU" : machine.processor,
                     machine.family.empty()
                         ? ""
                         : fmt::format(", family {} model {}", machine.family, machine.model),
                     instructions());
}

}  // namespace weft
