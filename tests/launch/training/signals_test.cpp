// Stopping `weft pretrain` by signals.
#include <csignal>
#include <cstdlib>

#include <gtest/gtest.h>

#include "launch/training/stop_signal.hpp"
#include "tests/launch/training/pretrain_helpers.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

// A run of 2000 steps, asked to stop once the metrics have begun.
ProgramResult stopped_run(const fs::path& dir, const std::string& launcher,
                          const std::string& kill) {
  const fs::path config = write_config(tiny_config(dir));
  return run_shell(launcher + "$WEFT pretrain " + config.string() +
                   " --set train.steps=2000 & job=$!; until [ -s " +
                   (dir / "metrics.jsonl").string() + " ] && grep -q '\"step\":3,' " +
                   (dir / "metrics.jsonl").string() + "; do sleep 0.02; done; " + kill +
                   "; wait $job");
}

TEST(Pretrain, SignalsSaveAndLeaveWithStatus75) {
  for (const char* signal : {"TERM", "INT", "USR1"}) {
    const fs::path dir = new_directory("run") / "r";
    const ProgramResult r = stopped_run(dir, "", std::string("kill -") + signal + " $job");
    EXPECT_EQ(r.status, 75) << r.err;
    EXPECT_NE(r.err.find("stopping after step"), std::string::npos) << r.err;
    EXPECT_FALSE(fs::is_empty(dir / "checkpoints"));
  }
}

TEST(Pretrain, SignalsThatComeUntilTheEndDoNotChangeTheStatus) {
  const fs::path dir = new_directory("run") / "r";
  const ProgramResult r =
      stopped_run(dir, "", "for i in $(seq 60); do kill -USR1 $job; sleep 0.005; done");
  EXPECT_EQ(r.status, 75) << r.err;
}

TEST(Pretrain, AStoppedRunContinuesBitForBit) {
  const fs::path dir = new_directory("run");
  const ProgramResult r = stopped_run(dir / "r", "OMP_NUM_THREADS=1 ", "kill -USR1 $job");
  ASSERT_EQ(r.status, 75) << r.err;
  const std::int64_t step = read_metrics(dir / "r", "loss").rbegin()->first;
  const std::string last = std::to_string(step + 5);
  const std::string steps = "--set schedule.decay_steps=2000 --set train.steps=" + last;
  ASSERT_EQ(pretrain(tiny_config(dir / "r"), steps).status, 0);
  ASSERT_EQ(pretrain(tiny_config(dir / "whole"), steps).status, 0);
  const std::string name = "step-" + std::string(8 - last.size(), '0') + last;
  EXPECT_TRUE(weights_of(dir / "r", name) == weights_of(dir / "whole", name));
}

TEST(Pretrain, ASignalDuringTheFirstEvaluationIsNotLost) {
  const fs::path dir = new_directory("run") / "r";
  const ProgramResult r = stopped_in_evaluation(tiny_config(dir), dir / "config.yaml", "run:", "");
  EXPECT_EQ(r.status, 75) << r.err;
  EXPECT_TRUE(fs::exists(dir / "checkpoints/step-00000000/trainer_state.json")) << r.err;
  EXPECT_TRUE(read_metrics(dir, "eval_loss").empty());
  // What was cut off is made up for.
  ASSERT_EQ(pretrain(tiny_config(dir), "--set train.steps=2").status, 0);
  EXPECT_TRUE(read_metrics(dir, "eval_loss").contains(0));
}

TEST(Pretrain, ASignalDuringTheLastEvaluationIsNotLost) {
  const fs::path dir = new_directory("run") / "r";
  ASSERT_EQ(pretrain(tiny_config(dir), "--set train.steps=1").status, 0);
  const ProgramResult r = stopped_in_evaluation(tiny_config(dir), dir / "metrics.jsonl",
                                                "\"step\":2,", "--set train.steps=2");
  EXPECT_EQ(r.status, 75) << r.err;
  EXPECT_TRUE(fs::exists(dir / "checkpoints/step-00000002"));
  EXPECT_FALSE(read_metrics(dir, "eval_loss").contains(2));
  for (int again = 0; again < 2; ++again) {
    ASSERT_EQ(pretrain(tiny_config(dir), "--set train.steps=2").status, 0);
    EXPECT_TRUE(read_metrics(dir, "eval_loss").contains(2));
  }
  EXPECT_EQ(occurrences(read_file(dir / "metrics.jsonl"), "\"step\":2,"), 2);  // and one evaluation
}

TEST(StopSignals, ASecondInterruptEndsTheProcessAtOnce) {
  EXPECT_EXIT(
      {
        catch_stop_signals();
        std::raise(SIGINT);
        if (!stop_requested()) std::_Exit(1);
        std::raise(SIGINT);
        std::_Exit(2);
      },
      testing::KilledBySignal(SIGINT), "");
}

TEST(PretrainRanks, ASignalToOneRankStopsAll) {
  const fs::path dir = new_directory("run") / "r";
  // The youngest process with this run's configuration: one of the ranks, not mpirun.
  const ProgramResult r = stopped_run(
      dir, mpirun(2),
      "kill -USR1 $(pgrep -n -f 'weft pretrain " + workspace().string() + ".*steps=2000')");
  EXPECT_EQ(r.status, 75) << r.err;
  EXPECT_FALSE(fs::is_empty(dir / "checkpoints"));
}

}  // namespace
}  // namespace weft
