// Incremental pair counts with a priority queue.
#include "core/text/wordpiece_trainer.hpp"

#include <algorithm>
#include <map>
#include <queue>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/base/error.hpp"
#include "core/text/bert_tokenizer.hpp"
#include "core/text/pair_table.hpp"
#include "core/text/utf8.hpp"

namespace weft {
namespace {

const std::string kPrefix = "##";
constexpr std::int64_t kMaxWordChars = 100;  // longer words are [UNK] to the tokenizer

template <class OnChar>
void for_each_char(std::string_view word, OnChar&& on_char) {
  for (const char* p = word.data(); p != word.data() + word.size();) on_char(next_code_point(p));
}

// The most frequent characters, by code point.
std::vector<char32_t> alphabet_of(const std::vector<WordCount>& words, std::int64_t limit) {
  std::map<char32_t, std::int64_t> counts;
  for (const WordCount& w : words) for_each_char(w.word, [&](char32_t c) { counts[c] += w.count; });
  std::vector<std::pair<char32_t, std::int64_t>> chars(counts.begin(), counts.end());
  std::stable_sort(chars.begin(), chars.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  if (static_cast<std::int64_t>(chars.size()) > limit)
    chars.resize(static_cast<std::size_t>(limit));
  std::vector<char32_t> alphabet;
  for (const auto& [c, count] : chars) alphabet.push_back(c);
  std::sort(alphabet.begin(), alphabet.end());
  return alphabet;
}

class Trainer {
 public:
  Trainer(const std::vector<WordCount>& words, const WordPieceTraining& training)
      : training_(training) {
    for (const char* token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) add(token);
    add_words(words, alphabet_of(words, training.alphabet_limit));
    if (static_cast<std::int64_t>(tokens_.size()) > training.vocab_size) {
      throw InputError("a vocabulary of " + std::to_string(training.vocab_size) +
                           " does not hold the special tokens and characters of the text",
                       "at least " + std::to_string(tokens_.size()) +
                           " are needed, or a smaller limit of the alphabet");
    }
  }

  std::vector<std::string> run(const OnTrainingProgress& progress) {
    if (progress) report(progress);
    count_pairs();
    while (static_cast<std::int64_t>(tokens_.size()) < training_.vocab_size && merge_best()) {
      if (progress && tokens_.size() % 64 == 0) report(progress);
    }
    if (progress) report(progress);
    return std::move(tokens_);
  }

 private:
  struct Word {
    std::vector<std::int32_t> pieces;
    std::int64_t count;
  };
  struct Candidate {
    std::int64_t count;
    Pair pair;
    std::int32_t index;
    // The queue's top is the largest.
    bool operator<(const Candidate& o) const {
      return count != o.count ? count < o.count : pair > o.pair;
    }
  };

  // The id of a token, which is made when there is none.
  std::int32_t add(const std::string& token) {
    const auto [found, fresh] = ids_.emplace(token, static_cast<std::int32_t>(tokens_.size()));
    if (fresh) tokens_.push_back(token);
    return found->second;
  }

  void add_words(const std::vector<WordCount>& words, const std::vector<char32_t>& alphabet) {
    std::unordered_map<char32_t, std::int32_t> starts, inside;
    const auto number = [&](char32_t c, const std::string& prefix) {
      std::string token = prefix;
      append_code_point(c, token);
      return add(token);
    };
    for (const char32_t c : alphabet) starts[c] = number(c, "");
    for (const WordCount& w : words) {
      bool first = true;
      for_each_char(w.word, [&](char32_t c) {
        if (!first && starts.contains(c)) inside[c] = 0;
        first = false;
      });
    }
    for (const char32_t c : alphabet) {
      if (const auto found = inside.find(c); found != inside.end()) {
        found->second = number(c, kPrefix);
      }
    }
    for (const WordCount& w : words) {
      Word word{{}, w.count};
      bool known = true;
      for_each_char(w.word, [&](char32_t c) {
        known = known && starts.contains(c);
        if (known) word.pieces.push_back(word.pieces.empty() ? starts[c] : inside[c]);
      });
      if (known && word.pieces.size() > 1) words_.push_back(std::move(word));
    }
  }

  void change(Pair pair, std::int64_t by, std::int32_t word) {
    const std::int32_t index = pairs_.index(pair);
    PairTable::Entry& entry = pairs_[index];
    entry.count += by;
    if (by <= 0) return;
    if (entry.words.empty() || entry.words.back() != word) entry.words.push_back(word);
    grown_.push_back(index);
  }

  void queue_grown() {
    std::sort(grown_.begin(), grown_.end());
    grown_.erase(std::unique(grown_.begin(), grown_.end()), grown_.end());
    for (const std::int32_t index : grown_) push(index);
    grown_.clear();
  }

  void push(std::int32_t index) {
    const PairTable::Entry& entry = pairs_[index];
    if (entry.count >= std::max<std::int64_t>(training_.min_frequency, 1)) {
      queue_.push({entry.count, entry.pair, index});
    }
  }

  void count_pairs() {
    for (std::size_t w = 0; w < words_.size(); ++w) {
      const std::vector<std::int32_t>& pieces = words_[w].pieces;
      for (std::size_t i = 0; i + 1 < pieces.size(); ++i) {
        change({pieces[i], pieces[i + 1]}, words_[w].count, static_cast<std::int32_t>(w));
      }
    }
    queue_grown();
  }

  // Merges the most frequent pair; false when none is frequent enough.
  bool merge_best() {
    while (!queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      PairTable::Entry& entry = pairs_[best.index];
      if (best.count != entry.count) {  // it has lost, or gained and is queued again
        if (best.count > entry.count) push(best.index);
        continue;
      }
      merge(best.pair, std::exchange(entry.words, {}));
      pairs_[best.index].count = 0;
      queue_grown();
      return true;
    }
    return false;
  }

  void merge(Pair pair, std::vector<std::int32_t> words) {
    const std::string& right = tokens_[static_cast<std::size_t>(pair.right)];
    const std::int32_t merged =
        add(tokens_[static_cast<std::size_t>(pair.left)] + right.substr(kPrefix.size()));
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    for (const std::int32_t w : words) merge_in(w, pair, merged);
  }

  void merge_in(std::int32_t w, Pair pair, std::int32_t merged) {
    Word& word = words_[static_cast<std::size_t>(w)];
    std::vector<std::int32_t>& pieces = word.pieces;
    std::size_t out = 0;
    for (std::size_t i = 0; i < pieces.size(); ++out) {
      const bool match =
          i + 1 < pieces.size() && pieces[i] == pair.left && pieces[i + 1] == pair.right;
      if (!match) {
        pieces[out] = pieces[i++];
        continue;
      }
      if (out > 0) {
        change({pieces[out - 1], pair.left}, -word.count, w);
        change({pieces[out - 1], merged}, word.count, w);
      }
      if (i + 2 < pieces.size()) {
        change({pair.right, pieces[i + 2]}, -word.count, w);
        change({merged, pieces[i + 2]}, word.count, w);
      }
      pieces[out] = merged;
      i += 2;
    }
    pieces.resize(out);
  }

  void report(const OnTrainingProgress& progress) const {
    progress({TrainingProgress::Phase::merging, static_cast<double>(tokens_.size()),
              static_cast<double>(training_.vocab_size)});
  }

  const WordPieceTraining& training_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, std::int32_t> ids_;
  std::vector<Word> words_;
  PairTable pairs_;
  std::vector<std::int32_t> grown_;  // pairs that gained since they were last queued
  std::priority_queue<Candidate> queue_;
};

}  // namespace

std::vector<std::string> train_vocabulary(const std::vector<WordCount>& words,
                                          const WordPieceTraining& training,
                                          const OnTrainingProgress& progress) {
  if (words.empty()) throw InputError("there are no words to train on");
  return Trainer(words, training).run(progress);
}

std::unique_ptr<Tokenizer> train_wordpiece(const std::vector<std::filesystem::path>& files,
                                           const WordPieceTraining& training,
                                           const OnTrainingProgress& progress) {
  const auto on_read = [&](std::uint64_t done, std::uint64_t total) {
    if (!progress) return;
    progress(
        {TrainingProgress::Phase::counting, static_cast<double>(done), static_cast<double>(total)});
  };
  const std::vector<WordCount> words =
      count_words(files, training.normalizer, kMaxWordChars, training.threads, on_read);
  BertTokenizerSpec spec;
  spec.normalizer = training.normalizer;
  spec.vocab = train_vocabulary(words, training, progress);
  spec.layout = Template::bert(2, 3);
  for (std::int32_t id = 0; id < 5; ++id) {
    spec.added.push_back({.id = id, .content = spec.vocab[static_cast<std::size_t>(id)]});
  }
  return std::make_unique<BertTokenizer>(std::move(spec));
}

}  // namespace weft
