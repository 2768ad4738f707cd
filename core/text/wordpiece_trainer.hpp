// Trains a WordPiece vocabulary by merging the most frequent pair of pieces, again and again.
//
// Source: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units",
// ACL 2016; with WordPiece's continuation prefix, as Hugging Face's WordPieceTrainer does it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/text/bert_normalizer.hpp"
#include "core/text/tokenizer.hpp"
#include "core/text/word_counter.hpp"

namespace weft {

struct WordPieceTraining {
  std::int64_t vocab_size = 30522;     // special tokens and single characters included
  std::int64_t min_frequency = 2;      // of a pair that is merged
  std::int64_t alphabet_limit = 1000;  // characters kept; words with others are left out
  BertNormalizerOptions normalizer;
  int threads = 1;
};

struct TrainingProgress {
  enum class Phase { counting, merging };
  Phase phase;
  double done, total;  // counting: bytes of the files as stored; merging: tokens of the vocabulary
};
// Called at the start of each phase, now and then, and at its end.
using OnTrainingProgress = std::function<void(const TrainingProgress&)>;

// [PAD], [UNK], [CLS], [SEP], [MASK], the characters by code point, those that continue a word with
// "##", then merged pieces, the most frequent first; of equally frequent pairs the one whose pieces
// came first. Fewer than vocab_size when no pair is left. Throws InputError for words that are
// missing or a size that does not hold the characters.
std::vector<std::string> train_vocabulary(const std::vector<WordCount>& words,
                                          const WordPieceTraining& training,
                                          const OnTrainingProgress& progress = {});

// Counts the words of the files, trains, and makes a BERT tokenizer of the vocabulary. The result
// does not depend on the number of threads.
std::unique_ptr<Tokenizer> train_wordpiece(const std::vector<std::filesystem::path>& files,
                                           const WordPieceTraining& training,
                                           const OnTrainingProgress& progress = {});

}  // namespace weft
