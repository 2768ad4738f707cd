// Runs of `weft pretrain` that something goes wrong with.
#include <cmath>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/launch/training/pretrain_helpers.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

// A weight that is NaN makes every gradient NaN. `dir/second` is the run.
ProgramResult run_with_bad_gradients(const fs::path& dir, const std::string& launcher) {
  pretrain(tiny_config(dir / "first"), "--set train.steps=1 --set schedule.warmup_steps=0");
  fs::copy(dir / "first/checkpoints/step-00000001", dir / "model");
  std::string weights = read_file(dir / "model/model.safetensors");
  // The last tensor's last value: some weight of the model, in fp32.
  weights.replace(weights.size() - 4, 4, std::string("\x00\x00\xC0\x7F", 4));
  std::ofstream(dir / "model/model.safetensors", std::ios::binary) << weights;
  std::vector<std::string> lines = tiny_config(dir / "second");
  lines[1] = "model: {from: " + (dir / "model").string() + "}";
  return pretrain(lines, "", launcher);
}

TEST(PretrainRanks, AFailureOfAllRanksIsToldOnce) {
  const ProgramResult r = run_with_bad_gradients(new_directory("run"), mpirun(2));
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(occurrences(r.err, "error: 10 steps in a row had"), 1) << r.err;
}

TEST(Pretrain, GradientsThatAreNotFiniteAreSkippedAndThenStopTheRun) {
  const fs::path dir = new_directory("run");
  const ProgramResult r = run_with_bad_gradients(dir, "OMP_NUM_THREADS=1 ");
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.err.find("step 1: the gradient of "), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("error: 10 steps in a row had gradients that are not finite"),
            std::string::npos)
      << r.err;
  const auto steps = read_metrics(dir / "second", "grad_norm");
  ASSERT_EQ(steps.size(), 9U);
  EXPECT_TRUE(steps.at(9)["grad_norm"].is_null());
  EXPECT_EQ(r.err.find("step 11"), std::string::npos);
}

// A limit on the size of files, 32 blocks of 512 bytes: the logs stay below it, the weights do not.
constexpr const char* kSmallFilesOnly = "trap '' XFSZ; ulimit -S -f 32; ";

TEST(Pretrain, ThreeFailedSavesInARowEndTheRun) {
  const fs::path dir = new_directory("run") / "r";
  const ProgramResult r =
      run_shell(kSmallFilesOnly + std::string("$WEFT pretrain ") +
                write_config(tiny_config(dir)).string() + " --set checkpoint.every=2");
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.err.find("step 2 was not saved"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("step 4 was not saved"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("error: 3 saves in a row failed"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("model.safetensors: cannot write: File too large"), std::string::npos)
      << r.err;
  EXPECT_EQ(read_metrics(dir, "loss").rbegin()->first, 6);
  EXPECT_TRUE(fs::is_empty(dir / "checkpoints")) << "something half-written remained";
}

TEST(Pretrain, TrainsOnAfterAFailedSaveAndSavesAtTheNext) {
  const fs::path dir = new_directory("run") / "r";
  // The limit is lifted when the first save has failed.
  const ProgramResult r = run_shell(
      "(" + std::string(kSmallFilesOnly) + "OMP_NUM_THREADS=1 exec $WEFT pretrain " +
      write_config(tiny_config(dir)).string() +
      " --set checkpoint.every=200 --set train.steps=600 --set eval.every=0 --set log.every=5) & "
      "job=$!; until grep -q 'was not saved' " +
      (dir / "log.txt").string() +
      " 2>/dev/null; do sleep 0.02; done; prlimit --pid $job --fsize=unlimited; wait $job");
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.err.find("step 200 was not saved"), std::string::npos) << r.err;
  EXPECT_TRUE(fs::exists(dir / "checkpoints/step-00000600/model.safetensors"));
  EXPECT_EQ(read_metrics(dir, "loss").size(), 120U);  // records waited too
}

// Found by the loader when the run has begun: no status that says that nothing was written.
TEST(Pretrain, BadTokensEndARunWithStatus1) {
  const fs::path dir = new_directory("run");
  for (const char* kind : {".bin", ".idx", ".json"}) {
    fs::copy(tiny_data() / (std::string("train") + kind), dir / (std::string("bad") + kind));
  }
  const auto size = static_cast<std::size_t>(fs::file_size(dir / "bad.bin"));
  std::ofstream(dir / "bad.bin", std::ios::binary) << std::string(size, '\xFE');
  std::vector<std::string> lines = tiny_config(dir / "r");
  lines[4] = "  train: [{path: " + (dir / "bad").string() + "}]";
  const ProgramResult r = pretrain(lines);
  EXPECT_EQ(r.status, 1) << r.err;
  EXPECT_NE(r.err.find("bad.bin"), std::string::npos) << r.err;
  EXPECT_EQ(occurrences(r.err, "error: "), 1) << r.err;
}

// Rank 1 has no tokenizer where it runs.
TEST(PretrainRanks, AnErrorOfAnotherRankNamesIt) {
  const fs::path dir = new_directory("ranks");
  fs::create_directories(dir / "d0");
  fs::create_directories(dir / "d1");
  fs::copy(tiny_data() / "tokenizer", dir / "d0/tokenizer", fs::copy_options::recursive);
  std::vector<std::string> lines = tiny_config(dir / "run");
  lines[2] = "tokenizer: tokenizer";
  const ProgramResult r = pretrain_apart(dir, lines);
  EXPECT_EQ(r.status, 2) << r.err;
  EXPECT_EQ(r.err.rfind("[rank 1 on ", 0), 0U) << r.err;
  EXPECT_NE(r.err.find("] error: "), std::string::npos) << r.err;
  EXPECT_EQ(occurrences(r.err, "error: "), 1) << r.err;
  EXPECT_FALSE(fs::exists(dir / "run"));
}

TEST(PretrainRanks, AWrongConfigurationIsToldOnce) {
  const fs::path dir = new_directory("run") / "r";
  const ProgramResult r = pretrain(tiny_config(dir), "--set train.global_batch=3", mpirun(2));
  EXPECT_EQ(r.status, 2);
  EXPECT_EQ(occurrences(r.err, "error: "), 1) << r.err;
  EXPECT_FALSE(fs::exists(dir));
}

}  // namespace
}  // namespace weft
