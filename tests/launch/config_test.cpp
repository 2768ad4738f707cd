// Configurations that are right: typed values, --set, origins, and text that reads back the same.
#include "launch/config/config.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "launch/config/compare.hpp"
#include "launch/config/print.hpp"
#include "tests/core/data/fake_tokenizer.hpp"

namespace weft {
namespace {

constexpr const char* kText = R"(run: {dir: runs/x}
model: {type: bert, hidden_size: 64, num_attention_heads: 4, layer_norm_eps: 1e-5}
tokenizer: no
data:
  train: [{path: a}, {path: b, weight: 0.25}, c]
optimizer:
  lr: 1e-4
  betas: [0.9, 0.98]
)";

Config read(const std::vector<std::string>& sets = {}) {
  ConfigNode root = parse_config_tree(kText, "x.yaml");
  for (const std::string& s : sets) set_in_tree(root, s);
  return config_from_tree(root);
}

Config resolved(const ConfigNode& root, int ranks = 1) {
  Config c = config_from_tree(root);
  resolve_config(c, testing_support::FakeTokenizer(), {.ranks = ranks});
  return c;
}

Config read_resolved(const std::vector<std::string>& sets = {}) {
  ConfigNode root = parse_config_tree(kText, "x.yaml");
  for (const std::string& s : sets) set_in_tree(root, s);
  return resolved(root);
}

TEST(Config, ValuesAreTypedByTheirKeys) {
  const Config c = read();
  EXPECT_EQ(c.tokenizer, "no");  // a text, not false
  EXPECT_EQ(c.optimizer.lr, 1e-4);
  EXPECT_EQ(c.optimizer.betas[1], 0.98);
  ASSERT_EQ(c.data.train.size(), 3U);
  EXPECT_EQ(c.data.train[1].weight, 0.25);
  EXPECT_EQ(c.data.train[2].path, "c");
  EXPECT_EQ(c.model.keys["hidden_size"], 64);
  EXPECT_EQ(c.model.keys["layer_norm_eps"], 1e-5);
  EXPECT_EQ(c.optimizer.weight_decay, 0.01);  // default
}

TEST(Config, EvaluationIsSwitchedOffByNoDataForIt) {
  EXPECT_EQ(read_resolved({"eval.every=5", "data.eval=[]"}).eval.every, 0);
  EXPECT_EQ(read_resolved({"eval.every=5", "data.eval=[{path: x}]"}).eval.every, 5);
  EXPECT_THROW(read_resolved({"eval.every=5"}), InputError);
  EXPECT_THROW(read_resolved({"data.train=[]"}), InputError);
}

TEST(Config, OriginsNameTheLine) {
  const Config c = read({"optimizer.lr=2e-4"});
  EXPECT_EQ(c.origins.at("optimizer.betas"), "x.yaml:8");
  EXPECT_EQ(c.origins.at("optimizer.lr"), "--set optimizer.lr");
  EXPECT_FALSE(c.origins.contains("optimizer.eps"));
}

TEST(Config, SetReplacesAndAdds) {
  const Config c = read({"train.steps=7", "data.train=[{path: z}]", "model.hidden_size=128",
                         "tokenizer=t", "train.steps=8", "log.tensorboard=false"});
  EXPECT_EQ(c.train.steps, 8);
  ASSERT_EQ(c.data.train.size(), 1U);
  EXPECT_EQ(c.data.train[0].path, "z");
  EXPECT_EQ(c.model.keys["hidden_size"], 128);
  EXPECT_EQ(c.tokenizer, "t");
  EXPECT_FALSE(c.log.tensorboard);
}

TEST(Config, WrittenTextReadsBackTheSame) {
  const Config first = read_resolved({"run.name='a: b'", "run.seed=18446744073709551615",
                                      "schedule.type=wsd", "train.precision=bf16", "eval.every=0",
                                      "schedule.decay_steps=5", "train.micro_batch=4"});
  const std::string text = config_yaml(first);
  const Config second = resolved(parse_config_tree(text, "y.yaml"));
  EXPECT_EQ(config_yaml(second), text);
  EXPECT_EQ(second.run.name, "a: b");
  EXPECT_EQ(second.run.seed, 18446744073709551615U);
  EXPECT_EQ(second.schedule.type, ScheduleType::wsd);
  EXPECT_EQ(second.schedule.decay_steps, 5);
  EXPECT_EQ(second.train.micro_batch, 4);
  EXPECT_EQ(training_values(first), training_values(second));
}

TEST(Config, DerivedValuesAreWrittenAsComments) {
  const std::string text = config_yaml(read_resolved());
  for (const char* line :
       {"\n  # name: x  (derived)\n", "\n  # vocab_size: 1005  (derived)\n",
        "\n  # decay_steps: 1000  (derived)\n", "\n  # micro_batch: 16  (derived)\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
  // They follow what they derive from, the number of ranks too.
  ConfigNode root = parse_config_tree(text, "y.yaml");
  set_in_tree(root, "train.steps=50");
  const Config again = resolved(root, 4);
  EXPECT_EQ(again.schedule.decay_steps, 50);
  EXPECT_EQ(again.train.micro_batch, 8);
  EXPECT_TRUE(training_changes(training_values(read_resolved()), again).empty());
}

TEST(Config, ATrialMayEndWithinTheWarmUp) {
  const Config c = read_resolved({"schedule.warmup_steps=200", "train.steps=10"});
  EXPECT_EQ(c.schedule.decay_steps, 200);
}

TEST(Config, ChangesOfTheTrainingAreNamed) {
  const Json stored = training_values(read());
  EXPECT_TRUE(training_changes(stored, read()).empty());
  EXPECT_TRUE(training_changes(stored, read({"log.every=3", "checkpoint.keep=9", "train.steps=99",
                                             "train.recompute=full"}))
                  .empty());
  EXPECT_EQ(training_changes(stored, read({"optimizer.lr=0.5"})),
            (std::vector<std::string>{"--set optimizer.lr: 0.5 now, 0.0001 in the run"}));
}

TEST(Config, AGivenEndOfTheDecayIsCompared) {
  const Json derived = training_values(read_resolved({"train.steps=20"}));
  const Json given = training_values(read_resolved({"schedule.decay_steps=20"}));
  EXPECT_EQ(training_changes(given, read_resolved({"schedule.decay_steps=30"})),
            (std::vector<std::string>{"--set schedule.decay_steps: 30 now, 20 in the run"}));
  EXPECT_EQ(training_changes(derived, read_resolved({"schedule.decay_steps=30"})).size(), 1U);
  EXPECT_TRUE(training_changes(derived, read_resolved({"schedule.decay_steps=20"})).empty());
  EXPECT_TRUE(training_changes(given, read_resolved({"train.steps=20"})).empty());
}

TEST(Config, AnEmptySectionIsNotAnError) {
  ConfigNode root = parse_config_tree(std::string(kText) + "eval:\n", "x.yaml");
  EXPECT_NO_THROW(config_from_tree(root));
}

TEST(Config, EmptyFileNamesWhatIsMissing) {
  EXPECT_THROW(config_from_tree(parse_config_tree("", "x.yaml")), InputError);
}

}  // namespace
}  // namespace weft
