// The BERT tokenizer: everything that decides its ids, and how it encodes and decodes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/text/added_tokens.hpp"
#include "core/text/bert_normalizer.hpp"
#include "core/text/template.hpp"
#include "core/text/tokenizer.hpp"
#include "core/text/unicode.hpp"
#include "core/text/word_splitter.hpp"
#include "core/text/wordpiece.hpp"

namespace weft {

struct WordPieceDecoder {
  std::string prefix = "##";
  bool cleanup = true;  // no space before . ? ! , n't 'm 's 've 're
};

struct SpecialNames {
  std::string pad = "[PAD]", unk = "[UNK]", cls = "[CLS]", sep = "[SEP]", mask = "[MASK]";
};

// A tokenizer as its files describe it.
struct BertTokenizerSpec {
  BertNormalizerOptions normalizer;
  WordPieceOptions model;
  std::vector<std::string> vocab;  // by id; the added tokens behind it have the ids that follow
  std::vector<AddedToken> added;
  Template layout;
  std::optional<WordPieceDecoder> decoder = WordPieceDecoder{};  // none: tokens joined by spaces
  SpecialNames names;
  std::int64_t model_max_length = 0;  // only handed on to tokenizer_config.json; 0: not given
};

class BertTokenizer : public Tokenizer {
 public:
  // Throws InputError (without a file's name) for a specification that contradicts itself.
  explicit BertTokenizer(BertTokenizerSpec spec);

  Encoding encode(std::string_view text, const EncodeOptions& options) const override;
  Encoding encode_pair(std::string_view a, std::string_view b,
                       const EncodeOptions& options) const override;
  void append_ids(std::string_view text, std::vector<std::int32_t>& ids,
                  std::vector<std::uint8_t>& word_starts) const override;
  std::string decode(const std::vector<std::int32_t>& ids, bool skip_special) const override;

  std::int32_t vocab_size() const override { return static_cast<std::int32_t>(tokens_.size()); }
  const std::string& token(std::int32_t id) const override;
  std::int32_t id_of(std::string_view token) const override;
  const SpecialTokens& special() const override { return special_; }
  bool is_special(std::int32_t id) const override;
  bool starts_word(std::int32_t id) const override;
  std::string hash() const override;
  std::vector<SmallFile> files() const override;

  const BertTokenizerSpec& spec() const { return spec_; }

 private:
  Encoding encode_text(std::string_view text) const;
  template <class OnToken, class OnWords>
  void for_each_part(std::string_view text, OnToken&& on_token, OnWords&& on_words) const;
  template <class OnToken, class OnWords>
  void normalized_parts(std::string_view text, std::int32_t first, OnToken&& on_token,
                        OnWords&& on_words) const;

  BertTokenizerSpec spec_;
  const CharTable& table_ = char_table();
  WordPiece model_;
  AddedTokenFinder raw_finder_, normalized_finder_;
  std::vector<std::string> tokens_;  // the vocabulary and the added tokens, by id
  std::unordered_map<std::string_view, std::int32_t> ids_;
  std::vector<std::uint8_t> is_special_;
  SpecialTokens special_;
};

}  // namespace weft
