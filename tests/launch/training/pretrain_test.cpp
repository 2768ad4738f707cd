// Runs of `weft pretrain`, from start to checkpoint: resume, layouts, records.
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "core/base/files.hpp"
#include "tests/launch/event_reader.hpp"
#include "tests/launch/training/pretrain_helpers.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

TEST(Pretrain, TrainsAndRecords) {
  const fs::path dir = new_directory("run") / "r";
  const ProgramResult r = pretrain(tiny_config(dir));
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, "");
  for (const char* file :
       {"config.yaml", "metrics.jsonl", "log.txt", "checkpoints/step-00000010/trainer_state.json",
        "checkpoints/step-00000020/config.json", "checkpoints/step-00000020/model.safetensors",
        "checkpoints/step-00000020/tokenizer.json"}) {
    EXPECT_TRUE(fs::exists(dir / file)) << file;
  }
  const auto steps = read_metrics(dir, "loss");
  ASSERT_EQ(steps.size(), 20U);
  const Json& last = steps.at(20);
  for (const char* key : {"samples", "tokens", "mlm_loss", "nsp_loss", "mlm_accuracy", "lr",
                          "grad_norm", "tokens_per_second", "mfu", "memory_bytes", "seconds"}) {
    EXPECT_TRUE(last.contains(key)) << key;
  }
  std::int64_t memory = 0;
  for (const char* use : {"weights", "gradients", "optimizer", "activations", "workspace"}) {
    memory += last["memory_" + std::string(use) + "_bytes"].get<std::int64_t>();
  }
  EXPECT_GE(memory, last["memory_bytes"]) << "each at its own peak";
  EXPECT_EQ(last["memory_optimizer_bytes"], 2 * last["memory_weights_bytes"].get<std::int64_t>());
  EXPECT_EQ(occurrences(read_file(dir / "log.txt"), "memory of tensors: "), 2);
  EXPECT_EQ(last["samples"], 160);
  EXPECT_NEAR(last["loss"].get<double>(),
              last["mlm_loss"].get<double>() + last["nsp_loss"].get<double>(), 1e-12);
  // ln(600) and ln(2) at the start, less at the end.
  EXPECT_NEAR(steps.at(1)["mlm_loss"].get<double>(), std::log(600.0), 0.2);
  EXPECT_NEAR(steps.at(1)["nsp_loss"].get<double>(), std::log(2.0), 0.1);
  EXPECT_LT(last["mlm_loss"].get<double>(), steps.at(1)["mlm_loss"].get<double>());

  const auto evaluations = read_metrics(dir, "eval_loss");
  ASSERT_EQ(evaluations.size(), 3U);  // before, at step 10, at the end
  const Json& first = evaluations.at(0);
  EXPECT_NEAR(first["eval_perplexity"].get<double>(),
              std::exp(first["eval_mlm_loss"].get<double>()), 1e-9);
  EXPECT_LT(evaluations.at(20)["eval_loss"].get<double>(), first["eval_loss"].get<double>());
}

TEST(Pretrain, ProfilesStepsAndTrainsTheSame) {
  const fs::path plain = new_directory("run") / "r", profiled = new_directory("run") / "r";
  ASSERT_EQ(pretrain(tiny_config(plain)).status, 0);
  const ProgramResult r = pretrain(tiny_config(profiled), "--profile 9");
  ASSERT_EQ(r.status, 0) << r.err;
  for (const char* part : {"profile of steps 4 to 12: ", "ceilings: fp32 ", "wait for the loader",
                           "optimizer", "matmul A B^T f32", "adamw", "data loader: make batches"}) {
    EXPECT_NE(r.out.find(part), std::string::npos) << part << " in\n" << r.out;
  }
  EXPECT_EQ(weights_of(profiled, "step-00000020"), weights_of(plain, "step-00000020"));
  const Json trace = read_json(profiled / "trace-rank-0.json");
  std::map<std::string, int> events;
  for (const Json& e : trace["traceEvents"]) ++events[e["name"].get<std::string>()];
  for (const char* range : {"step", "optimizer", "wait for the loader", "gradient norm"}) {
    EXPECT_EQ(events[range], 9) << range;
  }
  EXPECT_EQ(events["backward"], 9 * 4) << "four micro-batches to a step";
}

