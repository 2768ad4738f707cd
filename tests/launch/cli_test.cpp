// The binary's front door: overview, help, version, completion.
#include <gtest/gtest.h>

#include "tests/launch/run_program.hpp"

namespace weft {
namespace {

TEST(Cli, WithoutACommandPrintsTheOverviewAndFails) {
  const ProgramResult r = run_weft({});
  EXPECT_EQ(r.status, 2);
  EXPECT_EQ(r.out, "");
  EXPECT_NE(r.err.find("usage: weft COMMAND"), std::string::npos);
}

TEST(Cli, HelpOfACommandHasAnExample) {
  for (const auto& words : {std::vector<std::string>{"help", "completion"},
                            std::vector<std::string>{"completion", "--help"}}) {
    const ProgramResult r = run_weft(words);
    EXPECT_EQ(r.status, 0);
    EXPECT_EQ(r.err, "");
    EXPECT_NE(r.out.find("usage: weft completion SHELL"), std::string::npos);
    EXPECT_NE(r.out.find("Example:"), std::string::npos);
  }
}

TEST(Cli, HelpConfigExplainsTheKeys) {
  const ProgramResult r = run_weft({"help", "config"});
  EXPECT_EQ(r.status, 0);
  for (const char* part : {"*optimizer.lr ", "0.0001", "highest learning rate",
                           "a number above 0 up to 100", " log.every", "*model.hidden_size"}) {
    EXPECT_NE(r.out.find(part), std::string::npos) << part;
  }
}

TEST(Cli, VersionNamesWhatWasBuiltIn) {
  const ProgramResult r = run_weft({"--version"});
  EXPECT_EQ(r.status, 0);
  for (const char* part : {"weft 0.", "compiler", "oneDNN", "MPI", "CUDA      no"}) {
    EXPECT_NE(r.out.find(part), std::string::npos) << part;
  }
}

TEST(Cli, ResultsThatCannotBeWrittenAreAFailure) {
  for (const char* words : {"--version", "pretrain --help", "help config"}) {
    const ProgramResult r = run_shell(std::string("$WEFT ") + words + " >/dev/full");
    EXPECT_EQ(r.status, 1) << words;
    EXPECT_EQ(r.err.rfind("error: standard output could not be written\n", 0), 0U) << r.err;
  }
}

TEST(Cli, OnlyRankZeroPrintsHelpAndVersion) {
  const ProgramResult r = run_shell(
      "export OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2; $WEFT --version; $WEFT --help; $WEFT "
      "pretrain --help; $WEFT");
  EXPECT_EQ(r.out + r.err, "");
}

TEST(Cli, CommandsThatComputeOnNoDeviceDoNotLookForOne) {
  const std::string no_gpu = "CUDA_VISIBLE_DEVICES= ";
  EXPECT_EQ(run_shell(no_gpu + "$WEFT help tokenize --device cuda").status, 0);
  EXPECT_EQ(run_shell(no_gpu + "$WEFT help tokenize --device tpu").status, 2);
}

TEST(Cli, UnknownCommandNamesTheNearest) {
  const ProgramResult r = run_weft({"hepl"});
  EXPECT_EQ(r.status, 2);
  EXPECT_EQ(r.err, "error: unknown command 'hepl'\nhint: did you mean weft help?\n");
}

TEST(Cli, TheBeginningOfACommandIsRecognised) {
  EXPECT_EQ(run_weft({"compl"}).err,
            "error: unknown command 'compl'\nhint: did you mean weft completion?\n");
}

TEST(Cli, CompletionScriptCompletesCommandsAndOptions) {
  const ProgramResult r = run_shell(
      "bash -c 'eval \"$(\"$0\" completion bash)\"; COMP_WORDS=(weft comp); COMP_CWORD=1; _weft; "
      "echo \"${COMPREPLY[@]}\"; COMP_WORDS=(weft completion --qu); COMP_CWORD=2; _weft; "
      "echo \"${COMPREPLY[@]}\"; COMP_WORDS=(weft completion --device cu); COMP_CWORD=3; _weft; "
      "echo \"${COMPREPLY[@]}\"' \"$WEFT\"");
  EXPECT_EQ(r.out, "completion\n--quiet\ncuda\n") << r.err;
}

}  // namespace
}  // namespace weft
