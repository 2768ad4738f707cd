// Training: merges counted by hand, against a plain recount, and for several numbers of threads.
#include "core/text/wordpiece_trainer.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "tests/core/text/fixtures.hpp"

namespace weft {
namespace {

using Tokens = std::vector<std::string>;

const Tokens kSpecial = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

Tokens with_special(const Tokens& rest) {
  Tokens all = kSpecial;
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

TEST(WordPieceTrainer, MergesTheMostFrequentPairs) {
  const std::vector<WordCount> words = {{"bab", 5}, {"cab", 3}, {"ba", 3}, {"c", 9}};
  WordPieceTraining training{.vocab_size = 100, .min_frequency = 2};
  EXPECT_EQ(train_vocabulary(words, training),
            with_special({"a", "b", "c", "##a", "##b",
                          // (b,##a) 8, (##a,##b) 8, (c,##a) 3: of equals the smaller ids; then
                          // (ba,##b) 5; then (c,##a) 3, (##a,##b) 3; then (ca,##b) 3
                          "ba", "bab", "ca", "cab"}));
  training.vocab_size = 11;
  EXPECT_EQ(train_vocabulary(words, training).back(), "ba");
  training.vocab_size = 100;
  training.min_frequency = 4;
  EXPECT_EQ(train_vocabulary(words, training).back(), "bab");
}

TEST(WordPieceTrainer, RepeatedCharactersAreCountedOnce) {
  // aaaa: (a,##a) 1, (##a,##a) 2 -> "##aa": a ##aa ##a
  const Tokens tokens = train_vocabulary({{"aaaa", 2}}, {.vocab_size = 8});
  EXPECT_EQ(tokens, with_special({"a", "##a", "##aa"}));
}

TEST(WordPieceTrainer, RareCharactersAreLeftOutWithTheirWords) {
  const std::vector<WordCount> words = {{"aab", 5}, {"ax", 1}, {"b", 9}};
  const Tokens tokens = train_vocabulary(words, {.vocab_size = 50, .alphabet_limit = 2});
  EXPECT_EQ(tokens, with_special({"a", "b", "##a", "##b", "aa", "aab"}));
}

TEST(WordPieceTrainer, RefusesWhatCannotWork) {
  EXPECT_THROW(train_vocabulary({}, {}), InputError);
  try {
    train_vocabulary({{"abc", 1}}, {.vocab_size = 9});
    FAIL();
  } catch (const InputError& e) {
    EXPECT_EQ(e.hint(), "at least 10 are needed, or a smaller limit of the alphabet");
  }
}

// The same algorithm with every pair counted anew for each merge.
Tokens by_recounting(const std::vector<WordCount>& words, std::int64_t vocab_size) {
  std::set<std::string> starts, inside;
  std::vector<std::pair<Tokens, std::int64_t>> split;
  for (const WordCount& w : words) {
    Tokens pieces;
    for (const char c : w.word) {
      starts.insert(std::string(1, c));
      if (!pieces.empty()) inside.insert("##" + std::string(1, c));
      pieces.push_back((pieces.empty() ? "" : "##") + std::string(1, c));
    }
    split.emplace_back(pieces, w.count);
  }
  Tokens tokens = kSpecial;
  tokens.insert(tokens.end(), starts.begin(), starts.end());
  tokens.insert(tokens.end(), inside.begin(), inside.end());
  const auto id = [&](const std::string& t) {
    return std::find(tokens.begin(), tokens.end(), t) - tokens.begin();
  };
  while (static_cast<std::int64_t>(tokens.size()) < vocab_size) {
    std::map<std::pair<std::ptrdiff_t, std::ptrdiff_t>, std::int64_t> counts;
    for (const auto& [pieces, count] : split) {
      for (std::size_t i = 0; i + 1 < pieces.size(); ++i) {
        counts[{id(pieces[i]), id(pieces[i + 1])}] += count;
      }
    }
    auto best = counts.end();
    for (auto it = counts.begin(); it != counts.end(); ++it) {
      if (best == counts.end() || it->second > best->second) best = it;
    }
    if (best == counts.end() || best->second < 2) break;
    const std::string left = tokens[static_cast<std::size_t>(best->first.first)];
    const std::string right = tokens[static_cast<std::size_t>(best->first.second)];
    const std::string merged = left + right.substr(2);
    if (std::find(tokens.begin(), tokens.end(), merged) == tokens.end()) tokens.push_back(merged);
    for (auto& [pieces, count] : split) {
      for (std::size_t i = 0; i + 1 < pieces.size(); ++i) {
        if (pieces[i] != left || pieces[i + 1] != right) continue;
        pieces[i] = merged;
        pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  }
  return tokens;
}

TEST(WordPieceTrainer, IncrementalCountsEqualRecounting) {
  std::mt19937 random(3);
  for (int round = 0; round < 30; ++round) {
    std::map<std::string, std::int64_t> words;
    for (int i = 0; i < 60; ++i) {
      std::string word;
      const auto length = 1 + random() % 9;
      for (unsigned k = 0; k < length; ++k)
        word += static_cast<char>('a' + random() % (2 + round % 3));
      words[word] += 1 + static_cast<std::int64_t>(random() % 5);
    }
    std::vector<WordCount> list;
    for (const auto& [word, count] : words) list.push_back({word, count});
    const std::int64_t size = 20 + static_cast<std::int64_t>(random() % 150);
    EXPECT_EQ(train_vocabulary(list, {.vocab_size = size}), by_recounting(list, size));
  }
}

std::string sample_text() {
  std::mt19937 random(4);
  std::string text;
  for (int line = 0; line < 60000; ++line) {
    for (int i = 0; i < 12; ++i) {
      const auto n = random() % 3000 * (random() % 3000) / 3000;
      text += (n % 7 == 0 ? "\u00C9tude" : "Word") + std::to_string(n) + (n % 5 ? " " : ", ");
    }
    text += "\n";
  }
  return text;
}

TEST(WordPieceTrainer, TheResultDoesNotDependOnThreads) {
  const TemporaryFolder folder;
  folder.write("text.txt", sample_text());  // several blocks
  const std::vector<std::filesystem::path> files = {folder.path() / "text.txt"};
  WordPieceTraining training{.vocab_size = 600};
  const auto one = train_wordpiece(files, training);
  EXPECT_EQ(one->vocab_size(), 600);
  EXPECT_GE(one->id_of("etude"), 0);
  for (const int threads : {2, 5}) {
    training.threads = threads;
    EXPECT_EQ(train_wordpiece(files, training)->hash(), one->hash());
  }
  training.normalizer.lowercase = false;
  EXPECT_GE(train_wordpiece(files, training)->id_of("\u00C9tude"), 0);
}

TEST(WordCounter, CountsNormalisedWordsOfEveryKindOfFile) {
  const TemporaryFolder folder;
  folder.write("a.txt", "The the, CAF\u00C9\n\ncafe " + std::string(101, 'x') + "\n");
  folder.write("b.jsonl", "{\"text\": \"the end\"}\n{\"a\": \"end\", \"b\": \"the\"}\n");
  std::vector<std::uint64_t> done;
  const auto words =
      count_words({folder.path() / "a.txt", folder.path() / "b.jsonl"}, {}, 100, 2,
                  [&](std::uint64_t bytes, std::uint64_t) { done.push_back(bytes); });
  std::string all;
  for (const WordCount& w : words) all += w.word + " " + std::to_string(w.count) + "; ";
  EXPECT_EQ(all, "the 4; cafe 2; end 2; , 1; ");
  const auto size = [&](const char* name) {
    return std::filesystem::file_size(folder.path() / name);
  };
  EXPECT_EQ(done.back(), size("a.txt") + size("b.jsonl"));
}

TEST(WordCounter, ErrorsNameFileAndLine) {
  const TemporaryFolder folder;
  folder.write("bad.jsonl", "{\"text\": \"fine\"}\n{\"txt\": 1}\n");
  try {
    count_words({folder.path() / "bad.jsonl"}, {}, 100, 3);
    FAIL();
  } catch (const InputError& e) {
    EXPECT_EQ(std::string(e.what()), (folder.path() / "bad.jsonl").string() +
                                         ":2: no string \"text\", nor \"a\" and \"b\"");
  }
  EXPECT_THROW(count_words({folder.path() / "missing"}, {}, 100, 1), InputError);
}

}  // namespace
}  // namespace weft
