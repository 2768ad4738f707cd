// weft prepare as a user runs it, and killed at random moments.
#include <filesystem>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/scratch_dir.hpp"

namespace weft {
namespace {

using namespace testing_support;

// Sentences of random three-letter words, pieces of which are in the vocabulary below.
std::string random_text(std::size_t bytes) {
  std::mt19937 random(11);
  std::string text;
  while (text.size() < bytes) {
    for (int i = 0; i < 3; ++i) text += static_cast<char>('a' + random() % 26);
    const auto end = random() % 200;
    text += end == 0 ? ".\n\n" : end < 10 ? ".\n" : end < 25 ? ". A " : " ";
  }
  return text;
}

class PrepareCommand : public ::testing::Test {
 protected:
  PrepareCommand() {
    std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\n";
    for (char c = 'a'; c <= 'z'; ++c) vocabulary += std::string(1, c) + "\n##" + c + "\n";
    std::filesystem::create_directory(dir_ / "tokenizer");
    put(dir_ / "tokenizer" / "vocab.txt", vocabulary);
  }
  // A shell command in the test's directory; `around` may stand before the program's name.
  std::string command(const std::string& rest, const std::string& around = {}) const {
    return "cd " + dir_.path().string() + "; " + around +
           " \"$WEFT\" prepare --tokenizer tokenizer " + rest;
  }
  std::string files(const std::string& prefix) const {
    std::string all;
    for (const char* extension : {".bin", ".idx", ".json"}) {
      all += read_file(dir_ / (prefix + extension));
    }
    return all;
  }
  ScratchDir dir_;
};

TEST_F(PrepareCommand, WritesTokenFilesAndSaysWhatIsInThem) {
  put(dir_ / "a.txt", "Ab c. De!\nf\n\ngh\n");
  const auto r = run_shell(command("--output wiki a.txt --json"));
  EXPECT_EQ(r.status, 0) << r.err;
  const Json line = parse_json(r.out, "output");
  EXPECT_EQ(line["documents"], 2);
  EXPECT_EQ(line["sentences"], 4);
  EXPECT_EQ(line["tokens"], 4 + 3 + 1 + 2);
  EXPECT_EQ(line["output"], "wiki");
  const auto again = run_shell(command("--output wiki a.txt"));
  EXPECT_EQ(again.status, 2);
  EXPECT_EQ(again.err, "error: wiki.bin: exists\nhint: replace it with --force\n");
  EXPECT_EQ(again.out, "");
}

TEST_F(PrepareCommand, ThreadsAreThoseOfTheOptionOrTheEnvironment) {
  put(dir_ / "a.txt", "ab\n");
  const auto environment = run_shell(command("--output a -v a.txt", "OMP_NUM_THREADS=5"));
  EXPECT_NE(environment.err.find("5 threads\n"), std::string::npos) << environment.err;
  const auto option = run_shell(command("--output b -v --threads 3 a.txt", "OMP_NUM_THREADS=5"));
  EXPECT_NE(option.err.find("3 threads\n"), std::string::npos) << option.err;
}

TEST_F(PrepareCommand, ErrorsHaveStatusTwoAndNameTheFile) {
  put(dir_ / "a.jsonl", "{\"text\": \"a\"}\n{\"text\": 1}\n");
  for (const auto& [rest, message] : std::vector<std::pair<std::string, std::string>>{
           {"--output x missing.txt", "error: missing.txt: no such file\n"},
           {"--output x a.jsonl --strict",
            "error: a.jsonl:2: not an object with a string \"text\"\n"},
           {"--output x a.jsonl --held-out 1.5", "error: --held-out: 1.5 is out of range\n"},
           {"a.jsonl", "error: "}}) {
    const auto r = run_shell(command(rest));
    EXPECT_EQ(r.status, 2) << rest;
    EXPECT_EQ(r.err.substr(0, message.size()), message);
    EXPECT_FALSE(std::filesystem::exists(dir_ / "x.partial"));
  }
  const auto lenient = run_shell(command("--output x a.jsonl"));
  EXPECT_EQ(lenient.status, 0);
  EXPECT_NE(
      lenient.err.find("warning: a.jsonl:2: not an object with a string \"text\": left out\n"),
      std::string::npos)
      << lenient.err;
}

TEST_F(PrepareCommand, KilledAtAnyMomentItGoesOnToTheSameBytes) {
  put(dir_ / "a.txt", random_text(6'000'000));
  ASSERT_EQ(run_shell(command("--output whole --held-out 0.1 --threads 2 a.txt")).status, 0);
  const std::string whole = files("whole") + files("whole-held-out");

  std::mt19937 random(5);
  int resumed = 0, killed = 0;
  for (int experiment = 0; resumed < 3 || killed < 6; ++experiment) {
    ASSERT_LT(experiment, 30);
    const std::string prefix = "again" + std::to_string(experiment);
    int status = -1;
    for (unsigned round = 0; status != 0; ++round) {  // ends: the time allowed grows
      const unsigned milliseconds = 50 + random() % (200 + 40 * round);
      const auto r =
          run_shell(command("--output " + prefix + " --held-out 0.1 --save-every 1 --threads " +
                                std::to_string(1 + round % 3) + " a.txt",
                            "timeout -s KILL " + std::to_string(milliseconds / 1000.0)));
      status = r.status;
      killed += status != 0;
      resumed += r.err.find("going on with an unfinished run") != std::string::npos;
      // Killed when everything was done but its exit: the next call finds the output in its place.
      if (status == 2 && r.err.rfind("error: " + prefix + ".bin: exists", 0) == 0) break;
      ASSERT_TRUE(status == 0 || status == 137) << status << r.err;
    }
    ASSERT_EQ(files(prefix) + files(prefix + "-held-out"), whole);
  }
}

TEST_F(PrepareCommand, StopsOnRequestAndGoesOn) {
  put(dir_ / "a.txt", random_text(6'000'000));
  ASSERT_EQ(run_shell(command("--output whole a.txt")).status, 0);
  const auto stopped = run_shell(command("--output again a.txt &") +
                                 " pid=$!; while ! test -d again.partial; do sleep 0.01; done; "
                                 "kill -TERM $pid; wait $pid; exit $?");
  EXPECT_EQ(stopped.status, 75) << stopped.err;
  EXPECT_NE(stopped.err.find("stopped by SIGTERM; the same command goes on from here"),
            std::string::npos);
  const auto resumed = run_shell(command("--output again a.txt"));
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(files("again"), files("whole"));
}

}  // namespace
}  // namespace weft
