// tokenizer.json of Hugging Face's tokenizers library, as far as it describes BERT tokenizers.
#pragma once

#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/text/bert_tokenizer.hpp"

namespace weft {

// Truncation and padding settings are left aside, as transformers does. Throws InputError
// "ORIGIN: ..." naming what is wrong, missing or not supported.
BertTokenizerSpec parse_tokenizer_json(const Json& json, const std::string& origin);

Json to_tokenizer_json(const BertTokenizerSpec& spec);

// One entry of added_tokens, or of added_tokens_decoder, where the id is the key.
AddedToken parse_added_token(const Json& json, const std::string& where);
Json to_json(const AddedToken& token, bool with_id);

}  // namespace weft
