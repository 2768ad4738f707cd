// Arguments: options, positionals, and what is said about wrong ones.
#include "launch/arguments.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace weft {
namespace {

Command example() {
  return {.name = "train-tokenizer",
          .summary = "train",
          .positionals = {{.name = "DIR", .help = "where"},
                          {.name = "FILE", .help = "text", .min = 0, .max = kAnyNumber}},
          .options = {{.name = "vocab-size",
                       .kind = Option::Kind::integer,
                       .value = "N",
                       .help = "tokens",
                       .fallback = "8000",
                       .min = 100,
                       .max = 1e6},
                      {.name = "rate", .kind = Option::Kind::real, .value = "X", .help = "rate"},
                      {.name = "type",
                       .kind = Option::Kind::text,
                       .value = "NAME",
                       .help = "kind",
                       .allowed = {"wordpiece", "bpe"}},
                      {.name = "set",
                       .kind = Option::Kind::text,
                       .value = "K=V",
                       .help = "set",
                       .repeated = true},
                      {.name = "cased", .help = "keep case"},
                      force_option()}};
}

const Command& command() {
  static const Command c = example();
  return c;
}

Arguments parse(const std::vector<std::string>& words) { return Arguments(command(), words); }

void expect_error(const std::vector<std::string>& words, const std::string& message,
                  const std::string& hint) {
  try {
    parse(words);
    FAIL() << "accepted";
  } catch (const InputError& e) {
    EXPECT_EQ(e.what(), message);
    EXPECT_EQ(e.hint(), hint);
  }
}

TEST(Arguments, ValuesComeFromTheLineOrTheFallback) {
  const Arguments a = parse({"out", "--vocab-size", "30522", "a.txt", "--set=x.y=1", "--set", "z=2",
                             "--rate=-1e-4", "--force", "-q", "b.txt"});
  EXPECT_EQ(a.positionals(), (std::vector<std::string>{"out", "a.txt", "b.txt"}));
  EXPECT_EQ(a.integer("vocab-size"), 30522);
  EXPECT_EQ(a.real("rate"), -1e-4);
  EXPECT_EQ(a.all("set"), (std::vector<std::string>{"x.y=1", "z=2"}));
  EXPECT_TRUE(a.force());
  EXPECT_TRUE(a.quiet());
  EXPECT_FALSE(a.flag("cased"));
  EXPECT_FALSE(a.precision().has_value());
  EXPECT_EQ(parse({"out"}).integer("vocab-size"), 8000);
  EXPECT_EQ(parse({"out"}).threads(), 0);
}

TEST(Arguments, EverythingAfterTwoDashesIsPositional) {
  const Arguments a = parse({"--", "--force", "-v"});
  EXPECT_EQ(a.positionals(), (std::vector<std::string>{"--force", "-v"}));
  EXPECT_FALSE(a.force());
}

TEST(Arguments, NegativeNumbersAreValues) {
  EXPECT_EQ(parse({"out", "--rate", "-3"}).real("rate"), -3);
}

TEST(Arguments, HelpNeedsNothingElse) { EXPECT_TRUE(parse({"--help"}).help()); }

TEST(Arguments, Precision) {
  EXPECT_EQ(parse({"o", "--precision", "bf16"}).precision(), DType::bf16);
  EXPECT_EQ(parse({"o", "--precision", "fp32"}).precision(), DType::f32);
  EXPECT_THROW(parse({"o", "--precision", "fp16", "--device", "cpu"}).precision(), InputError);
  EXPECT_EQ(parse({"o", "--device", "cpu"}).device(), Device{});
}

TEST(Arguments, WrongLinesSayWhatWouldBeRight) {
  expect_error({"o", "--vocab-sise", "5"}, "weft train-tokenizer: unknown option --vocab-sise",
               "did you mean --vocab-size?");
  expect_error({"o", "--zzzzzz"}, "weft train-tokenizer: unknown option --zzzzzz",
               "weft help train-tokenizer lists the options");
  expect_error({"o", "-z"}, "weft train-tokenizer: unknown option -z",
               "weft help train-tokenizer lists the options");
  expect_error({"o", "--vocab-size"}, "--vocab-size needs a value", "write --vocab-size N");
  expect_error({"o", "--vocab-size", "--force"}, "--vocab-size needs a value",
               "write --vocab-size N");
  expect_error({"o", "--vocab-size", "12k"}, "--vocab-size: '12k' is not a whole number",
               "give a number from 100 to 1000000");
  expect_error({"o", "--vocab-size", "1.5"}, "--vocab-size: '1.5' is not a whole number",
               "give a number from 100 to 1000000");
  expect_error({"o", "--vocab-size", "5"}, "--vocab-size: 5 is out of range",
               "give a number from 100 to 1000000");
  expect_error({"o", "--vocab-size=99999999999999999999"},
               "--vocab-size: '99999999999999999999' is not a whole number",
               "give a number from 100 to 1000000");
  expect_error({"o", "--rate", "nan"}, "--rate: 'nan' is not a number", "give a number");
  expect_error({"o", "--type", "wordpeice"}, "--type: 'wordpeice' is not possible",
               "use one of: wordpiece, bpe");
  expect_error({"o", "--force=yes"}, "--force takes no value", "write --force alone");
  expect_error({"o", "--rate", "1", "--rate", "2"}, "--rate is given twice", "give it once");
  expect_error({}, "weft train-tokenizer needs DIR",
               "where (weft help train-tokenizer has an example)");
}

TEST(Arguments, TooManyAndMissing) {
  Command c = example();
  c.positionals = {{.name = "DIR", .help = "where"}};
  c.options[0].required = true;
  EXPECT_THROW(Arguments(c, {"a"}), InputError);
  EXPECT_THROW(Arguments(c, {"a", "b", "--vocab-size=200"}), InputError);
  EXPECT_NO_THROW(Arguments(c, {"a", "--vocab-size=200"}));
}

}  // namespace
}  // namespace weft