// Ranks of one host add their gradients where backward wrote them, after it.
TEST(Pretrain, ProfileShowsWhatRanksDoTogether) {
  const fs::path dir = new_directory("run") / "r";
  const ProgramResult r =
      pretrain(tiny_config(dir), "--profile 2 --set train.steps=5 --json", mpirun(2));
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find(R"("name":"wait for the gradient sums")"), std::string::npos) << r.out;
  EXPECT_TRUE(fs::exists(dir / "trace-rank-0.json"));
  EXPECT_TRUE(fs::exists(dir / "trace-rank-1.json"));
}

TEST(Pretrain, RefusesToProfileStepsThatThereAreNot) {
  const fs::path dir = new_directory("run") / "r";
  const ProgramResult r = pretrain(tiny_config(dir), "--profile 18");
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find("--profile 18 ends with step 21, training with 20"), std::string::npos)
      << r.err;
  EXPECT_FALSE(fs::exists(dir / "config.yaml"));
}

TEST(Pretrain, EventFileHasTheNumbersOfTheMetrics) {
  const fs::path dir = new_directory("run") / "r";
  ASSERT_EQ(pretrain(tiny_config(dir), "--set train.steps=3").status, 0);
  std::map<std::pair<std::int64_t, std::string>, float> events;
  for (const auto& entry : fs::directory_iterator(dir / "tensorboard")) {
    for (const ReadEvent& e : read_events(entry.path())) {
      for (const auto& [name, value] : e.scalars) events[{e.step, name}] = value;
    }
  }
  for (const auto& [step, values] : read_metrics(dir, "loss")) {
    EXPECT_EQ((events[{step, "mlm_loss"}]), values["mlm_loss"].get<float>());
  }
  EXPECT_TRUE(events.contains({3, "eval_perplexity"}));
}

TEST(Pretrain, DataOfAnUnknownTokenizerAreWarnedOf) {
  const fs::path dir = new_directory("run");
  for (const char* ending : {".bin", ".idx"}) {
    fs::copy(tiny_data().string() + "/train" + ending, dir / ("alien" + std::string(ending)));
  }
  std::vector<std::string> lines = tiny_config(dir / "r");
  const std::string known = pretrain(lines, "--dry-run").err;
  EXPECT_EQ(known.find("is missing"), std::string::npos) << known;
  lines[4] = "  train: [{path: " + (dir / "alien").string() + "}]";
  const ProgramResult r = pretrain(lines, "--dry-run");
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(occurrences(r.err, "warning: " + (dir / "alien.json").string() + " is missing"), 1);
}

TEST(Pretrain, JsonPrintsTheMetricsAndQuietNothingElse) {
  const fs::path dir = new_directory("run") / "r";
  const ProgramResult r = pretrain(tiny_config(dir), "--set train.steps=2 --json --quiet");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, read_file(dir / "metrics.jsonl"));
  EXPECT_EQ(r.err, "");
}

TEST(Pretrain, PrintConfigAndDryRunWriteNothing) {
  const fs::path dir = new_directory("run") / "r";
  const ProgramResult print = pretrain(tiny_config(dir), "--print-config --set train.steps=5");
  EXPECT_EQ(print.status, 0) << print.err;
  EXPECT_NE(print.out.find("steps: 5"), std::string::npos);
  for (const char* origin : {"# --set train.steps", "run.yaml:9", "# default", "# derived"}) {
    EXPECT_NE(print.out.find(origin), std::string::npos) << origin;
  }
  const ProgramResult dry = pretrain(tiny_config(dir), "--dry-run");
  EXPECT_EQ(dry.status, 0) << dry.err;
  EXPECT_NE(dry.out.find("parameters"), std::string::npos);
  EXPECT_FALSE(fs::exists(dir));
}

