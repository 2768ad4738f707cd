// What is in a run's directory decides whether a run starts, continues or is refused; nothing is
// lost by starting again.
#include "launch/training/run_directory.hpp"

#include <fstream>
#include <functional>
#include <set>

#include <gtest/gtest.h>

#include "tests/launch/training/pretrain_helpers.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

// Four steps without evaluation, a checkpoint at every second one.
std::vector<std::string> short_config(const fs::path& run_dir) {
  std::vector<std::string> lines = tiny_config(run_dir);
  lines[5] = "";
  lines[9] = "schedule: {type: linear, warmup_steps: 2, decay_steps: 20}";
  lines[10] = "train: {steps: 4, global_batch: 8, micro_batch: 2, precision: fp32}";
  lines[11] = "checkpoint: {every: 2, keep: 3}";
  lines[13] = "";
  return lines;
}

// A finished run of short_config(), made once and copied.
fs::path finished_run(const fs::path& dir) {
  static const fs::path made = [] {
    const fs::path run = new_directory("finished") / "r";
    const ProgramResult r = pretrain(short_config(run));
    EXPECT_EQ(r.status, 0) << r.err;
    return run;
  }();
  fs::copy(made, dir, fs::copy_options::recursive);
  return dir;
}

void put_file(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

void damage(const fs::path& run_dir, const std::string& step) {
  std::string bytes = weights_of(run_dir, step);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  put_file(run_dir / "checkpoints" / step / "model.safetensors", bytes);
}

std::set<std::string> names_in(const fs::path& dir) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(dir)) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

// Every file below `dir` but the lock, with its content.
std::map<std::string, std::string> files_of(const fs::path& dir) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    if (entry.is_regular_file() && entry.path().filename() != ".lock") {
      files[entry.path().lexically_relative(dir).string()] = read_file(entry.path());
    }
  }
  return files;
}

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(ResumeFromARun, TheSameCommandStartedAgainGoesOn) {
  const fs::path dir = new_directory("phases");
  finished_run(dir / "first");
  std::vector<std::string> lines = short_config(dir / "second");
  lines[8] = "optimizer: {type: adamw, lr: 5.0e-4}";
  const std::string options =
      " --force --set checkpoint.every=1 --resume " + (dir / "first").string() + " ";
  ASSERT_EQ(
      pretrain(lines, options + "--set train.steps=20 --set run.dir=" + (dir / "whole").string())
          .status,
      0);
  // Killed without a word, asked to stop, and left to its end: each time the same command.
  const std::string command = "OMP_NUM_THREADS=1 $WEFT pretrain " + write_config(lines).string() +
                              options + "--set train.steps=20";
  const std::string checkpoints = (dir / "second/checkpoints/step-000000").string();
  const ProgramResult killed = run_shell(command + " & job=$!; until [ -d " + checkpoints +
                                         "06 ]; do sleep 0.01; done; kill -9 $job; wait $job");
  ASSERT_EQ(killed.status, 137) << killed.err;
  const ProgramResult stopped = run_shell(command + " & job=$!; until [ -d " + checkpoints +
                                          "14 ]; do sleep 0.01; done; kill -USR1 $job; wait $job");
  ASSERT_EQ(stopped.status, 75) << stopped.err;
  EXPECT_SAYS(stopped.err, "goes on from there, not from " + (dir / "first").string());
  const ProgramResult last = run_shell(command);
  ASSERT_EQ(last.status, 0) << last.err;
  EXPECT_EQ(losses_of(dir / "second"), losses_of(dir / "whole"));
  EXPECT_EQ(losses_of(dir / "second").begin()->first, 5);
  EXPECT_TRUE(weights_of(dir / "second", "step-00000020") ==
              weights_of(dir / "whole", "step-00000020"));
}

TEST(ResumeFromARun, ContinuesAnotherRunsTrainingBitForBit) {
  const fs::path dir = new_directory("run");
  finished_run(dir / "one");
  const std::string from = "--resume " + (dir / "one/checkpoints/step-00000002").string();
  const ProgramResult r = pretrain(short_config(dir / "two"), from);
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_TRUE(weights_of(dir / "one", "step-00000004") == weights_of(dir / "two", "step-00000004"));
  EXPECT_EQ(losses_of(dir / "two").begin()->first, 3);
}

