// Wrong configurations: each ends with status 2, names file and line and what would be right, and
// writes nothing.
#include <gtest/gtest.h>

#include "tests/launch/tiny_run.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

struct BadConfig {
  std::string name;
  std::size_t line;     // of the tiny configuration, counted from 1, that `text` replaces
  std::string text;     // "" removes the line
  std::string message;  // what follows "error: FILE:"
  std::string hint;     // a part of the hint
};

void PrintTo(const BadConfig& bad, std::ostream* out) { *out << bad.text; }

// Replaced in messages: the paths of this run of the tests.
std::string filled(std::string s) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    for (std::size_t at = s.find(from); at != std::string::npos;
         at = s.find(from, at + to.size())) {
      s.replace(at, from.size(), to);
    }
  };
  replace("$DATA", tiny_data().string());
  return s;
}

const std::vector<BadConfig>& cases() {
  static const std::vector<BadConfig> list = {
      {"UnknownKey", 9, "optimizer: {tipe: adamw}", "9: unknown key 'optimizer.tipe'",
       "did you mean 'optimizer.type'?"},
      {"UnknownSection", 9, "optimzer: {lr: 1.0e-3}", "9: unknown key 'optimzer.lr'",
       "did you mean 'optimizer.lr'?"},
      {"UnknownTopLevelKey", 3, "tokeniser: tok", "3: unknown key 'tokeniser'",
       "did you mean 'tokenizer'?"},
      {"NothingNear", 9, "optimizer: {xyzzy: 1}", "9: unknown key 'optimizer.xyzzy'",
       "optimizer has: type, lr, betas"},
      {"KeyOfAnotherSection", 11, "train: {seed: 3}", "11: unknown key 'train.seed'",
       "did you mean 'run.seed'?"},
      {"UnknownModelKey", 2, "model: {type: bert, hiden_size: 32}",
       "2: unknown key 'model.hiden_size'", "did you mean 'model.hidden_size'?"},
      {"ModelType", 2, "model: {type: brt}", "2: model.type: 'brt' is not possible",
       "did you mean bert?"},
      {"NoModel", 2, "", ": model is missing", "model: {type: bert"},
      {"ModelTypeAndFrom", 2, "model: {type: bert, from: there}", "2: model.from beside model.type",
       "model: {from: MODEL_DIR}"},
      {"NoTokenizer", 3, "", ": tokenizer is missing", "directory of the tokenizer"},
      {"NoTrainingData", 5, "", ": data.train is missing", "{path: data/wiki"},
      {"NoRunDirectory", 1, "run: {seed: 3}", ": run.dir is missing", "directory of the run"},
      {"TextForNumber", 9, "optimizer: {lr: fast}", "9: optimizer.lr: 'fast' is not possible",
       "use a number above 0 up to 100"},
      {"QuotedNumber", 9, "optimizer: {lr: \"0.001\"}",
       "9: optimizer.lr: \"0.001\" is not possible", "without quotes"},
      {"RealForWhole", 11, "train: {steps: 20.5}", "11: train.steps: '20.5' is not possible",
       "use a whole number from 1"},
      {"ExponentForWhole", 11, "train: {steps: 1e6}", "11: train.steps: '1e6' is not possible",
       "use a whole number from 1"},
      {"Octal", 11, "train: {steps: 020}", "11: train.steps: '020' is not possible",
       "use a whole number"},
      {"Hexadecimal", 11, "train: {steps: 0x20}", "11: train.steps: '0x20' is not possible",
       "use a whole number"},
      {"NotANumber", 9, "optimizer: {lr: .nan}", "9: optimizer.lr: '.nan' is not possible",
       "use a number above 0"},
      {"Negative", 9, "optimizer: {lr: -0.001}", "9: optimizer.lr: '-0.001' is not possible",
       "use a number above 0"},
      {"Zero", 11, "train: {steps: 0}", "11: train.steps: '0' is not possible",
       "use a whole number from 1"},
      {"TooLargeForAnyNumber", 11, "train: {steps: 99999999999999999999}",
       "11: train.steps: '99999999999999999999' is not possible", "use a whole number from 1"},
      {"ShareAboveOne", 8, "objective: {mask_probability: 1.5}",
       "8: objective.mask_probability: '1.5' is not possible", "use a number above 0 up to 1"},
      {"NoForFlag", 13, "log: {tensorboard: no}", "13: log.tensorboard: 'no' is not possible",
       "use true or false"},
      {"Choice", 10, "schedule: {type: linnear}", "10: schedule.type: 'linnear' is not possible",
       "did you mean linear?"},
      {"Precision", 11, "train: {precision: fp8}", "11: train.precision: 'fp8' is not possible",
       "use one of: fp32, bf16, fp16"},
      {"PrecisionOfOtherDevices", 11, "train: {precision: fp16}",
       "11: train.precision: fp16 is not possible: CPUs do not compute in it", "or a GPU"},
      {"SentenceTask", 8, "objective: {sentence: nps}",
       "8: objective.sentence: 'nps' is not possible", "did you mean nsp?"},
      {"OneBeta", 9, "optimizer: {betas: [0.9]}", "9: optimizer.betas: is a list",
       "two numbers from 0 to below 1"},
      {"BetaOfOne", 9, "optimizer: {betas: [0.9, 1.0]}",
       "9: optimizer.betas: '1.0' is not possible", "two numbers from 0 to below 1"},
      {"SectionForValue", 9, "optimizer: {lr: {a: 1}}", "9: optimizer.lr: is a section",
       "use a number above 0"},
      {"ValueForSection", 9, "optimizer: adamw", "9: optimizer: 'adamw' is not possible",
       "a section: optimizer: {...}"},
      {"NoValue", 3, "tokenizer:", "3: tokenizer: has no value", "use a text"},
      {"SourceWithoutPath", 5, "  train: [{weight: 1.0}]",
       "5: data.train[0]: a source without a path", "{path: PREFIX}"},
      {"SourceKey", 5, "  train: [{paht: x}]", "5: unknown key 'data.train[0].paht'",
       "did you mean 'path'?"},
      {"SourceWeight", 5, "  train: [{path: x, weight: 0}]",
       "5: data.train[0].weight: '0' is not possible", "use a number above 0"},
      {"SourceNoList", 5, "  train: data/wiki", "5: data.train: 'data/wiki' is not possible",
       "use a list such as [{path: data/wiki, weight: 1.0}]"},
      {"DuplicateKey", 9, "optimizer: {lr: 1.0e-3, lr: 1.0e-4}", "9: key 'lr' is given twice",
       "the first is at"},
      {"DuplicateSection", 13, "train: {steps: 3}", "13: key 'train' is given twice",
       "run.yaml:11: remove one"},
      {"Anchor", 9, "optimizer: &o {lr: 1.0e-3}", "9: anchors and aliases are not allowed here",
       "write the value where it is used"},
      {"Alias", 9, "optimizer: *o", "9: not YAML: ", "write NAME: VALUE"},
      {"MergeKey", 9, "optimizer: {<<: {lr: 1.0e-3}}", "9: a key must be a name",
       "write NAME: VALUE"},
      {"Tag", 9, "optimizer: {lr: !!float 3}", "9: tags such as", "leave the tag out"},
      {"NotYaml", 9, "optimizer: {lr: 1.0e-3", "10: not YAML: ", "write NAME: VALUE"},
      {"Tab", 7, "\tseq_length: 32", "7: not YAML: ", "indented by spaces"},
      {"TwoDocuments", 14, "---\neval: {every: 10}", ": more than one YAML document",
       "remove the line '---'"},
      {"BatchNotDivisible", 11, "train: {steps: 20, global_batch: 10, micro_batch: 4}",
       "11: train.global_batch: 10 is not divisible by train.micro_batch: 4", "global batch of 12"},
      {"TimedProductsOfTensorRanks", 11,
       "train: {steps: 20, global_batch: 8, time_products: true}\nparallel: {tensor: 2}",
       "11: train.time_products: true does not go with parallel.tensor: 2",
       "leave train.time_products out"},
      {"TensorOfOneRank", 13, "parallel: {tensor: 2}",
       "13: parallel.tensor: 2 does not divide 1 rank", "mpirun -np 2"},
      {"HeadsDoNotDivideWidth", 2, "model: {type: bert, hidden_size: 30, num_attention_heads: 4}",
       "2: model.hidden_size: 30 is not a multiple of model.num_attention_heads: 4",
       "must be whole"},
      {"ModelValue", 2, "model: {type: bert, hidden_size: wide}",
       "2: model.hidden_size: \"wide\" is not usable", "a whole number from 1"},
      {"ModelActivation", 2, "model: {type: bert, hidden_act: gleu}",
       "2: model.hidden_act: \"gleu\" is not usable", "gelu"},
      {"SequenceTooLong", 7, "  seq_length: 65",
       "7: data.seq_length: 65 is longer than model.max_position_embeddings: 64", "use at most 64"},
      {"Vocabulary", 2, "model: {type: bert, hidden_size: 32, vocab_size: 30522}",
       "2: model.vocab_size: 30522 but the tokenizer $DATA/tokenizer has 600 tokens",
       "leave model.vocab_size out"},
      {"TokenTypes", 2, "model: {type: bert, hidden_size: 48, type_vocab_size: 1}",
       "8: objective.sentence: pairs need two token types", "objective.sentence: none"},
      {"WarmupTooLong", 10, "schedule: {warmup_steps: 21, decay_steps: 20}",
       "10: schedule.warmup_steps: 21 is more than schedule.decay_steps: 20", "use fewer steps"},
      {"MinimumAboveRate", 10, "schedule: {min_lr: 0.1}",
       "10: schedule.min_lr: 0.1 is above optimizer.lr: 0.001", "decays from optimizer.lr"},
      {"EvaluationWithoutData", 6, "", "13: eval.every: 10 without data.eval",
       "name held-out token files"},
      {"PredictionsBeyondSample", 8, "objective: {max_predictions: 33}",
       "8: objective.max_predictions: 33 is more than data.seq_length: 32", "at most"},
      {"TokenizerNotThere", 3, "tokenizer: $DATA/none", "3: tokenizer: $DATA/none", ""},
      {"DataNotThere", 5, "  train: [{path: $DATA/none}]", "5: data.train: $DATA/none", ""},
  };
  return list;
}