TEST(Pretrain, ResumedRunEndsBitForBitWhereAnUndisturbedOneDoes) {
  for (const char* precision : {"fp32", "bf16"}) {
    const fs::path dir = new_directory("run");
    const std::string options = std::string("--precision ") + precision;
    ASSERT_EQ(pretrain(tiny_config(dir / "whole"), options).status, 0);
    // The schedule is that of 20 steps; the first start ends after 10 of them.
    ASSERT_EQ(pretrain(tiny_config(dir / "parts"),
                       options + " --set train.steps=10 --set schedule.decay_steps=20")
                  .status,
              0);
    ASSERT_EQ(run_shell("OMP_NUM_THREADS=1 $WEFT pretrain " + (dir / "parts/config.yaml").string() +
                        " --set train.steps=20")
                  .status,
              0);
    EXPECT_TRUE(weights_of(dir / "whole", "step-00000020") ==
                weights_of(dir / "parts", "step-00000020"))
        << precision;
    EXPECT_EQ(losses_of(dir / "whole"), losses_of(dir / "parts"));
  }
}

TEST(Pretrain, ACompleteRunIsLeftAlone) {
  const fs::path dir = new_directory("run") / "r";
  ASSERT_EQ(pretrain(tiny_config(dir), "--set train.steps=2").status, 0);
  const std::string metrics = read_file(dir / "metrics.jsonl");
  const ProgramResult again = pretrain(tiny_config(dir), "--set train.steps=2");
  EXPECT_EQ(again.status, 0);
  EXPECT_NE(again.err.find("is complete: step 2 of 2"), std::string::npos) << again.err;
  EXPECT_EQ(read_file(dir / "metrics.jsonl"), metrics);
}

// As the message of a complete run, the README and the quickstart say: with --set train.steps=N.
TEST(Pretrain, ACompleteRunTrainsOn) {
  const fs::path dir = new_directory("run") / "r";
  const std::vector<std::string> lines = tiny_config(dir);
  ASSERT_EQ(pretrain(lines, "--set train.steps=4").status, 0);
  const ProgramResult complete = pretrain(lines, "--set train.steps=4");
  EXPECT_NE(complete.err.find("--set train.steps=N trains on"), std::string::npos) << complete.err;
  const ProgramResult more = pretrain(lines, "--set train.steps=6");
  ASSERT_EQ(more.status, 0) << more.err;
  EXPECT_NE(more.err.find("note: the learning rate now decays to step 6 instead of 4"),
            std::string::npos)
      << more.err;
  const ProgramResult own =
      run_weft({"pretrain", (dir / "config.yaml").string(), "--set", "train.steps=8"});
  ASSERT_EQ(own.status, 0) << own.err;
  const auto steps = read_metrics(dir, "lr");
  ASSERT_EQ(steps.size(), 8U);
  EXPECT_GT(steps.at(8)["lr"].get<double>(), 0);
}

TEST(Pretrain, StepsAfterAGivenEndOfTheDecayAreWarnedOf) {
  const fs::path dir = new_directory("run") / "r";
  const ProgramResult r =
      pretrain(tiny_config(dir), "--set schedule.decay_steps=3 --set train.steps=5 --dry-run");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.err.find("warning: --set schedule.decay_steps: 3 ends before "
                       "train.steps: 5: the learning rate of the last 2 steps is 0"),
            std::string::npos)
      << r.err;
}

TEST(Pretrain, AShortTrialEndsWithinTheWarmUp) {
  const fs::path dir = new_directory("run") / "r";
  const ProgramResult r =
      pretrain(tiny_config(dir), "--set train.steps=1 --set schedule.warmup_steps=100");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.err.find("note: the warm-up of 100 steps"), std::string::npos) << r.err;
}

