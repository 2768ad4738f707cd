// weft train-tokenizer and weft tokenize through the binary.
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/launch/run_program.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

class TokenizerCommands : public testing::Test {
 protected:
  TokenizerCommands() {
    std::string name = (fs::temp_directory_path() / "weft-tokenize-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    write("bert/vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nw\n##orld\n.\n");
    write("text.txt", "Hello w\u00F6rld.\n\nhello [MASK]\n");
  }
  ~TokenizerCommands() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void write(const std::string& name, const std::string& content) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }

  fs::path folder_;
};

TEST_F(TokenizerCommands, PrintsIds) {
  const ProgramResult r = run_weft({"tokenize", path("bert"), path("text.txt")});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, "2 5 6 7 8 3\n2 3\n2 5 4 3\n");
  EXPECT_EQ(r.err, "");
  EXPECT_EQ(run_weft({"tokenize", path("bert"), path("text.txt"), "--no-special"}).out,
            "5 6 7 8\n\n5 4\n");
  EXPECT_EQ(run_weft({"tokenize", path("bert"), path("text.txt"), "--max-length", "3"}).out,
            "2 5 3\n2 3\n2 5 3\n");
}

TEST_F(TokenizerCommands, AFileBeyondTheLimitOfItsSizeIsAnErrorThatNamesIt) {
  write("words.txt", "the quick brown fox jumps over the lazy dog\n");
  const ProgramResult r =
      run_shell("cd " + folder_.string() +
                "; ulimit -f 2; \"$WEFT\" train-tokenizer words.txt --output new "
                "--vocab-size 300");
  EXPECT_EQ(r.status, 1) << r.err;
  EXPECT_NE(r.err.find("tokenizer.json"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("File too large"), std::string::npos) << r.err;
}

TEST_F(TokenizerCommands, ReadsStandardInput) {
  const ProgramResult r =
      run_shell("printf 'hello\\nw' | \"$WEFT\" tokenize " + path("bert") + " --no-special");
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, "5\n6\n");
}

TEST_F(TokenizerCommands, JsonHasTokensOffsetsAndTypes) {
  write("pairs.jsonl", "{\"text\": \"hello\"}\n{\"a\": \"h\u00E9llo.\", \"b\": \"world\"}\n");
  const ProgramResult r = run_weft({"tokenize", path("bert"), path("pairs.jsonl"), "--json"});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out,
            R"({"ids":[2,5,3],"tokens":["[CLS]","hello","[SEP]"],"offsets":[[0,0],[0,5],[0,0]],)"
            R"("type_ids":[0,0,0]})"
            "\n"
            R"({"ids":[2,5,8,3,6,7,3],"tokens":["[CLS]","hello",".","[SEP]","w","##orld","[SEP]"],)"
            R"("offsets":[[0,0],[0,5],[5,6],[0,0],[0,1],[1,5],[0,0]],"type_ids":[0,0,0,0,1,1,1]})"
            "\n");
}

TEST_F(TokenizerCommands, DecodesIds) {
  write("ids.txt", "2 5 6 7 8 3\n[5, 4]\n\n");
  EXPECT_EQ(run_weft({"tokenize", path("bert"), path("ids.txt"), "--decode"}).out,
            "[CLS] hello world. [SEP]\nhello [MASK]\n\n");
  EXPECT_EQ(run_weft({"tokenize", path("bert"), path("ids.txt"), "--decode", "--no-special"}).out,
            "hello world.\nhello\n\n");
  const ProgramResult round =
      run_shell("\"$WEFT\" tokenize " + path("bert") + " " + path("text.txt") +
                " --json | \"$WEFT\" tokenize " + path("bert") + " --decode --json --no-special");
  EXPECT_EQ(round.out, "{\"text\":\"hello world.\"}\n{\"text\":\"\"}\n{\"text\":\"hello\"}\n");
}

TEST_F(TokenizerCommands, BadInputEndsWithTwoAndThePlace) {
  write("bad.jsonl", "{\"text\": \"x\"}\n{\"text\": 1}\n");
  write("ids.txt", "5\n5 9\n");
  const auto expect = [&](const std::vector<std::string>& words, const std::string& message) {
    const ProgramResult r = run_weft(words);
    EXPECT_EQ(r.status, 2);
    EXPECT_NE(r.err.find("error: " + message), std::string::npos) << r.err;
  };
  expect({"tokenize", path("bert"), path("bad.jsonl")}, path("bad.jsonl") + ":2: no string");
  expect({"tokenize", path("bert"), path("ids.txt"), "--decode"},
         path("ids.txt") + ":2: not an id: 9");
  expect({"tokenize", path("bert"), path("none.txt")}, path("none.txt") + ": cannot be opened");
  expect({"tokenize", path("none")}, path("none") + ": no tokenizer here");
  expect({"tokenize", path("bert"), path("text.txt"), "--max-length", "1"}, "a length of 1");
  expect({"tokenize", path("bert"), "--max-length", "0"}, "--max-length");
}

TEST_F(TokenizerCommands, TrainsATokenizerThatTokenizes) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "Lower lowest newer newest wider \u00C9t\u00E9\n";
  write("train.txt", text);
  const ProgramResult r = run_weft({"train-tokenizer", "--type", "wordpiece", "--vocab-size", "36",
                                    "--output", path("made"), path("train.txt"), "--json"});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("\"vocab_size\":36"), std::string::npos) << r.out;
  for (const char* name :
       {"vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}) {
    EXPECT_TRUE(fs::exists(folder_ / "made" / name)) << name;
  }
  const ProgramResult ids =
      run_shell("echo 'LOWEST \u00E9t\u00E9' | \"$WEFT\" tokenize " + path("made") +
                " --no-special"
                " | \"$WEFT\" tokenize " +
                path("made") + " --decode");
  EXPECT_EQ(ids.out, "lowest ete\n");

  // Refused without --force, replaced with it.
  const std::vector<std::string> again = {"train-tokenizer", "--vocab-size", "45",
                                          "--cased",         "--output",     path("made"),
                                          path("train.txt")};
  EXPECT_EQ(run_weft(again).status, 2);
  std::vector<std::string> forced = again;
  forced.push_back("--force");
  EXPECT_EQ(run_weft(forced).status, 0);
  EXPECT_EQ(run_shell("echo 'Lower' | \"$WEFT\" tokenize " + path("made") +
                      " --no-special | \"$WEFT\" tokenize " + path("made") + " --decode")
                .out,
            "Lower\n");
}

TEST_F(TokenizerCommands, TrainingRefusesWhatItCannotDo) {
  const auto expect = [&](const std::vector<std::string>& options, const std::string& message) {
    std::vector<std::string> words = {"train-tokenizer", "--output", path("made")};
    words.insert(words.end(), options.begin(), options.end());
    const ProgramResult r = run_weft(words);
    EXPECT_EQ(r.status, 2);
    EXPECT_NE(r.err.find("error: " + message), std::string::npos) << r.err;
    EXPECT_FALSE(fs::exists(folder_ / "made"));
  };
  expect({"--type", "bpe", path("text.txt")}, "--type bpe is not in this version");
  expect({"--lowercase", "--cased", path("text.txt")}, "--lowercase and --cased contradict");
  expect({"--vocab-size", "9", path("text.txt")}, "a vocabulary of 9 does not hold");
  expect({path("none.txt")}, path("none.txt") + ": cannot be opened");
  write("empty.txt", " \n\n");
  expect({path("empty.txt")}, "there are no words to train on");
}

}  // namespace
}  // namespace weft
