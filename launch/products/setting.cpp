// The CPU, the threads and the neighbours that products are computed with.
#include "launch/products/setting.hpp"

#include <fmt/format.h>
#include <omp.h>

#include "core/backend/cpu/onednn.hpp"
#include "core/base/host.hpp"
#include "core/base/plural.hpp"
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

std::string in_words(const ProductSetting& setting) {
  const std::string alone = setting.cpu + " with " + counted(setting.threads, "thread");
  return setting.ranks == 1 ? alone
                            : fmt::format("{} on each of {} ranks of a host", alone, setting.ranks);
}

ProductSetting this_setting(Communicator& world) {
  const bool beside_first = world.broadcast(host_name(), 0) == host_name();
  const std::int64_t ranks = world.all_reduce(std::int64_t{beside_first}, ReduceOp::sum);
  return {.cpu = this_cpu(), .threads = omp_get_max_threads(), .ranks = static_cast<int>(ranks)};
}

}  // namespace weft
