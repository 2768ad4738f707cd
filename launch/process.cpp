// This process among the ranks: environment, MPI, threads.
#include "launch/process.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>

#include <mpi.h>
#include <omp.h>
#include <unistd.h>

#include "core/base/error.hpp"

namespace weft {

namespace {

using Get = const char* (*)(const char*);

int number(Get get, const char* name, int otherwise) {
  const char* s = get(name);
  if (s == nullptr) return otherwise;
  char* end = nullptr;
  const long n = std::strtol(s, &end, 10);
  return end != s && *end == '\0' && n >= 0 ? static_cast<int>(n) : otherwise;
}

struct Names {
  const char *launcher, *rank, *size, *local_rank, *local_size;
};
// Slurm's own numbers count only in a step with an MPI connection (PMIx, PMI): inside a plain
// sbatch script they describe the job, not this process.
constexpr Names kLaunchers[] = {
    {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"PMIx", "PMIX_RANK", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", ""},
    {"PMI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
};

bool mpi_is_up() {
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  return initialized != 0 && finalized == 0;
}

// Cores of a cgroup's CPU quota ("max 100000" or "200000 100000").
std::optional<int> quota_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0;
  double period = 0;
  if (!(file >> quota >> period) || period <= 0) return std::nullopt;
  return std::max(1, static_cast<int>(std::floor(quota / period)));
}

cpu_set_t affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) == 0) {
    for (int i = 0; i < omp_get_num_procs(); ++i) CPU_SET(i, &set);
  }
  return set;
}

// A quota counts the time of hardware threads.
int usable_cores(const cpu_set_t& set) {
  const int cores = count_cores(set, "/sys/devices/system/cpu");
  return std::min(cores, quota_cores().value_or(cores));
}

// Ranks may be bound to cores of their own or share them all: a rank's share is an even part of
// what the host's ranks have together, and never more than its own mask.
int share_of_cores() {
  const int own = usable_cores(affinity());
  if (!mpi_is_up()) return own;
  MPI_Comm local = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local);
  int ranks = 1;
  MPI_Comm_size(local, &ranks);
  cpu_set_t all = affinity();
  MPI_Allreduce(MPI_IN_PLACE, &all, sizeof all, MPI_BYTE, MPI_BOR, local);
  MPI_Comm_free(&local);
  return std::max(1, std::min(own, usable_cores(all) / ranks));
}

}  // namespace

LaunchedRank read_launched_rank(Get get) {
  for (const Names& n : kLaunchers) {
    if (get(n.rank) == nullptr || get(n.size) == nullptr) continue;
    LaunchedRank r{.rank = number(get, n.rank, 0),
                   .ranks = std::max(1, number(get, n.size, 1)),
                   .local_rank = number(get, n.local_rank, 0),
                   .local_ranks = std::max(1, number(get, n.local_size, 1)),
                   .launcher = n.launcher};
    if (r.rank >= r.ranks) {
      throw InputError(
          std::string(n.rank) + "=" + get(n.rank) + " does not fit " + n.size + "=" + get(n.size),
          "start the ranks with mpirun or srun --mpi=pmix");
    }
    return r;
  }
  if (number(get, "SLURM_STEP_NUM_TASKS", 1) > 1) {
    throw InputError("srun started several tasks without an MPI connection between them",
                     "use srun --mpi=pmix");
  }
  if (get("TORCHELASTIC_RUN_ID") != nullptr && number(get, "WORLD_SIZE", 1) > 1) {
    throw InputError("torchrun cannot connect the ranks of weft", "use mpirun or srun --mpi=pmix");
  }
  return {};
}

const LaunchedRank& launched_rank() {
  static const LaunchedRank rank =
      read_launched_rank([](const char* name) -> const char* { return std::getenv(name); });
  return rank;
}

MpiSession::MpiSession() {
  if (launched_rank().launcher.empty()) return;
  // A communication thread waits inside MPI while the others compute: waiting must not take a core.
  setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided) != MPI_SUCCESS) {
    throw Error("MPI did not start");
  }
  active_ = true;
  if (provided < MPI_THREAD_MULTIPLE) {
    throw Error("this MPI library does not allow calls from several threads",
                "use a build with MPI_THREAD_MULTIPLE, as Debian's libopenmpi3");
  }
}

MpiSession::~MpiSession() {
  if (active_) MPI_Finalize();
}

int count_cores(const cpu_set_t& cpus, const std::filesystem::path& topology) {
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &cpus)) continue;
    const std::string name = "cpu" + std::to_string(cpu);
    std::ifstream file(topology / name / "topology/thread_siblings_list");
    std::string siblings;
    cores.insert(std::getline(file, siblings) ? siblings : name);
  }
  return static_cast<int>(cores.size());
}

void abort_ranks(int status) {
  if (mpi_is_up()) MPI_Abort(MPI_COMM_WORLD, status);
}

void limit_spinning(char** argv) {
  constexpr const char* kSpinCount = "GOMP_SPINCOUNT";
  if (std::getenv(kSpinCount) != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv(kSpinCount, "10000", 0);  // a fraction of a millisecond: longer than gaps between kernels
  // By its own name, which ps and pkill show, not as "exe".
  std::error_code gone;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", gone);
  if (!gone) execv(self.c_str(), argv);
}

int set_threads(int threads) {
  const char* wanted = std::getenv("OMP_NUM_THREADS");
  const int share = share_of_cores();  // collective: every rank calls it
  if (threads <= 0 && wanted != nullptr && *wanted != '\0') threads = omp_get_max_threads();
  if (threads <= 0) threads = share;
  omp_set_num_threads(threads);
  return threads;
}

}  // namespace weft
