// Preparation: the same bytes whatever the threads and interruptions; what is refused or left out.
#include "core/data/prepare.hpp"

#include <set>
#include <sstream>

#include <gtest/gtest.h>
#include <zlib.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "tests/core/data/corpus.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;
using namespace testing_support;

const FakeTokenizer kTokenizer;

// All tokens as text: "|" between sentences, a line per document.
std::string content(const fs::path& prefix) {
  const TokenFile file(prefix);
  std::string text;
  for (std::int64_t d = 0; d < file.documents(); ++d) {
    for (auto s = file.first_sentence(d); s < file.first_sentence(d + 1); ++s) {
      std::vector<std::int32_t> ids;
      file.append(s, 0, file.length(s), kTokenizer.vocab_size(), ids);
      text += kTokenizer.decode(ids, false) + (s + 1 < file.first_sentence(d + 1) ? "|" : "\n");
    }
  }
  return text;
}

std::string bytes_of(const fs::path& prefix) {
  std::string all;
  for (const char* extension : {".bin", ".idx", ".json"}) {
    const auto path = token_file_path(prefix, extension);
    all += fs::exists(path) ? read_file(path) : "none";
  }
  return all;
}

class PrepareTest : public ::testing::Test {
 protected:
  PrepareOptions options(const std::vector<std::string>& names) {
    PrepareOptions o;
    for (const auto& name : names) o.files.push_back(dir_ / name);
    o.output = dir_ / "out";
    o.threads = 2;
    return o;
  }
  std::string run(const std::string& name, const std::string& text) {
    put(dir_ / name, text);
    auto o = options({name});
    o.force = true;
    prepare(o, kTokenizer);
    return content(o.output);
  }
  ScratchDir dir_;
};

TEST_F(PrepareTest, BlankLinesSeparateDocuments) {
  EXPECT_EQ(run("a.txt", "1 2. 3\n4\n\n5\n \t\n\n6"), "1 2|3|4\n5\n6\n");
  EXPECT_EQ(run("a.txt", "\xEF\xBB\xBF\n\n1\r\n\r\n2\r\n"), "1\n2\n");
}

TEST_F(PrepareTest, WithoutSplittingALineIsASentence) {
  put(dir_ / "a.txt", "1 2. 3\n4\n");
  auto o = options({"a.txt"});
  o.text.split_sentences = false;
  prepare(o, kTokenizer);
  EXPECT_EQ(content(o.output), "1 2 3|4\n");
}

TEST_F(PrepareTest, JsonLinesAreDocuments) {
  EXPECT_EQ(run("a.jsonl",
                "{\"text\": \"1 2\\n\\n3\", \"id\": 7}\n\n{\"text\": \"\"}\n{\"text\": \"4\"}"),
            "1 2|3\n4\n");
}

TEST_F(PrepareTest, FilesEndDocuments) {
  put(dir_ / "a.txt", "1\n2");
  put(dir_ / "b.txt", "3\n");
  put(dir_ / "c.jsonl", "{\"text\": \"4\"}\n");
  put(dir_ / "empty.txt", "");
  const auto o = options({"a.txt", "empty.txt", "b.txt", "c.jsonl", "a.txt"});
  const auto result = prepare(o, kTokenizer);
  EXPECT_EQ(content(o.output), "1|2\n3\n4\n1|2\n");
  EXPECT_EQ(result.train.documents, 4);
  EXPECT_EQ(result.train.text_bytes, 6);
  EXPECT_FALSE(fs::exists(dir_ / "out.partial"));
}

TEST_F(PrepareTest, ReadsCompressedFiles) {
  gzFile file = gzopen((dir_ / "a.txt.gz").c_str(), "wb");
  gzputs(file, "1 2\n\n3\n");
  gzclose(file);
  const auto o = options({"a.txt.gz"});
  prepare(o, kTokenizer);
  EXPECT_EQ(content(o.output), "1 2\n3\n");
}