class BadConfigTest : public testing::TestWithParam<BadConfig> {};

TEST_P(BadConfigTest, IsRefusedWithItsPlace) {
  const BadConfig& bad = GetParam();
  const fs::path run_dir = new_directory("bad") / "run";
  std::vector<std::string> lines = tiny_config(run_dir);
  if (bad.text.empty()) {
    lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(bad.line) - 1);
  } else {
    lines[bad.line - 1] = filled(bad.text);
  }
  const fs::path file = write_config(lines);
  const ProgramResult r = run_weft({"pretrain", file.string()});
  EXPECT_EQ(r.status, 2);
  const std::string colon = bad.message.starts_with(":") ? "" : ":";
  const std::string begin = "error: " + file.string() + colon + filled(bad.message);
  EXPECT_EQ(r.err.substr(0, begin.size()), begin) << r.err;
  const std::size_t hint = r.err.find("\nhint: ");
  ASSERT_NE(hint, std::string::npos) << r.err;
  EXPECT_NE(r.err.find(bad.hint, hint), std::string::npos) << r.err;
  EXPECT_EQ(r.out, "");
  EXPECT_FALSE(fs::exists(run_dir));
}

INSTANTIATE_TEST_SUITE_P(Configurations, BadConfigTest, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

TEST(BadConfigFile, DeepNestingIsRefused) {
  std::vector<std::string> lines = tiny_config(new_directory("deep") / "run");
  lines[8] = "optimizer: " + std::string(100, '[') + std::string(100, ']');
  const fs::path file = write_config(lines);
  const ProgramResult r = run_weft({"pretrain", file.string()});
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find(file.string() + ":9: more than 64 levels"), std::string::npos) << r.err;
}

TEST(BadConfigFile, HugeFilesAreRefused) {
  std::vector<std::string> lines = tiny_config(new_directory("huge") / "run");
  lines.push_back("# " + std::string(1 << 20, 'x'));
  const ProgramResult r = run_weft({"pretrain", write_config(lines).string()});
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find("larger than 1048576 bytes"), std::string::npos) << r.err;
}

}  // namespace
}  // namespace weft
