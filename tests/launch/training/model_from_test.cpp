// Runs that begin with the weights of another model, and need it no more once they have their own.
#include <gtest/gtest.h>

#include "tests/launch/training/pretrain_helpers.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> config_from(const std::string& source, const fs::path& run_dir) {
  std::vector<std::string> lines = tiny_config(run_dir);
  lines[1] = "model: {from: " + source + "}";
  return lines;
}

TEST(ModelFrom, ContinuesWithTheWeights) {
  const fs::path dir = new_directory("run");
  ASSERT_EQ(pretrain(tiny_config(dir / "first")).status, 0);
  const ProgramResult r = pretrain(config_from((dir / "first").string(), dir / "second"),
                                   "--set train.steps=1 --set schedule.warmup_steps=0");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(read_metrics(dir / "second", "eval_loss").at(0)["eval_loss"],
            read_metrics(dir / "first", "eval_loss").at(20)["eval_loss"]);
}

// A run dir/second whose source dir/first is gone, with checkpoints at steps 1 and 2. Returns its
// configuration.
std::vector<std::string> run_without_source(const fs::path& dir) {
  EXPECT_EQ(pretrain(tiny_config(dir / "first"), "--set train.steps=1").status, 0);
  const auto lines = config_from((dir / "first").string(), dir / "second");
  EXPECT_EQ(pretrain(lines, "--set train.steps=2 --set checkpoint.every=1").status, 0);
  fs::remove_all(dir / "first");
  return lines;
}

TEST(ModelFrom, ARunWithACheckpointNeedsItsSourceNoMore) {
  const fs::path dir = new_directory("run");
  const auto lines = run_without_source(dir);
  const ProgramResult print = pretrain(lines, "--print-config");
  EXPECT_EQ(print.status, 0) << print.err;
  EXPECT_EQ(print.err, "");
  EXPECT_NE(print.out.find("hidden_size: 32"), std::string::npos) << print.out;
  const ProgramResult r = pretrain(lines, "--set train.steps=3");
  EXPECT_EQ(r.status, 0) << r.err;
  const ProgramResult own =
      run_weft({"pretrain", (dir / "second/config.yaml").string(), "--set", "train.steps=4"});
  EXPECT_EQ(own.status, 0) << own.err;
  EXPECT_EQ(pretrain(lines, "--resume never --force").status, 2);
  EXPECT_TRUE(fs::exists(dir / "second/checkpoints/step-00000004"));
}

TEST(ModelFrom, ACheckpointCutShortIsPassedOver) {
  const fs::path dir = new_directory("run");
  const auto lines = run_without_source(dir);
  fs::resize_file(dir / "second/checkpoints/step-00000002/config.json", 10);
  const ProgramResult r = pretrain(lines, "--set train.steps=3");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.err.find("warning: passed over step-00000002: "), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("continuing from " + (dir / "second/checkpoints/step-00000001").string()),
            std::string::npos)
      << r.err;
}

// Each rank sees another m: rank 0 a whole model, rank 1 what the test leaves there.
class ModelFromRanks : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(pretrain(tiny_config(dir_ / "first"), "--set train.steps=1").status, 0);
    for (const char* name : {"d0", "d1"}) {
      fs::create_directories(dir_ / name);
      fs::copy(dir_ / "first/checkpoints/step-00000001", dir_ / name / "m");
    }
  }

  const fs::path dir_ = new_directory("ranks");
  const std::vector<std::string> lines_ = config_from("m", dir_ / "run");
};

TEST_F(ModelFromRanks, OneOfThemPrintsTheConfiguration) {
  fs::remove_all(dir_ / "d1/m");
  const ProgramResult r = pretrain_apart(dir_, lines_, "--print-config");
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("hidden_size: 32"), std::string::npos) << r.out;
}

TEST_F(ModelFromRanks, AFailureBeginsWithTheRank) {
  fs::remove(dir_ / "d1/m/model.safetensors");
  const ProgramResult r = pretrain_apart(dir_, lines_);
  EXPECT_EQ(r.status, 2) << r.err;
  EXPECT_EQ(r.err.rfind("[rank 1 on "), 0U) << r.err;  // there alone
  EXPECT_NE(r.err.find("run.yaml:2: model.from: m: "), std::string::npos) << r.err;
  EXPECT_FALSE(fs::exists(dir_ / "run"));
}

// Masters of bf16 weights are fp32: they begin with all the bits of a source that has them.
TEST(ModelFrom, KeepsTheBitsOfItsSourceInBf16) {
  const fs::path dir = new_directory("run");
  ASSERT_EQ(pretrain(tiny_config(dir / "first"), "--set train.steps=2").status, 0);
  std::vector<std::string> lines = tiny_config(dir / "second");
  lines[1] = "model: {from: " + (dir / "first").string() + "}";
  const ProgramResult r =
      stopped_in_evaluation(lines, dir / "second/config.yaml", "run:", "--precision bf16");
  ASSERT_EQ(r.status, 75) << r.err;
  EXPECT_TRUE(weights_of(dir / "first", "step-00000002") ==
              weights_of(dir / "second", "step-00000000"));
}

}  // namespace
}  // namespace weft
