// weft inspect-data: what it prints is the samples of the run.
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/scratch_dir.hpp"

namespace weft {
namespace {

using namespace testing_support;

class InspectData : public ::testing::Test {
 protected:
  InspectData() {
    put(dir_ / "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nred\ngreen\nblue\n##ish\n");
    put(dir_ / "a.txt", "red green\nblueish green\n\ngreen blue\nred redish\n");
    put(dir_ / "run.yaml",
        "run: {dir: run}\nmodel: {type: bert}\ntokenizer: .\ndata:\n  train: [{path: tokens}]\n  "
        "seq_length: 16\n");
    const auto prepared = run("prepare --tokenizer . --output tokens a.txt");
    EXPECT_EQ(prepared.status, 0) << prepared.err;
  }
  ProgramResult run(const std::string& words) const {
    return run_shell("cd " + dir_.path().string() + "; \"$WEFT\" " + words);
  }
  ScratchDir dir_;
};

TEST_F(InspectData, MarksWhatIsPredicted) {
  const auto r = run("inspect-data run.yaml --sample 3 --count 2");
  EXPECT_EQ(r.status, 0) << r.err;
  std::istringstream lines(r.out);
  std::vector<std::string> all;
  for (std::string line; std::getline(lines, line);) all.push_back(line);
  ASSERT_EQ(all.size(), 6U) << r.out;
  EXPECT_EQ(all[0].rfind("sample 3: tokens, ", 0), 0U);
  EXPECT_NE(all[0].find(", label "), std::string::npos);
  EXPECT_EQ(all[1].rfind("  A (document ", 0), 0U);
  EXPECT_NE(all[1].find("): [CLS] "), std::string::npos);
  EXPECT_NE((all[1] + all[2]).find('<'), std::string::npos);
  EXPECT_EQ(all[2].substr(all[2].size() - 5), "[SEP]");
  EXPECT_EQ(r.out.find('\x1b'), std::string::npos);
  EXPECT_NE(r.err.find("2 documents, 10 tokens, 2 samples to an epoch"), std::string::npos)
      << r.err;
}

TEST_F(InspectData, JsonHasTheSampleWhole) {
  const auto r = run("inspect-data run.yaml --count 1 --json --set objective.sentence=none");
  EXPECT_EQ(r.status, 0) << r.err;
  const Json s = parse_json(r.out, "output");
  EXPECT_EQ(s["sample"], 0);
  EXPECT_EQ(s["source"], "tokens");
  EXPECT_EQ(s["ids"].size(), 7U);
  EXPECT_EQ(s["tokens"][0], "[CLS]");
  EXPECT_EQ(s["masked_places"].size(), 1U);
  EXPECT_EQ(s["masked_tokens"].size(), 1U);
  EXPECT_TRUE(s["sentence_label"].is_null());
  EXPECT_EQ(s["segments"].size(), 1U);
}

TEST_F(InspectData, SaysWhatIsMissing) {
  const auto no_eval = run("inspect-data run.yaml --eval");
  EXPECT_EQ(no_eval.status, 2);
  EXPECT_EQ(no_eval.err, "error: run.yaml: has no data.eval to look at\n");
  const auto no_data = run("inspect-data run.yaml --set data.train='[{path: nowhere}]'");
  EXPECT_EQ(no_data.status, 2);
  EXPECT_EQ(no_data.err,
            "error: nowhere.idx: no such token file\nhint: give the prefix that weft prepare "
            "--output was given\n");
  put(dir_ / "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nred\ngreen\nblue\n##ly\n");
  const auto other = run("inspect-data run.yaml");
  EXPECT_EQ(other.status, 2);
  EXPECT_EQ(other.err.rfind("error: tokens.json: prepared with another tokenizer (", 0), 0U)
      << other.err;
}

}  // namespace
}  // namespace weft
