// weft verify-checkpoint: what it says, and its exit statuses.
#include <gtest/gtest.h>

#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "core/io/manifest.hpp"
#include "launch/training/run_state.hpp"
#include "models/hf_state.hpp"
#include "models/registry.hpp"
#include "parallel/checkpoint.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/scratch_dir.hpp"

namespace weft {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

const Json kConfig = {{"model_type", "bert"},    {"architectures", {"BertForPreTraining"}},
                      {"vocab_size", 30},        {"hidden_size", 8},
                      {"num_hidden_layers", 1},  {"num_attention_heads", 4},
                      {"intermediate_size", 12}, {"max_position_embeddings", 16},
                      {"type_vocab_size", 2}};

class VerifyCheckpoint : public testing::Test {
 protected:
  VerifyCheckpoint() : model_(make_model(kConfig, mesh_, DType::f32, 1)) {
    content_.model = hf_state(*model_);
    for (const char* prefix : {"exp_avg.", "exp_avg_sq."}) {
      for (StateTensor t : content_.model) {
        t.name = prefix + t.name;
        content_.optimizer.push_back(t);
      }
    }
    content_.files = {{"config.json", model_->hf_config()}};
  }
  fs::path save(std::int64_t step) {
    CheckpointContent content = content_;
    content.step = step;
    content.files.push_back({"trainer_state.json",
                             to_json(RunState{.step = step, .samples = 64 * step, .config = {}})});
    return save_checkpoint(run() / "checkpoints", content, mesh_).path;
  }
  fs::path run() const { return dir_ / "run"; }
  ProgramResult verify(const fs::path& path) {
    return run_weft({"verify-checkpoint", path.string()});
  }

  Mesh mesh_ = Mesh::single();
  ScratchDir dir_;
  std::unique_ptr<PretrainingModel> model_;
  CheckpointContent content_;
};

TEST_F(VerifyCheckpoint, DescribesAWholeOne) {
  const fs::path checkpoint = save(500);
  const ProgramResult r = verify(checkpoint.string() + "/");
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_TRUE(r.out.starts_with(checkpoint.string() + ": whole\n  step        500, 32000 samples"))
      << r.out;
  EXPECT_NE(
      r.out.find("can resume  yes, on any number of data ranks, with parallel.tensor 1, 2, 4\n"),
      std::string::npos)
      << r.out;

  const ProgramResult json = run_weft({"verify-checkpoint", checkpoint.string(), "--json"});
  const Json said = Json::parse(json.out);
  EXPECT_EQ(said.at("valid"), true);
  EXPECT_EQ(said.at("step"), 500);
  EXPECT_EQ(said.at("can_resume"), true);
  EXPECT_EQ(said.at("tensor_sizes"), Json({1, 2, 4}));
  EXPECT_EQ(said.at("tensors"), content_.model.size());
  std::int64_t parameters = 0;
  for (const StateTensor& t : content_.model) parameters += t.shape.numel();
  EXPECT_EQ(said.at("parameters"), parameters);
}

TEST_F(VerifyCheckpoint, TakesTheNewestWholeOneOfARun) {
  save(1);
  const fs::path newest = save(2);
  EXPECT_NE(verify(run()).out.find("step-00000002: whole"), std::string::npos);
  put(newest / "config.json", "{}");
  const ProgramResult r = verify(run());
  EXPECT_EQ(r.status, 0);
  EXPECT_NE(r.out.find("step-00000001: whole"), std::string::npos) << r.out;
  EXPECT_NE(r.err.find("passed over step-00000002"), std::string::npos) << r.err;
  put(run() / "checkpoints" / "step-00000001" / "manifest.json", "{}");
  EXPECT_EQ(verify(run()).status, 1);
}

TEST_F(VerifyCheckpoint, NamesTheDamagedFile) {
  const fs::path checkpoint = save(3);
  const std::string weights = read_file(checkpoint / "model.safetensors");
  std::string damaged = weights;
  damaged[damaged.size() - 1] ^= 1;
  put(checkpoint / "model.safetensors", damaged);
  ProgramResult r = verify(checkpoint);
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.err.find("model.safetensors: damaged: its checksum is not the manifest's"),
            std::string::npos)
      << r.err;
  r = run_weft({"verify-checkpoint", checkpoint.string(), "--json"});
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(Json::parse(r.out).at("valid"), false);
  put(checkpoint / "model.safetensors", weights);
  EXPECT_EQ(verify(checkpoint).status, 0);
  fs::remove(checkpoint / "manifest.json");
  r = verify(checkpoint);
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.err.find("manifest.json: No such file"), std::string::npos) << r.err;
}

TEST_F(VerifyCheckpoint, ComparesShapesWithTheConfiguration) {
  Json other = kConfig;
  other["vocab_size"] = 31;
  content_.files = {{"config.json", other.dump()}};
  ProgramResult r = verify(save(4));
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.err.find("[30, 8], the configuration wants [31, 8]"), std::string::npos) << r.err;
  content_.files = {{"config.json", kConfig.dump()}};
  const StateTensor lost = content_.optimizer.back();
  content_.optimizer.pop_back();
  r = verify(save(5));
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.err.find("no tensor " + lost.name), std::string::npos) << r.err;
}

TEST_F(VerifyCheckpoint, WhatIsNoCheckpointIsAnInputError) {
  EXPECT_EQ(verify(dir_ / "none").status, 2);
  EXPECT_EQ(verify(dir_.path()).status, 2);
  fs::create_directory(dir_ / "model");
  put(dir_ / "model" / "config.json", kConfig.dump());
  const ProgramResult r = verify(dir_ / "model");
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find("not a checkpoint: it has no manifest.json"), std::string::npos) << r.err;
}

}  // namespace
}  // namespace weft
