// The pretraining objective: how samples are cut from documents, and which tokens are predicted.
#pragma once

#include <cstdint>

namespace weft {

enum class ObjectiveType { mlm };

// The task that a pair of segments A, B is made for; `none` makes one segment of whole sentences.
enum class SentenceTask { none, nsp, sop };

struct ObjectiveOptions {
  ObjectiveType type = ObjectiveType::mlm;
  SentenceTask sentence = SentenceTask::nsp;
  double mask_probability = 0.15;  // share of a sample's tokens that is predicted, in (0, 1]
  bool whole_word = false;         // mask all pieces of a word or none
  std::int64_t max_predictions =
      0;  // at most so many per sample; 0: mask_probability alone bounds it
  double short_sequence_probability = 0.1;  // share of pairs cut to a random shorter length
};

// How many tokens of a sample of `length` tokens (special tokens counted) are to be predicted:
// max(1, round(length * mask_probability)), at most max_predictions.
std::int64_t prediction_count(const ObjectiveOptions& options, std::int64_t length);

}  // namespace weft
