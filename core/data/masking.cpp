// Chooses words or tokens, then replaces them.
#include "core/data/masking.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace weft {

std::int64_t prediction_count(const ObjectiveOptions& options, std::int64_t length) {
  const auto share = std::llround(static_cast<double>(length) * options.mask_probability);
  const std::int64_t count = std::max<std::int64_t>(1, share);
  return options.max_predictions > 0 ? std::min(count, options.max_predictions) : count;
}

namespace {

struct Word {
  std::int32_t first;
  std::int32_t length;
};

// Every token by itself, or whole words; special tokens are none, and end words.
std::vector<Word> words_of(const Sample& sample, bool whole, const Vocabulary& vocabulary) {
  std::vector<Word> words;
  bool inside = false;
  for (std::size_t i = 0; i < sample.ids.size(); ++i) {
    const auto id = static_cast<std::size_t>(sample.ids[i]);
    if (vocabulary.is_special[id]) {
      inside = false;
    } else if (whole && inside && !vocabulary.starts_word[id]) {
      ++words.back().length;
    } else {
      words.push_back({static_cast<std::int32_t>(i), 1});
      inside = true;
    }
  }
  return words;
}

std::int32_t replacement(std::int32_t id, const Vocabulary& vocabulary, RandomStream& random) {
  const std::uint64_t tenth = random.below(10);
  if (tenth < 8) return vocabulary.special.mask;
  return tenth == 8 ? vocabulary.ordinary[random.below(vocabulary.ordinary.size())] : id;
}

}  // namespace

void mask_tokens(Sample& sample, const ObjectiveOptions& options, const Vocabulary& vocabulary,
                 RandomStream& random) {
  auto words = words_of(sample, options.whole_word, vocabulary);
  auto left = prediction_count(options, static_cast<std::int64_t>(sample.ids.size()));
  for (std::size_t k = 0; k < words.size() && left > 0; ++k) {  // a shuffle, as far as it is needed
    std::swap(words[k], words[k + random.below(words.size() - k)]);
    if (words[k].length > left) continue;
    left -= words[k].length;
    for (std::int32_t i = 0; i < words[k].length; ++i) sample.places.push_back(words[k].first + i);
  }
  std::sort(sample.places.begin(), sample.places.end());
  for (const std::int32_t place : sample.places) {
    std::int32_t& id = sample.ids[static_cast<std::size_t>(place)];
    sample.targets.push_back(id);
    id = replacement(id, vocabulary, random);
  }
}

}  // namespace weft