TEST_F(PrepareTest, BadLinesAreLeftOutAndCounted) {
  put(dir_ / "a.txt", std::string("1\n2 \xFF\n3\n4\0 5\n6\n", 14));
  put(dir_ / "b.jsonl",
      "{\"text\": \"7\"}\n{\"text\": 8}\n[\"9\"]\n{\"text\": \"10\"\n{\"text\": "
      "\"1\\u0000\"}\n{\"body\": \"2\"}\n");
  auto o = options({"a.txt", "b.jsonl"});
  std::vector<std::string> skipped;
  o.on_skipped = [&](const std::string& line) {
    skipped.push_back(line.substr(dir_.path().string().size() + 1));
  };
  const auto result = prepare(o, kTokenizer);
  EXPECT_EQ(content(o.output), "1|3|6\n7\n");
  EXPECT_EQ(result.train.skipped_lines, 7);
  ASSERT_EQ(skipped.size(), 7U);
  EXPECT_EQ(skipped[0], "a.txt:2: not UTF-8");
  EXPECT_EQ(skipped[1], "a.txt:4: a NUL byte");
  EXPECT_EQ(skipped[2], "b.jsonl:2: not an object with a string \"text\"");
  EXPECT_EQ(skipped[3], "b.jsonl:3: not an object with a string \"text\"");
  EXPECT_EQ(skipped[4].rfind("b.jsonl:4: not valid JSON: ", 0), 0U) << skipped[4];
  EXPECT_EQ(skipped[5], "b.jsonl:5: in \"text\": a NUL byte");

  o.text.strict = true;
  o.force = true;
  o.output = dir_ / "strict";
  EXPECT_EQ(error_of([&] { prepare(o, kTokenizer); }), (dir_ / "a.txt:2: not UTF-8").string());
  EXPECT_FALSE(fs::exists(dir_ / "strict.partial"));
  EXPECT_FALSE(fs::exists(dir_ / "strict.idx"));
}

TEST_F(PrepareTest, RefusesWhatCannotWork) {
  auto o = options({"a.txt", "missing.txt"});
  put(dir_ / "a.txt", "1\n");
  const auto error = [&] { return error_of([&] { prepare(o, kTokenizer); }); };
  EXPECT_EQ(error(), (dir_ / "missing.txt: no such file").string());
  o.files[1] = dir_.path();
  EXPECT_EQ(error(), dir_.path().string() + ": is not a regular file");
  o.files.clear();
  EXPECT_EQ(error(), "no input files");
  o.files = {dir_ / "a.txt"};
  o.text.held_out = 1;
  EXPECT_EQ(error(), "held-out fraction 1 is not in [0, 1)");
  o.text.held_out = 0.5;
  EXPECT_EQ(error().find(" of 1 documents would be held out"), 1U);
  o.text.held_out = 0;
  o.output = dir_.path() / "";
  EXPECT_EQ(error(), o.output.string() + ": is not a prefix for files, such as data/wiki");
  o.output = dir_ / "out";
  put(dir_ / "blank.txt", "\n \n\n");
  o.files = {dir_ / "blank.txt"};
  EXPECT_EQ(error(), (dir_ / "blank.txt: no usable text (0 lines left out)").string());
  EXPECT_TRUE(!fs::exists(dir_ / "out.idx") && !fs::exists(dir_ / "out.partial"));
  o.files = {dir_ / "a.txt"};
  EXPECT_EQ(error(), "no error");
  EXPECT_EQ(error(), (dir_ / "out.bin: exists").string());
  o.force = true;
  EXPECT_EQ(error(), "no error");
}

// Several blocks of text, some of one document longer than a block.
std::string large_text() {
  std::string text;
  std::uint32_t state = 5;
  for (int i = 0; text.size() < 5 * DocumentReader::kBlock; ++i) {
    state = state * 1664525 + 1013904223;
    text += std::to_string(state % 500) + (i % 9 == 0 ? "+3. " : " ");
    if (state % 31 == 0) text += "\n";
    if (state % 401 == 0 && text.size() > 2 * DocumentReader::kBlock) text += "\n\n";
  }
  return text;
}

TEST_F(PrepareTest, BytesDoNotDependOnThreads) {
  put(dir_ / "a.txt", large_text());
  auto o = options({"a.txt", "a.txt"});
  o.text.held_out = 0.2;
  o.force = true;
  std::vector<std::string> seen;
  for (const int threads : {1, 2, 3}) {
    o.threads = threads;
    prepare(o, kTokenizer);
    seen.push_back(bytes_of(o.output) + bytes_of(held_out_prefix(o.output)));
  }
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_EQ(seen[0], seen[2]);
}

