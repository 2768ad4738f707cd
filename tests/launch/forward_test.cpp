// weft forward through the binary, against what `transformers` computes (make_reference.py).
#include <gtest/gtest.h>

#include "core/io/safetensors.hpp"
#include "tests/core/tensor_helpers.hpp"
#include "tests/launch/tiny_run.hpp"
#include "tests/scratch_dir.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;
using namespace testing_support;

const fs::path kModel = fs::path(WEFT_TEST_DIR) / "data/bert_reference";

class Forward : public testing::Test {
 protected:
  ProgramResult forward(const fs::path& model, const std::string& lines, const std::string& name,
                        std::vector<std::string> options = {}) const {
    put(dir_ / name, lines);
    std::vector<std::string> words = {"forward", model, dir_ / name, "--output", out()};
    words.insert(words.end(), options.begin(), options.end());
    return run_weft(words);
  }
  fs::path out() const { return dir_ / "out.safetensors"; }
  Tensor result(const std::string& name) const { return tensor(out(), name); }
  static Tensor tensor(const fs::path& path, const std::string& name) {
    const SafetensorsFile file(path);
    return file.read(file.at(name));
  }

  // The fixture's padded batch as lines of ids: without the padding, or with it behind a mask.
  static std::string id_lines(bool padded) {
    const fs::path file = kModel / "reference.safetensors";
    const Tensor mask = tensor(file, "input.mask");
    const std::int64_t T = mask.shape()[1];
    std::string lines;
    for (std::int64_t b = 0; b < mask.shape()[0]; ++b) {
      const auto row = [&](const Tensor& x) {
        Json values = Json::array();
        const std::vector<float> all = to_vector(x);
        for (std::int64_t t = 0; t < T; ++t) {
          const auto i = static_cast<std::size_t>(b * T + t);
          if (padded || to_vector(mask)[i] != 0) values.push_back(static_cast<int>(all[i]));
        }
        return values;
      };
      Json line = {{"ids", row(tensor(file, "input.ids"))},
                   {"type_ids", row(tensor(file, "input.types"))}};
      if (padded) line["mask"] = row(mask);
      lines += line.dump() + "\n";
    }
    return lines;
  }

  // Rows [first, first + count) of a result against the reference's `expected`.
  void expect_rows(const std::string& name, const Tensor& expected, std::int64_t first) const {
    const Tensor part = result(name).narrow(first, expected.shape()[0]);
    ASSERT_EQ(part.shape().str(), expected.shape().str()) << name;
    EXPECT_TRUE(close(part, expected, 1e-4, 1e-4)) << name;
  }

  ScratchDir dir_;
};

TEST_F(Forward, TextsEqualTransformers) {
  const ProgramResult r = forward(kModel, read_whole(kModel / "texts.jsonl"), "texts.jsonl");
  ASSERT_EQ(r.status, 0) << r.err;
  const SafetensorsFile expected(kModel / "texts.safetensors");
  EXPECT_EQ(expected.tensors().size(), 7U);
  EXPECT_EQ(SafetensorsFile(out()).tensors().size(), 7U);
  for (const auto& t : expected.tensors()) expect_rows(t.name, expected.read(t), 0);
}

TEST_F(Forward, IdsEqualTransformersInEveryBatch) {
  const fs::path reference = kModel / "reference.safetensors";
  for (const bool padded : {false, true}) {
    std::string lines;
    for (int i = 0; i < 12; ++i) lines += id_lines(padded);  // more than two batches
    const ProgramResult r = forward(kModel, lines, "ids.jsonl", {"--hidden-states"});
    ASSERT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(SafetensorsFile(out()).tensors().size(), 10U);
    for (std::int64_t first = 0; first < 36; first += 3) {
      for (const char* name : {"logits", "seq_relationship_logits", "pooler_output",
                               "hidden_states.0", "hidden_states.1", "hidden_states.2"}) {
        expect_rows(name, tensor(reference, name), first);
      }
      expect_rows("last_hidden_state", tensor(reference, "hidden_states.2"), first);
      expect_rows("attention_mask", tensor(reference, "input.mask"), first);
    }
  }
}

