// Sentence ends, easy and tricky.
#include "core/data/sentences.hpp"

#include <string>

#include <gtest/gtest.h>

#include "tests/fuzz_rounds.hpp"

namespace weft {
namespace {

// `marked` has a "|" where a sentence ends: the text is that without the bars.
void expect_split(const std::string& marked) {
  std::string text;
  std::vector<std::string> expected(1);
  for (std::size_t i = 0; i < marked.size(); ++i) {
    if (marked[i] == '|') {
      expected.emplace_back();
      continue;
    }
    text += marked[i];
    if (!(expected.back().empty() && (marked[i] == ' ' || marked[i] == '\t')))
      expected.back() += marked[i];
  }
  std::vector<std::string_view> got;
  split_sentences(text, got);
  EXPECT_EQ(std::vector<std::string>(got.begin(), got.end()), expected) << text;
}

TEST(Sentences, EndAtStopsQuestionsAndExclamations) {
  expect_split("It rained.| We stayed in.| Why?| Because!| Really?!| Yes.");
  expect_split("No end mark at all");
  expect_split("One.|  Two spaces.|\tA tab.");
  expect_split("He waited...| Then he left.");
  expect_split("He waited... and left.");
  expect_split("Wait\xE2\x80\xA6| Now go.");
}

TEST(Sentences, KeepClosingQuotesAndBrackets) {
  expect_split("\"I know.\"| She left.");
  expect_split("(See below.)| The end.");
  expect_split("\xE2\x80\x9CStop!\xE2\x80\x9D| Nobody did.");
  expect_split("He said \xC2\xAByes.\xC2\xBB| \xE2\x80\x9CGood,\xE2\x80\x9D she said.");
  expect_split("\"Really?\" he asked.| \"Yes!\" she cried.");
  expect_split("He left (why?), and she stayed.");
}

TEST(Sentences, DoNotEndAfterTitlesAndAbbreviations) {
  expect_split("Dr. Smith met Mrs. Jones at St. Paul's.| They talked.");
  expect_split("Cats vs. Dogs is a film, e.g. Alien is not.");
  expect_split("See No. 5 and pp. 12 to 14, Fig. 3 too.| No.| We said no.| Then 5 came.");
  expect_split("Gen. Grant of the U.S. Army met Lt. Col. Lee.");
}

TEST(Sentences, AmbiguousAbbreviationsEndBeforeCommonOpeners) {
  expect_split("He lives in the U.S.| The army does too.");
  expect_split("Acme Inc. Chairman Bob left Acme Inc.| He was glad.");
  expect_split("Apples, pears, etc.| In winter there are none.");
  expect_split("On Jan. 5 at 3 p.m. Eastern he slept.");
  expect_split("George W. Bush met J. R. R. Tolkien.| It was odd.");
  expect_split("J. A. Smith and I. A. Richards wrote it.");
}

TEST(Sentences, NumbersAreNotEnds) {
  expect_split("Pi is 3.14 or so.| It costs $1,000.50 in 1990.| That was much.");
  expect_split("1. Introduction to weaving.| It is old.");
  expect_split("Version 2.0.1 is on example.org now.");
}

TEST(Sentences, WideMarksNeedNoSpace) {
  expect_split("今天下雨。|我们在家。|为什么？|因为！");
  expect_split("他说：“你好。”|她走了。");
  expect_split("（见下文。）|完了。");
  expect_split("価格は3.5円です。|はい。");
  expect_split("我……我不知道。");
}

TEST(Sentences, OtherScripts) {
  expect_split("Он пришёл.| Она ушла.");
  expect_split("Это т. е. неверно.");
  expect_split("यह एक वाक्य है।| यह दूसरा है।");
  expect_split("كيف حالك؟| أنا بخير.");
  expect_split("\xC2\xBFQu\xC3\xA9 hora es?| \xC2\xA1Tarde!| \xC3\x89l se fue.");
}

TEST(Sentences, WhiteSpaceAndEmptyText) {
  std::vector<std::string_view> got = {"old"};
  for (const char* blank : {"", " ", "\t \xC2\xA0\xE3\x80\x80 "}) {
    split_sentences(blank, got);
    EXPECT_TRUE(got.empty());
  }
  split_sentences("\xE3\x80\x80 A b.\xC2\xA0 C. ", got);
  EXPECT_EQ(got, (std::vector<std::string_view>{"A b.", "C."}));
  split_sentences("...", got);
  EXPECT_EQ(got, (std::vector<std::string_view>{"..."}));
}

// Whatever the bytes, every byte but white space between sentences is in one sentence.
TEST(Sentences, LoseNothing) {
  const std::string signs[] = {".", "!", "?", " ",  "\"", "(", ")",
                               "A", "a", "7", "。", "”",  "é", "\xFF"};
  std::uint32_t state = 1;
  std::vector<std::string_view> got;
  for (int round = 0; round < fuzz_rounds(20000); ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += signs[((state = state * 1664525 + 1013904223) >> 16) % 14];
    split_sentences(text, got);
    std::string joined;
    for (const auto s : got) joined += s;
    std::string a, b;
    for (const char c : text) a += c == ' ' ? "" : std::string(1, c);
    for (const char c : joined) b += c == ' ' ? "" : std::string(1, c);
    ASSERT_EQ(a, b) << text;
  }
}

}  // namespace
}  // namespace weft