TEST(PretrainRanks, ADerivedMicroBatchFollowsTheRanks) {
  const fs::path dir = new_directory("run") / "r";
  std::vector<std::string> lines = tiny_config(dir);
  lines[10] = "train: {steps: 1, global_batch: 4}";
  ASSERT_EQ(pretrain(lines).status, 0);
  const ProgramResult r = run_shell(mpirun(2) + "$WEFT pretrain " + (dir / "config.yaml").string() +
                                    " --set train.steps=2");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.err.find("1 micro-batch of 2 per step"), std::string::npos) << r.err;
}

TEST(Pretrain, AChangedConfigurationIsRefusedAndNamed) {
  const fs::path dir = new_directory("run") / "r";
  ASSERT_EQ(pretrain(tiny_config(dir), "--set train.steps=2").status, 0);
  const std::string more = "--set train.steps=4 ";
  const ProgramResult changed = pretrain(tiny_config(dir), more + "--set optimizer.lr=0.5");
  EXPECT_EQ(changed.status, 2);
  EXPECT_NE(changed.err.find("optimizer.lr: 0.5 now, 0.001 in the run"), std::string::npos)
      << changed.err;
  const ProgramResult never = pretrain(tiny_config(dir), more + "--resume never");
  EXPECT_EQ(never.status, 2);
  EXPECT_NE(never.err.find("holds a run that is at step 2"), std::string::npos) << never.err;
  EXPECT_EQ(read_metrics(dir, "loss").size(), 2U);

  const ProgramResult harmless = pretrain(tiny_config(dir), more + "--set log.every=2");
  EXPECT_EQ(harmless.status, 0) << harmless.err;
  const ProgramResult forced =
      pretrain(tiny_config(dir), more + "--set train.steps=5 --set optimizer.lr=0.5 --force");
  EXPECT_EQ(forced.status, 0) << forced.err;
  EXPECT_NE(forced.err.find("warning: the configuration changed"), std::string::npos);
  const ProgramResult anew = pretrain(tiny_config(dir), more + "--resume never --force");
  EXPECT_EQ(anew.status, 0) << anew.err;
  EXPECT_TRUE(read_metrics(dir, "loss").contains(1));
}

TEST(PretrainRanks, LambOnTensorRanksTrainsTheSame) {
  const fs::path dir = new_directory("lamb");
  const std::string options = "--set optimizer.type=lamb --set train.steps=10";
  ASSERT_EQ(pretrain(tiny_config(dir / "one"), options).status, 0);
  const ProgramResult r =
      pretrain(tiny_config(dir / "two"), options + " --set parallel.tensor=2", mpirun(2));
  ASSERT_EQ(r.status, 0) << r.err;
  const auto expected = losses_of(dir / "one");
  for (const auto& [step, loss] : losses_of(dir / "two")) {
    EXPECT_NEAR(loss / expected.at(step), 1, 1e-4) << step;
  }
}

// Dropout is on (0.1, the default) and masks, data and initial weights do not depend on the layout.
TEST(PretrainRanks, EveryLayoutTrainsTheSame) {
  const fs::path dir = new_directory("layouts");
  ASSERT_EQ(pretrain(tiny_config(dir / "one")).status, 0);
  const auto expected = losses_of(dir / "one");
  const auto expected_eval = read_metrics(dir / "one", "eval_loss");
  struct Layout {
    int ranks, tensor;
  };
  for (const Layout& layout : {Layout{2, 1}, Layout{2, 2}, Layout{4, 2}}) {
    const std::string name = std::to_string(layout.ranks) + "x" + std::to_string(layout.tensor);
    const ProgramResult r =
        pretrain(tiny_config(dir / name), "--set parallel.tensor=" + std::to_string(layout.tensor),
                 mpirun(layout.ranks));
    ASSERT_EQ(r.status, 0) << name << r.err;
    const auto losses = losses_of(dir / name);
    ASSERT_EQ(losses.size(), expected.size()) << name;
    EXPECT_NEAR(losses.at(1) / expected.at(1), 1, 1e-6) << name;
    for (const auto& [step, loss] : losses) {
      EXPECT_NEAR(loss / expected.at(step), 1, 1e-4) << name << " step " << step;
    }
    for (const auto& [step, values] : read_metrics(dir / name, "eval_loss")) {
      const double one = expected_eval.at(step)["eval_loss"].get<double>();
      EXPECT_NEAR(values["eval_loss"].get<double>() / one, 1, 1e-4) << name;
    }
  }
}