TEST(ResumeFromARun, GoingBackWithinARunTakesMoreThanAnOption) {
  const fs::path dir = finished_run(new_directory("run") / "r");
  const auto before = files_of(dir);
  const std::string from = "--resume " + (dir / "checkpoints/step-00000002").string();
  for (const char* force : {"", " --force"}) {
    const ProgramResult back = pretrain(short_config(dir), from + force);
    EXPECT_EQ(back.status, 0) << back.err;
    EXPECT_SAYS(back.err, "is at step 4 and goes on from there, not from " + dir.string());
    EXPECT_SAYS(back.err, "to go back, remove the later checkpoints or set another run.dir");
    EXPECT_SAYS(back.err, "is complete: step 4 of 4");
  }
  EXPECT_EQ(files_of(dir), before);
}

TEST(ResumeFromARun, ARestartAsksNothingOfWhereItBegan) {
  const fs::path dir = new_directory("run");
  const auto train_on = [](const fs::path& run) {
    EXPECT_EQ(pretrain(short_config(run), "--set train.steps=10").status, 0);
  };
  const auto remove = [](const fs::path& run) { fs::remove_all(run); };
  const std::map<std::string, std::function<void(const fs::path&)>> changes = {
      {"one", train_on}, {"two/", remove}, {"three/checkpoints/step-00000002", remove}};
  for (const auto& [from, change] : changes) {
    const fs::path source = dir / from.substr(0, from.find('/'));
    finished_run(source);
    const fs::path run = dir / ("from-" + source.filename().string());
    const std::string options = "--resume " + (dir / from).string() + " --set train.steps=";
    ASSERT_EQ(pretrain(short_config(run), options + "5").status, 0) << from;
    change(source);
    const ProgramResult again = pretrain(short_config(run), options + "6");
    ASSERT_EQ(again.status, 0) << again.err;
    EXPECT_SAYS(again.err, "continuing from " + (run / "checkpoints/step-00000005").string());
  }
}

TEST(ResumeFromARun, IsNotMixedWithAnotherRun) {
  const fs::path dir = new_directory("run");
  finished_run(dir / "one");
  finished_run(dir / "two");
  const std::string begin = "--set train.steps=5 --resume " + (dir / "one").string();
  ASSERT_EQ(pretrain(short_config(dir / "three"), begin).status, 0);
  const auto before = files_of(dir);
  const std::map<std::string, std::string> others = {
      {"one", "at step 4, which began at step 0 and not from "},
      {"three",
       "at step 5, which began at step 4 of " + (dir / "one").string() + " and not from "}};
  for (const auto& [run, held] : others) {
    for (const char* force : {"", " --force"}) {
      const ProgramResult r =
          pretrain(short_config(dir / run), "--resume " + (dir / "two").string() + force);
      EXPECT_EQ(r.status, 2);
      EXPECT_SAYS(r.err, "holds another run, " + held + (dir / "two").string());
      EXPECT_SAYS(r.err, "hint: start a new run with --set run.dir=DIR, or leave --resume out");
    }
  }
  EXPECT_EQ(files_of(dir), before);
}

// Before its own first checkpoint: config.yaml must continue there too, and not begin anew.
TEST(ResumeFromARun, StoppedAtOnceHasACheckpointOfItsOwn) {
  const fs::path dir = new_directory("run");
  finished_run(dir / "one");
  std::vector<std::string> lines = short_config(dir / "two");
  lines[5] = tiny_config(dir / "two")[5];
  const std::string command = "OMP_NUM_THREADS=1 $WEFT pretrain " + write_config(lines).string() +
                              " --resume " + (dir / "one").string() +
                              " --set train.steps=8 --set eval.every=4 --set eval.batches=1000000";
  const ProgramResult r =
      run_shell(command + " & job=$!; until [ -f " + (dir / "two/metrics.jsonl").string() +
                " ]; do sleep 0.01; done; kill -USR1 $job; wait $job");
  ASSERT_EQ(r.status, 75) << r.err;
  EXPECT_TRUE(weights_of(dir / "two", "step-00000004") == weights_of(dir / "one", "step-00000004"));
  const ProgramResult again =
      run_shell("OMP_NUM_THREADS=1 $WEFT pretrain " + (dir / "two/config.yaml").string() +
                " --set eval.batches=1");
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_SAYS(again.err, "continuing from " + (dir / "two/checkpoints/step-00000004").string());
}

TEST(DamagedCheckpoints, ThatWerePassedOverAreKeptUnderAnotherName) {
  const fs::path dir = finished_run(new_directory("run") / "r");
  const std::string whole = weights_of(dir, "step-00000004");
  for (const char* aside : {"step-00000004.damaged", "step-00000004.2.damaged"}) {
    damage(dir, "step-00000004");
    const std::string damaged = weights_of(dir, "step-00000004");
    const ProgramResult r = pretrain(short_config(dir));
    ASSERT_EQ(r.status, 0) << r.err;
    EXPECT_SAYS(r.err, "warning: passed over step-00000004: ");
    EXPECT_SAYS(
        r.err, "warning: step-00000004 is kept as " + (dir / "checkpoints").string() + "/" + aside);
    EXPECT_SAYS(r.err, "continuing from " + (dir / "checkpoints/step-00000002").string());
    EXPECT_TRUE(weights_of(dir, aside) == damaged);
    EXPECT_TRUE(weights_of(dir, "step-00000004") == whole);
  }
}

