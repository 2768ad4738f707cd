// Wrong command lines and wrong inputs: each ends with status 2, says what would be right, and
// writes nothing.
#include <fstream>

#include <gtest/gtest.h>

#include "tests/launch/tiny_run.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

struct BadInput {
  std::string name;
  std::string command;  // a shell command in a new directory; $WEFT, $CONFIG (a good one), $DATA
  std::string message;  // the beginning of the error
  std::string hint;     // a part of the hint
};

void PrintTo(const BadInput& bad, std::ostream* out) { *out << bad.command; }

// m: a model directory; a configuration c.yaml that begins from there.
const std::string kSource =
    "$WEFT pretrain $CONFIG --set run.dir=first --set train.steps=1 --quiet; "
    "mv first/checkpoints/step-00000001 m; ";
const std::string kFromSource =
    "; sed '2s/.*/model: {from: m}/' $CONFIG >c.yaml; $WEFT pretrain c.yaml";

const std::vector<BadInput>& cases() {
  static const std::vector<BadInput> list = {
      {"UnknownCommand", "$WEFT pretrian $CONFIG", "unknown command 'pretrian'",
       "did you mean weft pretrain?"},
      {"NoConfiguration", "$WEFT pretrain", "weft pretrain needs CONFIG", "a YAML file"},
      {"TwoConfigurations", "$WEFT pretrain $CONFIG other.yaml",
       "weft pretrain: 'other.yaml' is one argument too many", "weft help pretrain"},
      {"ConfigurationNotThere", "$WEFT pretrain none.yaml", "none.yaml: no such file", "configs/"},
      {"ConfigurationIsADirectory", "$WEFT pretrain $DATA", "$DATA: is a directory",
       "give a YAML file"},
      {"ConfigurationIsBinary", "$WEFT pretrain $DATA/train.idx", "$DATA/train.idx:", ""},
      {"UnknownOption", "$WEFT pretrain $CONFIG --sett train.steps=3",
       "weft pretrain: unknown option --sett", "did you mean --set?"},
      {"UnknownShortOption", "$WEFT pretrain $CONFIG -x", "weft pretrain: unknown option -x",
       "weft help pretrain"},
      {"SetWithoutValue", "$WEFT pretrain $CONFIG --set", "--set needs a value", "KEY=VALUE"},
      {"SetWithoutEquals", "$WEFT pretrain $CONFIG --set train.steps",
       "--set train.steps: no KEY=VALUE", "--set optimizer.lr=1e-4"},
      {"SetWithoutKey", "$WEFT pretrain $CONFIG --set =3", "--set =3: no KEY=VALUE",
       "--set optimizer.lr=1e-4"},
      {"SetOfAnUnknownKey", "$WEFT pretrain $CONFIG --set train.stepz=3",
       "--set train.stepz: unknown key 'train.stepz'", "did you mean 'train.steps'?"},
      {"SetOfAWrongValue", "$WEFT pretrain $CONFIG --set train.steps=many",
       "--set train.steps: 'many' is not possible", "a whole number from 1"},
      {"SetOfNothing", "$WEFT pretrain $CONFIG --set optimizer.lr=",
       "--set optimizer.lr: has no value", "a number above 0"},
      {"SetOfASection", "$WEFT pretrain $CONFIG --set 'train={steps: 3}'",
       "--set train: sets one key, not a section", "--set train.KEY=VALUE"},
      {"SetOfBrokenYaml", "$WEFT pretrain $CONFIG --set 'optimizer.betas=[0.9'",
       "--set optimizer.betas: ", "write NAME: VALUE"},
      {"SetMakesAContradiction", "$WEFT pretrain $CONFIG --set train.micro_batch=3",
       "$CONFIG:11: train.global_batch: 8 is not divisible by train.micro_batch: 3 at --set "
       "train.micro_batch",
       "use a global batch of 9"},
      {"NoSuchDevice", "$WEFT pretrain $CONFIG --device gpu", "--device: 'gpu' is not possible",
       "auto, cpu, cuda"},
      {"DeviceNotBuiltIn", "$WEFT pretrain $CONFIG --device cuda",
       "--device cuda: this build has no CUDA", "--device cpu"},
      {"DeviceNotBuiltInForAModel", "$WEFT fill-mask $DATA --device cuda",
       "--device cuda: this build has no CUDA", "--device cpu"},
      {"NoSuchPrecision", "$WEFT pretrain $CONFIG --precision fp8",
       "--precision: 'fp8' is not possible", "fp32, bf16, fp16"},
      {"PrecisionNotBuiltIn", "$WEFT pretrain $CONFIG --precision fp16",
       "--precision fp16: CPUs do not compute in fp16", "fp32 or bf16"},
      {"NoThreads", "$WEFT pretrain $CONFIG --threads 0", "--threads: 0 is out of range",
       "from 1 to 4096"},
      {"ThreadsNoNumber", "$WEFT pretrain $CONFIG --threads=all",
       "--threads: 'all' is not a whole number", "from 1 to 4096"},
      {"FlagWithAValue", "$WEFT pretrain $CONFIG --dry-run=yes", "--dry-run takes no value",
       "write --dry-run alone"},
      {"ResumeFromNowhere", "$WEFT pretrain $CONFIG --resume none",
       "--resume none: no checkpoint there", "give a checkpoint"},
      {"RunDirectoryIsAFile", "touch file; $WEFT pretrain $CONFIG --set run.dir=file",
       "--set run.dir: file is not a directory", "name a directory"},
      {"RunDirectoryHoldsOtherThings",
       "mkdir home; touch home/thesis; $WEFT pretrain $CONFIG --set run.dir=home",
       "--set run.dir: home is not empty and holds no run", "name a new directory"},
      {"TokenizerDirectoryIsEmpty", "mkdir t; $WEFT pretrain $CONFIG --set tokenizer=t",
       "--set tokenizer: t", ""},
      {"TokenizerIsBroken",
       "cp -r $DATA/tokenizer t; echo '{' >t/tokenizer.json; $WEFT pretrain $CONFIG --set "
       "tokenizer=t",
       "--set tokenizer: t/tokenizer.json:", ""},
      {"DataIndexMissing",
       "cp $DATA/train.bin d.bin; $WEFT pretrain $CONFIG --set 'data.train=[{path: d}]'",
       "--set data.train: d.", ""},
      {"DataIndexCutShort",
       "cp $DATA/train.bin d.bin; cp $DATA/train.json d.json; head -c 100 $DATA/train.idx >d.idx; "
       "$WEFT pretrain $CONFIG --set 'data.train=[{path: d}]'",
       "--set data.train: d.idx: ", ""},
      {"DataCutShort",
       "cp $DATA/train.idx d.idx; cp $DATA/train.json d.json; head -c 100 $DATA/train.bin >d.bin; "
       "$WEFT pretrain $CONFIG --set 'data.train=[{path: d}]'",
       "--set data.train: d.", ""},
      {"DataOfAnotherTokenizer",
       "cp -r $DATA/tokenizer t; sed -i '600s/.*/zzz/' t/vocab.txt; $WEFT pretrain $CONFIG --set "
       "tokenizer=t",
       "$CONFIG:5: data.train: $DATA/train", ""},
      {"ModelDirectoryMissing",
       "sed '2s/.*/model: {from: none}/' $CONFIG >c.yaml; $WEFT pretrain c.yaml",
       "c.yaml:2: model.from: none: no such directory", "checkpoint"},
      {"ModelConfigurationIsBroken",
       "mkdir m; echo '{\"model_type\": }' >m/config.json; sed '2s/.*/model: {from: m}/' $CONFIG "
       ">c.yaml; $WEFT pretrain c.yaml",
       "c.yaml:2: m/config.json:1: ", ""},
      {"ModelFamilyUnknown",
       "mkdir m; echo '{\"model_type\": \"brt\"}' >m/config.json; sed '2s/.*/model: {from: m}/' "
       "$CONFIG >c.yaml; $WEFT pretrain c.yaml",
       "c.yaml:2: ", "did you mean 'bert'?"},
      {"WeightsMissing", kSource + "rm m/model.safetensors" + kFromSource,
       "c.yaml:2: model.from: m", ""},
      {"WeightsCutShort",
       kSource + "head -c 9999 m/model.safetensors >w; mv w m/model.safetensors" + kFromSource,
       "c.yaml:2: model.from: m/model.safetensors", ""},
      {"WeightsOfAnotherShape", kSource + "sed -i s/64/48/ m/config.json" + kFromSource,
       "c.yaml:2: model.from: m/model.safetensors: ", ""},
      {"HelpOfAnUnknownCommand", "$WEFT help pretrian", "unknown command 'pretrian'",
       "did you mean weft pretrain?"},
      {"CompletionOfAnotherShell", "$WEFT completion zsh", "weft completion: no script for 'zsh'",
       "weft completion bash"},
      {"RanksWithoutAConnection", "SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=0 $WEFT pretrain $CONFIG",
       "srun started several tasks without an MPI connection", "srun --mpi=pmix"},
      {"SingleProcessCommandOnTwoRanks", "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 $WEFT help",
       "weft help runs in one process", "without mpirun"},
  };
  return list;
}