TEST_F(Forward, LinesAreTextsUnlessTheyBeginAsObjects) {
  const std::string lines =
      "{the} cat\n{\"the\"} cat\n { \"text\": \"cat\"}\n{ \"text\" : \"the cat\"}\n";
  ASSERT_EQ(forward(kModel, lines, "lines.txt").status, 0);
  const Tensor mask = result("attention_mask");
  // [CLS] { the } cat [SEP], where braces and quotes are unknown words; the third begins with a
  // blank and is a text of nine words and signs.
  std::vector<float> tokens;
  for (std::int64_t b = 0; b < 4; ++b) {
    const std::vector<float> row = to_vector(mask.narrow(b, 1));
    tokens.push_back(static_cast<float>(std::count(row.begin(), row.end(), 1.0F)));
  }
  EXPECT_EQ(tokens, (std::vector<float>{6, 8, 11, 4}));
  const ProgramResult r = forward(kModel, "the cat\n", "lines.jsonl");
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find("error: " + (dir_ / "lines.jsonl").string() + ":1"), std::string::npos)
      << r.err;
}

TEST_F(Forward, ReadsStandardInput) {
  const ProgramResult r = run_shell("echo the cat | \"$WEFT\" forward " + kModel.string() +
                                    " --output " + out().string());
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(result("input_ids").shape(), Shape({1, 4}));
}

TEST_F(Forward, TakesARunDirectory) {
  std::vector<std::string> lines = tiny_config(dir_ / "run");
  const ProgramResult trained = run_weft(
      {"pretrain", write_config(lines), "--set", "train.steps=1", "--set", "eval.batches=1"});
  ASSERT_EQ(trained.status, 0) << trained.err;
  const fs::path checkpoint = dir_ / "run" / "checkpoints" / "step-00000001";
  const ProgramResult r = forward(dir_ / "run", "a text\nanother one\n", "texts.txt");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.err.find("using " + checkpoint.string()), std::string::npos) << r.err;
  const std::string of_run = read_whole(out());
  ASSERT_EQ(forward(checkpoint, "a text\nanother one\n", "texts.txt").status, 0);
  EXPECT_EQ(read_whole(out()), of_run);
}

TEST_F(Forward, BadInputsEndWithTwoThePlaceAndNoFile) {
  const auto expect = [&](const std::string& lines, const std::string& message,
                          const std::string& hint) {
    const ProgramResult r = forward(kModel, lines, "bad.jsonl");
    EXPECT_EQ(r.status, 2) << lines;
    const std::string error = "error: " + (dir_ / "bad.jsonl").string() + message;
    EXPECT_EQ(r.err.substr(0, error.size()), error) << r.err;
    EXPECT_NE(r.err.find(hint), std::string::npos) << r.err;
    EXPECT_FALSE(fs::exists(out()));
  };
  const std::string good = "{\"ids\": [2, 3]}\n";
  expect(good + "{\"ids\": [2, 61]}\n", ":2: 61 in \"ids\"", "from 0 to 60");
  expect(good + "{\"ids\": [2, -1]}\n", ":2: -1 in \"ids\"", "from 0 to 60");
  expect("{\"ids\": [2], \"type_ids\": [2]}\n", ":1: 2 in \"type_ids\"", "from 0 to 1");
  expect("{\"ids\": [2, 3], \"mask\": [1]}\n", ":1: ids, type_ids and mask differ in length",
         "one number per token");
  expect("{\"ids\": []}\n", ":1: no tokens", "at least one token");
  expect("{\"ids\": [2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2]}\n",
         ":1: 17 tokens, but the model has 16 positions", "shorten");
  expect(good + good + "{\"ids\": [2\n", ":3", "");
  expect(good + "{\"input_ids\": [2]}\n", ":2: no string \"text\"", "{\"ids\": [..]}");
  expect(good + "[1, 2]\n", ":2: no string \"text\"", "{\"ids\": [..]}");
  expect("", ": no lines", "one text per line");
}

TEST_F(Forward, WrongFilesAreToldBeforeAnyWork) {
  const auto expect = [&](const std::vector<std::string>& words, const std::string& message) {
    const ProgramResult r = run_weft(words);
    EXPECT_EQ(r.status, 2);
    EXPECT_NE(r.err.find("error: " + message), std::string::npos) << r.err;
  };
  put(dir_ / "texts.txt", "cat\n");
  const std::string texts = dir_ / "texts.txt";
  expect({"forward", kModel, texts, "--output", dir_ / "none" / "o.safetensors"},
         (dir_ / "none" / "o.safetensors").string() + ": its folder does not exist");
  expect({"forward", kModel, texts, "--output", dir_.path()},
         dir_.path().string() + ": is a directory");
  expect({"forward", kModel, dir_ / "none.txt", "--output", out()},
         (dir_ / "none.txt").string() + ": cannot be opened");
  expect({"forward", dir_ / "none", texts, "--output", out()},
         (dir_ / "none").string() + ": no such directory");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_.path()), {}), 1);  // texts.txt
}

}  // namespace
}  // namespace weft
