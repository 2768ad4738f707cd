// Masked language modelling: which tokens of a sample are predicted, and what stands in their
// place.
#pragma once

#include "core/data/objective.hpp"
#include "core/data/random.hpp"
#include "core/data/sample.hpp"
#include "core/data/vocabulary.hpp"

namespace weft {

// How many tokens of a sample of `length` tokens (special tokens counted) are to be predicted:
// max(1, round(length * mask_probability)), at most max_predictions.
std::int64_t prediction_count(const ObjectiveOptions& options, std::int64_t length);

// Chooses prediction_count() places at random among the tokens that are not special (fewer if there
// are not so many), fills `places` and `targets`, and replaces each chosen token by [MASK] with
// probability 0.8, by a uniformly random token that is not special with 0.1, else leaves it.
// (Google draws from the whole vocabulary, special tokens included.) With whole_word the units are
// words: a word that does not fit into what is left of the count is passed over, so that long words
// may leave the sample with fewer places, even none. Source: Devlin et al., "BERT", 2019,
// section 3.1.
void mask_tokens(Sample& sample, const ObjectiveOptions& options, const Vocabulary& vocabulary,
                 RandomStream& random);

}  // namespace weft
