// Blocks of text lines to tokens: what the workers of data preparation do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/data/document_reader.hpp"
#include "core/data/token_file.hpp"
#include "core/text/tokenizer.hpp"

namespace weft {

// Sentences of one output, in order, as TokenWriter takes them.
struct TokenRun {
  std::vector<std::int32_t> lengths;
  std::vector<std::byte> tokens;
  std::vector<std::int64_t> document_starts;  // positions in `lengths`
  bool starts_behind = false;  // a document has begun whose first sentence is not in this run
  std::int64_t text_bytes = 0;
};

struct TokenBlock {
  TokenRun train, held_out;
  std::vector<std::string> skipped;  // "FILE:LINE: why" of lines that were left out
  bool word_starts_by_id = true;     // see TokenFileInfo
  InputPosition end;
  std::uint64_t bytes_read = 0;
};

struct TextOptions {
  bool split_sentences = true;
  bool strict = false;  // a bad line is an InputError, else it is left out
  double held_out = 0;  // share of documents
};

// Bad lines are those with bytes that are not UTF-8 or with NUL, and in .jsonl files those that are
// not an object with a string "text". Thread-safe.
class BlockTokenizer {
 public:
  BlockTokenizer(const Tokenizer& tokenizer, const TextOptions& options,
                 std::vector<std::filesystem::path> files);

  TokenBlock operator()(TextBlock&& block) const;

 private:
  struct Work;
  void add_json(Work& work, std::string_view line) const;
  void add_line(Work& work, std::string_view line, TokenRun& run) const;
  void add_sentence(Work& work, std::string_view sentence, TokenRun& run) const;
  void skip(Work& work, const std::string& why) const;

  const Tokenizer& tokenizer_;
  TextOptions options_;
  std::vector<std::filesystem::path> files_;
  TokenType type_;
  std::vector<std::uint8_t> starts_word_;  // by id
};

}  // namespace weft
