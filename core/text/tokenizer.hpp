// Tokenizers: text to ids, with offsets, and back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/files.hpp"

namespace weft {

struct Encoding {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t>
      type_ids;  // 0 for the first text and its special tokens, 1 for the second
  // Half-open ranges of Unicode code points in the text the token came from; [0, 0) for special
  // tokens added.
  std::vector<std::pair<std::int32_t, std::int32_t>> offsets;
};

struct EncodeOptions {
  bool special_tokens = true;
  std::int64_t max_length = 0;  // truncates the longer text first, from its end; 0: no limit
};

struct SpecialTokens {
  std::int32_t pad = -1, unk = -1, cls = -1, sep = -1, mask = -1;  // -1: the tokenizer has none
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual Encoding encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  virtual Encoding encode_pair(std::string_view a, std::string_view b,
                               const EncodeOptions& options = {}) const = 0;
  // The fast path of data preparation: appends the ids of one text without special tokens added,
  // and for each id whether it starts a word. Thread-safe.
  virtual void append_ids(std::string_view text, std::vector<std::int32_t>& ids,
                          std::vector<std::uint8_t>& word_starts) const = 0;
  virtual std::string decode(const std::vector<std::int32_t>& ids,
                             bool skip_special = true) const = 0;

  virtual std::int32_t vocab_size() const = 0;
  virtual const std::string& token(std::int32_t id) const = 0;
  virtual std::int32_t id_of(std::string_view token) const = 0;  // -1: not in the vocabulary
  virtual const SpecialTokens& special() const = 0;
  virtual bool is_special(std::int32_t id) const = 0;  // at least those of special()
  // Whether the id begins a word (WordPiece: no "##"): whole-word masking.
  virtual bool starts_word(std::int32_t id) const = 0;
  // xxh3-64 of everything that decides ids, as 16 hex digits: stored with token files and
  // checkpoints.
  virtual std::string hash() const = 0;
  // vocab.txt, tokenizer.json, tokenizer_config.json, special_tokens_map.json.
  virtual std::vector<SmallFile> files() const = 0;
  // Writes these files into an existing directory.
  void save(const std::filesystem::path& dir) const;
};

// Reads tokenizer.json, or vocab.txt + tokenizer_config.json. Throws InputError naming the file.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& dir);

}  // namespace weft
