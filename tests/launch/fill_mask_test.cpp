// weft fill-mask through the binary, against the pipeline of `transformers` (make_reference.py).
#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/scratch_dir.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;
using namespace testing_support;

const fs::path kModel = fs::path(WEFT_TEST_DIR) / "data/bert_reference";

std::vector<Json> answers_of(const ProgramResult& r) {
  EXPECT_EQ(r.status, 0) << r.err;
  std::vector<Json> answers;
  std::istringstream lines(r.out);
  for (std::string line; std::getline(lines, line);) answers.push_back(parse_json(line, "output"));
  return answers;
}

ProgramResult fill_mask(const fs::path& model, const std::vector<std::string>& words) {
  std::vector<std::string> all = {"fill-mask", model};
  all.insert(all.end(), words.begin(), words.end());
  return run_weft(all);
}

void expect_equal(const Json& answer, const Json& expected) {
  EXPECT_EQ(answer.at("text"), expected.at("text"));
  ASSERT_EQ(answer.at("masks").size(), expected.at("masks").size());
  for (std::size_t m = 0; m < expected.at("masks").size(); ++m) {
    const Json& words = answer.at("masks")[m];
    const Json& right = expected.at("masks")[m];
    ASSERT_EQ(words.size(), right.size());
    for (std::size_t k = 0; k < right.size(); ++k) {
      EXPECT_EQ(words[k].at("token"), right[k].at("token"));
      EXPECT_EQ(words[k].at("id"), right[k].at("id"));
      EXPECT_NEAR(words[k].at("score").get<double>(), right[k].at("score").get<double>(), 1e-5);
    }
  }
}

TEST(FillMask, TokensAndScoresEqualTransformers) {
  const Json expected = read_json(kModel / "fill_mask.json");
  std::vector<std::string> words = {"--top", "7"};
  std::string lines;
  for (const Json& e : expected) {
    words.push_back(e.at("text").get<std::string>());
    lines += words.back() + "\n";
  }
  const std::vector<Json> answers = answers_of(fill_mask(kModel, words));
  ASSERT_EQ(answers.size(), expected.size());
  for (std::size_t i = 0; i < answers.size(); ++i) expect_equal(answers[i], expected[i]);

  const ScratchDir dir;
  put(dir / "lines", lines);
  const std::string from_input =
      "\"$WEFT\" fill-mask --top 7 " + kModel.string() + " <" + (dir / "lines").string();
  EXPECT_EQ(answers_of(run_shell(from_input)), answers);
}

TEST(FillMask, TopIsFiveAndAtMostTheVocabulary) {
  const auto count = [](const std::vector<std::string>& words, const fs::path& model = kModel) {
    return answers_of(fill_mask(model, words)).at(0).at("masks").at(0).size();
  };
  EXPECT_EQ(count({"[MASK]"}), 5U);
  EXPECT_EQ(count({"[MASK]", "--top", "1"}), 1U);
  EXPECT_EQ(count({"[MASK]", "--top", "100"}), 61U);
  // A model with more rows than its tokenizer has tokens.
  const ScratchDir dir;
  fs::copy(kModel, dir / "model");
  put(dir / "model/vocab.txt", read_whole(kModel / "vocab.txt").substr(0, 250));
  EXPECT_LT(count({"[MASK]", "--top", "100"}, dir / "model"), 61U);
}

TEST(FillMask, BadTextsEndWithTwoBeforeAnyAnswer) {
  const auto expect = [](const ProgramResult& r, const std::string& message,
                         const std::string& hint) {
    EXPECT_EQ(r.status, 2);
    EXPECT_EQ(r.out, "");
    EXPECT_EQ(r.err.substr(0, message.size()), message) << r.err;
    EXPECT_NE(r.err.find(hint), std::string::npos) << r.err;
  };
  expect(fill_mask(kModel, {"a [MASK]", "no mask"}), "error: TEXT 2: no [MASK] in: no mask",
         "write [MASK]");
  expect(fill_mask(kModel, {"a b c d e f g h i j k l m n o [MASK]"}),
         "error: TEXT 1: 18 tokens, but the model has 16 positions", "shorten the text");
  expect(run_shell("echo no mask | \"$WEFT\" fill-mask " + kModel.string()),
         "error: standard input:1: no [MASK] in: no mask", "write [MASK]");
  expect(fill_mask(kModel / "none", {"[MASK]"}),
         "error: " + (kModel / "none").string() + ": no such directory", "model directory");
  expect(fill_mask(kModel, {"[MASK]", "--top", "0"}), "error: --top", "1");
}

TEST(FillMask, AModelWithoutTheHeadIsRefused) {
  const ScratchDir dir;
  fs::copy(kModel, dir / "model");
  std::string config = read_whole(kModel / "config.json");
  config.replace(config.find("BertForPreTraining"), 18, "BertModel");
  put(dir / "model/config.json", config);
  const ProgramResult r = fill_mask(dir / "model", {"[MASK]"});
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find("no masked-language-model head"), std::string::npos) << r.err;
}

}  // namespace
}  // namespace weft
