// Tables of a tokenizer's vocabulary.
#include "core/data/vocabulary.hpp"

#include <string>

#include "core/base/error.hpp"

namespace weft {

Vocabulary vocabulary_of(const Tokenizer& tokenizer) {
  Vocabulary v;
  v.size = tokenizer.vocab_size();
  v.special = tokenizer.special();
  std::string missing;
  if (v.special.pad < 0) missing += " [PAD]";
  if (v.special.cls < 0) missing += " [CLS]";
  if (v.special.sep < 0) missing += " [SEP]";
  if (v.special.mask < 0) missing += " [MASK]";
  if (!missing.empty()) {
    throw InputError("the tokenizer has no special token" + missing + ", which masking needs",
                     "use a BERT-like tokenizer, such as weft train-tokenizer makes");
  }
  for (std::int32_t id = 0; id < v.size; ++id) {
    v.is_special.push_back(tokenizer.is_special(id) ? 1 : 0);
    v.starts_word.push_back(tokenizer.starts_word(id) ? 1 : 0);
    if (!tokenizer.is_special(id)) v.ordinary.push_back(id);
  }
  if (v.ordinary.empty()) throw InputError("the tokenizer has only special tokens");
  return v;
}

}  // namespace weft