TEST_F(PrepareTest, AnInterruptedRunGoesOnToTheSameBytes) {
  put(dir_ / "a.txt", large_text());
  auto o = options({"a.txt", "a.txt"});
  o.text.held_out = 0.2;
  prepare(o, kTokenizer);
  const std::string expected = bytes_of(o.output) + bytes_of(held_out_prefix(o.output));

  o.output = dir_ / "again";
  int calls = 0;
  for (bool finished = false; !finished; ++calls) {
    int blocks = 0;
    o.stop = [&] { return ++blocks == 2; };
    const auto result = prepare(o, kTokenizer);
    EXPECT_EQ(result.resumed, calls > 0);
    finished = result.finished;
  }
  EXPECT_GE(calls, 5);
  EXPECT_EQ(bytes_of(o.output) + bytes_of(held_out_prefix(o.output)), expected);
  EXPECT_FALSE(fs::exists(dir_ / "again.partial"));
}

TEST_F(PrepareTest, AnUnfinishedRunWithOtherOptionsIsNotMixedIn) {
  put(dir_ / "a.txt", large_text());
  auto o = options({"a.txt"});
  o.stop = [] { return true; };
  EXPECT_FALSE(prepare(o, kTokenizer).finished);
  const auto working = (dir_ / "out.partial").string();
  o.text.split_sentences = false;
  EXPECT_EQ(
      error_of([&] { prepare(o, kTokenizer); }),
      working +
          ": holds an unfinished run with another \"split_sentences\" (or the files have changed)");
  EXPECT_EQ(
      error_of([&] { prepare(o, FakeTokenizer(600)); }),
      working + ": holds an unfinished run with another \"tokenizer\" (or the files have changed)");
  o.text.split_sentences = true;
  put(dir_ / "a.txt", "1\n");
  EXPECT_EQ(
      error_of([&] { prepare(o, kTokenizer); }),
      working + ": holds an unfinished run with another \"files\" (or the files have changed)");
  o.force = true;
  o.stop = nullptr;
  prepare(o, kTokenizer);
  EXPECT_EQ(content(o.output), "1\n");
}

TEST_F(PrepareTest, DamagedStateIsRefused) {
  put(dir_ / "a.txt", large_text());
  auto o = options({"a.txt"});
  o.stop = [] { return true; };
  prepare(o, kTokenizer);
  const auto state = dir_ / "out.partial" / "state.json";
  const std::string good = read_file(state);
  for (const std::string& bad :
       {std::string("{}"), std::string(), good.substr(0, good.size() / 2)}) {
    put(state, bad);
    EXPECT_THROW(prepare(o, kTokenizer), InputError);
  }
  put(state, good);
  put(dir_ / "out.partial" / "train.bin", "short");
  EXPECT_NE(error_of([&] { prepare(o, kTokenizer); }).find("train.bin: is shorter than the "),
            std::string::npos);
}

TEST_F(PrepareTest, ForeignFilesInTheWorkingDirectoryAreLeftAlone) {
  put(dir_ / "a.txt", "1\n");
  const auto foreign = dir_ / "out.partial" / "thesis.tex";
  fs::create_directory(dir_ / "out.partial");
  put(foreign, "x");
  auto o = options({"a.txt"});
  o.force = true;
  EXPECT_EQ(error_of([&] { prepare(o, kTokenizer); }),
            foreign.string() + ": is not of weft prepare, whose directory this is");
  EXPECT_EQ(read_file(foreign), "x");
}

TEST_F(PrepareTest, TwoRunsCannotShareAnOutput) {
  put(dir_ / "a.txt", large_text());
  auto o = options({"a.txt"});
  std::string second;
  o.stop = [&] {
    if (second.empty()) second = error_of([&] { prepare(options({"a.txt"}), kTokenizer); });
    return false;
  };
  EXPECT_TRUE(prepare(o, kTokenizer).finished);
  EXPECT_EQ(second, (dir_ / "out.partial").string() + ": another weft prepare is at work here");
}

