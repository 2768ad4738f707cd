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
  double mask_probability = 0.15;    // share of a sample's tokens that is predicted, in (0, 1]
  bool whole_word = false;           // mask all pieces of a word or none
  std::int64_t max_predictions = 0;  // per sample; 0: mask_probability alone bounds it
  double short_sequence_probability = 0.1;  // share of pairs cut to a random shorter length
};

}  // namespace weft