TEST(PretrainRanks, AnotherLayoutContinuesTheSameTraining) {
  const fs::path dir = new_directory("layouts");
  const std::string half = "--set train.steps=10 --set schedule.decay_steps=20";
  ASSERT_EQ(pretrain(tiny_config(dir / "one")).status, 0);
  ASSERT_EQ(pretrain(tiny_config(dir / "other"), half).status, 0);
  const ProgramResult r =
      pretrain(tiny_config(dir / "other"), "--set parallel.tensor=2", mpirun(2));
  ASSERT_EQ(r.status, 0) << r.err;
  const auto expected = losses_of(dir / "one");
  const auto losses = losses_of(dir / "other");
  ASSERT_EQ(losses.size(), expected.size());
  for (const auto& [step, loss] : losses) {
    EXPECT_NEAR(loss / expected.at(step), 1, step <= 11 ? 1e-6 : 1e-4) << step;
  }
}

TEST(Pretrain, RecomputeAndMicroBatchesChangeNothingButRounding) {
  const fs::path dir = new_directory("run");
  ASSERT_EQ(pretrain(tiny_config(dir / "one")).status, 0);
  ASSERT_EQ(pretrain(tiny_config(dir / "recompute"), "--set train.recompute=full").status, 0);
  ASSERT_EQ(pretrain(tiny_config(dir / "micro"), "--set train.micro_batch=8").status, 0);
  EXPECT_EQ(losses_of(dir / "one"), losses_of(dir / "recompute"));
  const auto expected = losses_of(dir / "one");
  for (const auto& [step, loss] : losses_of(dir / "micro")) {
    EXPECT_NEAR(loss / expected.at(step), 1, 1e-4) << step;
  }
}

// Other text under the same name, as prepare --force makes it.
TEST(Pretrain, OtherDataOfTheSameNameAreRefused) {
  const fs::path dir = new_directory("run");
  for (const char* kind : {".bin", ".idx", ".json"}) {
    fs::copy(tiny_data() / (std::string("train") + kind), dir / (std::string("d") + kind));
  }
  std::vector<std::string> lines = tiny_config(dir / "r");
  lines[4] = "  train: [{path: " + (dir / "d").string() + "}]";
  ASSERT_EQ(pretrain(lines, "--set train.steps=1").status, 0);
  for (const char* kind : {".bin", ".idx", ".json"}) {
    fs::copy(tiny_data() / (std::string("held-out") + kind), dir / (std::string("d") + kind),
             fs::copy_options::overwrite_existing);
  }
  const ProgramResult r = pretrain(lines, "--set train.steps=2");
  EXPECT_EQ(r.status, 2) << r.err;
  EXPECT_EQ(r.err.rfind("error: contents of data.train: ", 0), 0U) << r.err;
  EXPECT_EQ(pretrain(lines, "--set train.steps=2 --force").status, 0);
}

TEST(Pretrain, PrintConfigNeedsNoTokenizerAndNoData) {
  std::vector<std::string> lines = tiny_config("nowhere");
  lines[2] = "tokenizer: not/there";
  lines[4] = "  train: [{path: not/there/either}]";
  const ProgramResult r = pretrain(lines, "--print-config");
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.err.rfind("note: not/there is not there", 0), 0U) << r.err;
  for (const char* part : {"hidden_size: 32", "# decay_steps: 20", "seq_length: 32"}) {
    EXPECT_NE(r.out.find(part), std::string::npos) << part << r.out;
  }
  lines[1] = "model: {from: not/there}";
  EXPECT_EQ(pretrain(lines, "--print-config").status, 0);
}

}  // namespace
}  // namespace weft
