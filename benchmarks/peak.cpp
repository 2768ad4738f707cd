// The ceilings of the machine it runs on: arithmetic, memory and, under mpirun, the sum over ranks.
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#include <omp.h>

#include "benchmarks/all_reduce.hpp"
#include "benchmarks/usage.hpp"
#include "core/backend/cpu_peaks.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "launch/device.hpp"
#include "launch/doctor/machine.hpp"
#include "launch/failure.hpp"
#include "launch/process.hpp"

namespace {

using namespace weft;

struct Row {
  const char* name;
  const char* what;
  CpuPeak peak;
};

constexpr Row kRows[] = {
    {"fma", "fp32 multiply-adds, registers", CpuPeak::fma},
    {"bf16_dot", "vdpbf16ps, registers", CpuPeak::bf16_dot},
    {"amx", "AMX bf16, registers", CpuPeak::amx},
    {"amx_from_l2", "AMX bf16, tiles from L2", CpuPeak::amx_from_l2},
};

// Rates are printed by rank 0: sums over the ranks.
class Report {
 public:
  Report(bool json, bool speaks) : json_(json), speaks_(speaks) {}

  void line(const char* name, const char* what, double rate, const char* unit) const {
    if (!speaks_) return;
    if (json_) {
      std::puts(Json{{"peak", name}, {"value", rate}, {"unit", std::string(unit).substr(1)}}
                    .dump()
                    .c_str());
    } else if (rate > 0) {
      std::printf("%-32s %9.1f %s\n", what, rate / 1e9, unit);
    } else {
      std::printf("%-32s %9s\n", what, "-");
    }
    std::fflush(stdout);
  }

 private:
  bool json_, speaks_;
};

// Bytes of the tensor by the time of a call.
double all_reduce_rate(Communicator& world) {
  constexpr std::int64_t kBytes = std::int64_t{256} << 20;
  constexpr int kTurns = 6;
  return static_cast<double>(kBytes) / time_all_reduce(world, kBytes, kTurns).front();
}

void run(bool json) {
  const auto world = host_communicator();
  const Report report(json, world->rank() == 0);
  if (world->rank() == 0 && !json) {
    std::printf("%s; ranks: %d, threads of each: %d; rates of all together\n",
                this_machine().processor.c_str(), world->size(), omp_get_max_threads());
  }
  const auto together = [&](double own) { return world->all_reduce(own, ReduceOp::sum); };
  for (const Row& row : kRows) {
    world->barrier();
    report.line(row.name, row.what, together(measure(row.peak)), "GFLOP/s");
  }
  world->barrier();
  const MemoryRates memory = measure_memory();
  report.line("read", "memory read", together(memory.read), "GB/s");
  report.line("copy", "memory copy", together(memory.copy), "GB/s");
  report.line("triad", "memory triad", together(memory.triad), "GB/s");
  if (world->size() > 1) {
    report.line("all_reduce", "all-reduce of 256 MB", all_reduce_rate(*world), "GB/s");
  }
}

bool wants_json(int argc, char** argv) {
  if (argc == 1) return false;
  if (argc == 2 && std::string_view(argv[1]) == "--json") return true;
  throw InputError("peak takes --json and nothing else",
                   "mpirun -np 2 peak measures the sum over ranks too; OMP_NUM_THREADS sets the "
                   "threads of each");
}

}  // namespace

int main(int argc, char** argv) {
  if (asks_for_help(argc, argv,
                    "peak [--json]\nmpirun -np 2 peak measures the sum over ranks too; "
                    "OMP_NUM_THREADS sets the threads of each"))
    return 0;
  limit_spinning(argv);
  try {
    const bool json = wants_json(argc, argv);
    const MpiSession mpi;
    set_threads(0);
    run(json);
    return 0;
  } catch (const std::exception& e) {
    return end_ranks(e, exit_status_of(e));
  }
}
