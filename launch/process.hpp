// This process among the ranks that mpirun or srun started.
#pragma once

#include <filesystem>
#include <string>

#include <sched.h>

namespace weft {

// What the launcher says through the environment, before MPI is up.
struct LaunchedRank {
  int rank = 0;
  int ranks = 1;
  int local_rank = 0;  // among the ranks of this host
  int local_ranks = 1;
  std::string launcher;  // "Open MPI", "PMIx", "PMI" or "" when this process was started alone
};

// Reads the environment once. Throws InputError when several tasks were started in a way that
// cannot connect them (srun without MPI support, torchrun).
const LaunchedRank& launched_rank();
// The same for any environment; `get` returns a variable's value or null.
LaunchedRank read_launched_rank(const char* (*get)(const char*));

// MPI for the life of this object, when a launcher started this process; nothing otherwise, so that
// a process alone does not pay for it (0.25 s). Call before the first thread is started.
class MpiSession {
 public:
  MpiSession();
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  bool active() const { return active_; }

 private:
  bool active_ = false;
};

// Ends all ranks at once with this exit status when MPI is up; returns otherwise.
void abort_ranks(int status);

// Makes threads that wait for work sleep soon instead of spinning for milliseconds: on a machine
// that others use too, spinning threads take the cores from those they wait for (three to
// 27 times the CPU time was measured on a loaded 2-core machine). libgomp reads its settings when
// it is loaded, so this starts the program again, once, with GOMP_SPINCOUNT set; a user's own
// setting stays. Call first in main().
void limit_spinning(char** argv);

// How many cores these CPUs belong to: hardware threads of one core share its arithmetic units, and
// two that multiply take each other's cache. `topology` holds cpu0/topology/thread_siblings_list
// and so on; a CPU that it does not tell of counts by itself.
int count_cores(const cpu_set_t& cpus, const std::filesystem::path& topology);

// Sets the number of OpenMP threads: `threads` if positive, else OMP_NUM_THREADS if set, else this
// rank's share of the cores its host may use: those of the affinity masks and, in a container, of
// the CPU quota. Every command runs behind it; omp_get_max_threads() tells the number. Returns it.
// Collective when MPI is up.
int set_threads(int threads);

}  // namespace weft