// Killed while the finished files were being renamed: the rest of the renames is all that is left,
// and until it is done no half of the new files is taken for the output, nor joined to an old one.
TEST_F(PrepareTest, ARunKilledBetweenItsRenamesIsFinished) {
  put(dir_ / "a.txt", "1 2\n\n3\n");
  put(dir_ / "old.txt", "4 5\n\n6\n");  // as many of everything
  auto o = options({"a.txt"});
  o.output = dir_ / "whole";
  prepare(o, kTokenizer);
  const auto working = dir_ / "killed.partial";
  for (int renamed = 0; renamed <= 3; ++renamed) {
    o.files = {dir_ / "old.txt"};
    o.output = dir_ / "killed";
    o.force = true;
    prepare(o, kTokenizer);
    o.files = {dir_ / "a.txt"};
    o.stop = [] { return true; };
    prepare(o, kTokenizer);  // saved behind the last line
    o.stop = nullptr;
    o.force = false;
    Json state = read_json(working / "state.json");
    state["complete"] = true;
    put(working / "state.json", state.dump());
    fs::remove(token_file_path(o.output, ".idx"));
    int moved = 0;
    for (const char* extension : {".bin", ".json", ".idx"}) {
      const fs::path to = moved++ < renamed ? token_file_path(o.output, extension)
                                            : working / (std::string("train") + extension);
      fs::remove(working / (std::string("train") + extension));
      fs::copy(token_file_path(dir_ / "whole", extension), to,
               fs::copy_options::overwrite_existing);
    }
    EXPECT_TRUE(prepare(o, kTokenizer).resumed);
    EXPECT_EQ(bytes_of(o.output), bytes_of(dir_ / "whole")) << renamed;
    EXPECT_FALSE(fs::exists(working));
  }
}

// The rename of the description fails, as if the run ended there.
TEST_F(PrepareTest, AReplacedOutputIsNeverHalfOldAndHalfNew) {
  put(dir_ / "a.txt", "1 2\n\n3\n");
  auto o = options({"a.txt"});
  prepare(o, kTokenizer);
  const fs::path description = token_file_path(o.output, ".json");
  fs::remove(description);
  fs::create_directories(description / "in-the-way");
  put(dir_ / "a.txt", "4 5\n\n6\n");
  o.force = true;
  EXPECT_THROW(prepare(o, kTokenizer), Error);
  EXPECT_EQ(error_of([&] { TokenFile file(o.output); }),
            token_file_path(o.output, ".idx").string() + ": no such token file");
  fs::remove_all(description);
  o.force = false;
  prepare(o, kTokenizer);
  EXPECT_EQ(content(o.output), "4 5\n6\n");
}

TEST_F(PrepareTest, HeldOutDocumentsDependOnTheirContentAlone) {
  std::string text, reversed;
  for (int i = 0; i < 400; ++i) {
    const std::string document = std::to_string(i) + "\n" + std::to_string(i / 2) + " 7\n\n";
    text += document;
    reversed = document + reversed;
  }
  put(dir_ / "a.txt", text);
  put(dir_ / "b.txt", reversed);
  std::string json;
  for (int i = 0; i < 400; ++i) {
    json += "{\"text\": \"" + std::to_string(i) + "\\n" + std::to_string(i / 2) + " 7\"}\n";
  }
  put(dir_ / "c.jsonl", json);
  auto o = options({"a.txt"});
  o.text.held_out = 0.25;
  o.force = true;
  std::set<std::string> seen;
  for (const char* name : {"a.txt", "b.txt", "c.jsonl"}) {
    o.files = {dir_ / name};
    const auto result = prepare(o, kTokenizer);
    EXPECT_EQ(result.train.documents + result.held_out.documents, 400);
    EXPECT_NEAR(static_cast<double>(result.held_out.documents), 100, 5 * 8.7);
    std::istringstream lines(content(held_out_prefix(o.output)));
    std::set<std::string> documents;
    for (std::string line; std::getline(lines, line);) documents.insert(line);
    std::string all;
    for (const auto& d : documents) all += d + "\n";
    seen.insert(all);
  }
  EXPECT_EQ(seen.size(), 1U);
}

}  // namespace
}  // namespace weft
