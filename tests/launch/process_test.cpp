// Rank discovery from the environments that launchers make.
#include "launch/process.hpp"

#include <fstream>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/launch/tiny_run.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

std::map<std::string, std::string> environment;

LaunchedRank discover(std::map<std::string, std::string> variables) {
  environment = std::move(variables);
  return read_launched_rank([](const char* name) -> const char* {
    const auto it = environment.find(name);
    return it == environment.end() ? nullptr : it->second.c_str();
  });
}

TEST(Process, AloneWithoutALauncher) {
  const LaunchedRank r = discover({{"RANK", "3"}, {"WORLD_SIZE", "8"}});
  EXPECT_EQ(r.launcher, "");
  EXPECT_EQ(r.ranks, 1);
}

TEST(Process, OpenMpi) {
  const LaunchedRank r = discover({{"OMPI_COMM_WORLD_RANK", "3"},
                                   {"OMPI_COMM_WORLD_SIZE", "8"},
                                   {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                   {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                                   {"PMIX_RANK", "3"}});
  EXPECT_EQ(r.launcher, "Open MPI");
  EXPECT_EQ(r.rank, 3);
  EXPECT_EQ(r.ranks, 8);
  EXPECT_EQ(r.local_rank, 1);
  EXPECT_EQ(r.local_ranks, 2);
}

TEST(Process, SlurmWithPmix) {
  const LaunchedRank r =
      discover({{"PMIX_RANK", "5"}, {"SLURM_STEP_NUM_TASKS", "6"}, {"SLURM_LOCALID", "1"}});
  EXPECT_EQ(r.launcher, "PMIx");
  EXPECT_EQ(r.rank, 5);
  EXPECT_EQ(r.ranks, 6);
  EXPECT_EQ(r.local_rank, 1);
}

// A batch script runs once, whatever the job's number of tasks.
TEST(Process, InsideABatchScriptWithoutSrun) {
  EXPECT_EQ(discover({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}).ranks, 1);
}

TEST(Process, TasksThatCannotBeConnected) {
  EXPECT_THROW(discover({{"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "2"}}), InputError);
  EXPECT_THROW(discover({{"TORCHELASTIC_RUN_ID", "x"}, {"WORLD_SIZE", "2"}}), InputError);
  EXPECT_THROW(discover({{"OMPI_COMM_WORLD_RANK", "9"}, {"OMPI_COMM_WORLD_SIZE", "8"}}),
               InputError);
}

TEST(Process, CountsCoresByTheirFirstThread) {
  const fs::path topology = new_directory("topology");
  const auto put = [&](int cpu, const std::string& siblings) {
    const fs::path dir = topology / ("cpu" + std::to_string(cpu)) / "topology";
    fs::create_directories(dir);
    std::ofstream(dir / "thread_siblings_list") << siblings << "\n";
  };
  for (const int cpu : {0, 4}) put(cpu, "0,4");
  for (const int cpu : {1, 5}) put(cpu, "1,5");
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  for (const int cpu : {0, 4, 5}) CPU_SET(cpu, &cpus);
  EXPECT_EQ(count_cores(cpus, topology), 2);
  CPU_SET(1, &cpus);
  EXPECT_EQ(count_cores(cpus, topology), 2);
  for (const int cpu : {6, 7}) CPU_SET(cpu, &cpus);  // of which nothing is told
  EXPECT_EQ(count_cores(cpus, topology), 4);
}

// `ps -C weft` and `pkill weft` find it by this name. It waits for its text, so that we can look.
TEST(Process, ItsNameIsThatOfTheProgram) {
  const ProgramResult r =
      run_shell("d=$(mktemp -d); mkfifo $d/text; $WEFT tokenize " + std::string(WEFT_TEST_DIR) +
                "/data/corpus/tokenizer $d/text & exec 3>$d/text; cat "
                "/proc/$!/comm; exec 3>&-; wait; rm -r $d");
  EXPECT_EQ(r.out, "weft\n") << r.err;
}

}  // namespace
}  // namespace weft