std::string filled(std::string s, const fs::path& config) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    for (std::size_t at = s.find(from); at != std::string::npos;
         at = s.find(from, at + to.size())) {
      s.replace(at, from.size(), to);
    }
  };
  replace("$CONFIG", config.string());
  replace("$DATA", tiny_data().string());
  return s;
}

class BadInputTest : public testing::TestWithParam<BadInput> {};

TEST_P(BadInputTest, IsRefused) {
  const BadInput& bad = GetParam();
  const fs::path dir = new_directory("input");
  const fs::path run_dir = dir / "run";
  const fs::path config = write_config(tiny_config(run_dir));
  const ProgramResult r = run_shell("cd " + dir.string() + "; " + filled(bad.command, config));
  EXPECT_EQ(r.status, 2);
  const std::string begin = "error: " + filled(bad.message, config);
  EXPECT_EQ(r.err.substr(0, begin.size()), begin) << r.err;
  const std::size_t hint = r.err.find("\nhint: ");
  if (!bad.hint.empty()) {
    ASSERT_NE(hint, std::string::npos) << r.err;
    EXPECT_NE(r.err.find(bad.hint, hint), std::string::npos) << r.err;
  }
  EXPECT_EQ(r.out, "");
  EXPECT_FALSE(fs::exists(run_dir));
}

INSTANTIATE_TEST_SUITE_P(Inputs, BadInputTest, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace weft