TEST(DamagedCheckpoints, AloneTakeMoreThanAutoToBeLeft) {
  const fs::path dir = finished_run(new_directory("run") / "r");
  damage(dir, "step-00000002");
  damage(dir, "step-00000004");
  const auto before = files_of(dir);
  for (const char* force : {"", "--force"}) {
    const ProgramResult automatic = pretrain(short_config(dir), force);
    EXPECT_EQ(automatic.status, 1);
    EXPECT_SAYS(automatic.err, "none of its 2 checkpoints is whole");
    EXPECT_SAYS(automatic.err, "--resume never --force");
  }
  const ProgramResult never = pretrain(short_config(dir), "--resume never");
  EXPECT_EQ(never.status, 2);
  EXPECT_SAYS(never.err, "holds a run that is at step 4");
  EXPECT_EQ(files_of(dir), before);
  const ProgramResult forced = pretrain(short_config(dir), "--resume never --force");
  EXPECT_EQ(forced.status, 0) << forced.err;
  EXPECT_EQ(losses_of(dir).size(), 4U);
  EXPECT_EQ(names_in(dir / "checkpoints"),
            (std::set<std::string>{"step-00000002", "step-00000004"}));
}

TEST(ForeignDirectories, AreRefusedAndLeftAsTheyAre) {
  for (const auto& [name, text] :
       std::map<std::string, std::string>{{"config.yaml", "lr: 1.0e-3\n"},
                                          {"log.txt", "mine"},
                                          {"metrics.jsonl", "{}\n"},
                                          {"tensorboard/events", "mine"},
                                          {"checkpoints/best/weights", "mine"},
                                          {"checkpoints/step-500/weights", "mine"},
                                          {"notes.tmp-1", "mine"}}) {
    const fs::path dir = new_directory("foreign");
    put_file(dir / name, text);
    const auto before = files_of(dir);
    for (const char* options : {"", "--force", "--resume never --force"}) {
      const ProgramResult r = pretrain(short_config(dir), options);
      EXPECT_EQ(r.status, 2) << name;
      EXPECT_SAYS(r.err, "is not empty and holds no run: Weft did not write " + dir.string());
    }
    EXPECT_EQ(files_of(dir), before) << name;
  }
}

TEST(ForeignDirectories, TheConfigurationItselfIsNotReplaced) {
  const fs::path dir = new_directory("exp");
  std::string text;
  for (const std::string& line : short_config(".")) text += line + "\n";
  put_file(dir / "config.yaml", text);
  const ProgramResult r = run_shell("cd " + dir.string() + " && $WEFT pretrain config.yaml");
  EXPECT_EQ(r.status, 2);
  EXPECT_SAYS(r.err, "run.dir: . is not empty and holds no run: Weft did not write ./config.yaml");
  EXPECT_EQ(read_file(dir / "config.yaml"), text);
}

TEST(ForeignDirectories, AUsersNoteInARunStays) {
  const fs::path dir = finished_run(new_directory("run") / "r");
  put_file(dir / "notes.md", "mine");
  ASSERT_EQ(pretrain(short_config(dir), "--resume never --force").status, 0);
  EXPECT_EQ(read_file(dir / "notes.md"), "mine");
}

// A directory opened by this process alone.
class RunDirectoryStates : public testing::Test {
 protected:
  RunDirectoryStates() { config_.run.dir = dir_.string(); }

  // What a start does before it trains.
  bool start(const ResumeOptions& options = {}) {
    RunDirectory run(config_, options, *tokenizer_, console_, *world_);
    run.prepare();
    return run.resume().has_value();
  }

  const fs::path dir_ = new_directory("state") / "r";
  Config config_;
  const std::unique_ptr<Tokenizer> tokenizer_ =
      load_tokenizer(fs::path(WEFT_TEST_DIR) / "data/corpus/tokenizer");
  const Console console_{Console::Level::quiet, false};
  const std::unique_ptr<Communicator> world_ = self_communicator();
};

const std::set<std::string> kPrepared = {".lock", "checkpoints", "config.yaml"};

TEST_F(RunDirectoryStates, AFirstStartMayBeKilledAnywhere) {
  config_.run.dir += "/";
  ASSERT_FALSE(start());
  ASSERT_EQ(names_in(dir_), kPrepared);
  const std::string config = read_file(dir_ / "config.yaml");
  const std::vector<std::vector<std::string>> states = {
      {},
      {".lock"},
      {".lock", "config.yaml.tmp-31"},
      {".lock", "config.yaml"},
      {".lock", "config.yaml", "checkpoints/step-00000002.tmp/model.safetensors"},
      {".lock", "config.yaml", "metrics.jsonl", "metrics.jsonl.tmp-31"},
  };
  for (const auto& state : states) {
    fs::remove_all(dir_);
    fs::create_directories(dir_);
    for (const std::string& name : state)
      put_file(dir_ / name, name == "config.yaml" ? config : "");
    EXPECT_FALSE(start());
    EXPECT_EQ(names_in(dir_), kPrepared);
    EXPECT_TRUE(fs::is_empty(dir_ / "checkpoints"));
    EXPECT_EQ(read_file(dir_ / "config.yaml"), config);
  }
}

TEST_F(RunDirectoryStates, AReplacementMayBeKilledAnywhere) {
  const ResumeOptions replace{.from = "never", .force = true};
  const std::vector<std::vector<std::string>> removed = {
      {},
      {"checkpoints"},
      {"checkpoints", "metrics.jsonl"},
      {"checkpoints", "metrics.jsonl", "log.txt", "tensorboard"},
  };
  for (const auto& names : removed) {
    for (const ResumeOptions& options : {replace, ResumeOptions{}}) {
      fs::remove_all(dir_);
      finished_run(dir_);
      const fs::path whole = new_directory("whole") / "checkpoints";
      fs::copy(dir_ / "checkpoints", whole, fs::copy_options::recursive);
      for (const std::string& name : names) fs::remove_all(dir_ / name);
      if (!names.empty()) fs::rename(whole, dir_ / "checkpoints.deleting");
      if (names.empty() && !options.force) continue;  // the old run, which goes on
      EXPECT_FALSE(start(options));
      EXPECT_FALSE(fs::exists(dir_ / "checkpoints.deleting"));
      EXPECT_FALSE(fs::exists(dir_ / "metrics.jsonl"));
      EXPECT_FALSE(fs::exists(dir_ / "tensorboard"));
      EXPECT_TRUE(fs::is_empty(dir_ / "checkpoints"));
    }
  }
}

TEST_F(RunDirectoryStates, ACheckpointThatWasBeingReplacedIsContinued) {
  finished_run(dir_);
  const std::set<std::string> whole = names_in(dir_ / "checkpoints");
  for (const std::string& name : whole) {
    fs::rename(dir_ / "checkpoints" / name, dir_ / "checkpoints" / (name + ".replaced"));
  }
  EXPECT_TRUE(start({.force = true}));  // its configuration is another
  EXPECT_EQ(names_in(dir_ / "checkpoints"), whole);
}

TEST(RunDirectoryLock, ASecondStartIsRefusedAndAnEndingOneWaitedFor) {
  const fs::path dir = finished_run(new_directory("run") / "r");
  const fs::path lock = dir / ".lock";
  {
    const auto held = take_lock(lock, std::chrono::milliseconds(0));
    held->note("process 12 on elsewhere");
    const ProgramResult r = pretrain(short_config(dir));
    EXPECT_EQ(r.status, 2);
    EXPECT_SAYS(r.err, "run.dir: another weft pretrain is at work in " + dir.string() +
                           ": process 12 on elsewhere");
    EXPECT_SAYS(r.err, "if its host died, remove " + lock.string());
  }
  const ProgramResult waits =
      pretrain(short_config(dir), "", "flock " + lock.string() + " sleep 0.5 & sleep 0.2; ");
  EXPECT_EQ(waits.status, 0) << waits.err;
}

TEST(RunDirectoryRanks, ConfigYamlContinuesOnAnotherNumberOfRanks) {
  const fs::path dir = new_directory("run") / "r";
  std::vector<std::string> lines = short_config(dir);
  lines[10] = "train: {steps: 4, global_batch: 8, precision: fp32}";
  ASSERT_EQ(pretrain(lines).status, 0);
  int steps = 4;
  for (const int ranks : {2, 1}) {
    const ProgramResult r =
        run_shell(mpirun(ranks) + "$WEFT pretrain " + (dir / "config.yaml").string() +
                  " --set train.steps=" + std::to_string(steps += 2));
    ASSERT_EQ(r.status, 0) << r.err;
    EXPECT_SAYS(r.err, "continuing from ");
  }
  EXPECT_EQ(losses_of(dir).size(), 8U);
}

}  // namespace
}  // namespace weft
