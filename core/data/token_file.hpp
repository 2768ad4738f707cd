// Token files: Megatron's indexed dataset (.bin, .idx), one sequence per sentence, read by mapping.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/files.hpp"

namespace weft {

// What PREFIX.json tells beside the token files.
struct TokenFileInfo {
  std::string tokenizer_hash;  // Tokenizer::hash()
  std::int64_t vocab_size = 0;
  std::int64_t documents = 0, sentences = 0, tokens = 0;
  std::int64_t text_bytes = 0;     // of the lines that were tokenized
  std::int64_t skipped_lines = 0;  // not UTF-8, or not the JSON that was expected
  // Whether a token starts a word exactly if it is the first of its sentence or
  // Tokenizer::starts_word(id) holds. Whole-word masking needs it.
  bool word_starts_by_id = true;
};

std::string to_json(const TokenFileInfo& info);

// PREFIX + ".bin" and so on.
std::filesystem::path token_file_path(const std::filesystem::path& prefix, const char* extension);

// The size of an element in .bin and the .idx's code for it: u16 where the vocabulary fits, else
// i32.
struct TokenType {
  std::uint8_t code;
  std::int64_t size;
};
TokenType token_type(std::int64_t vocab_size);

// The layout of .idx, all little-endian: magic, u64 version 1, u8 code, u64 sentences, u64
// documents
// + 1, then i32 lengths, i64 byte offsets into .bin, i64 first sentence of each document and the
// end.
inline constexpr char kIndexMagic[] = "MMIDIDX\0";  // nine bytes with the closing NUL
inline constexpr std::size_t kIndexHeader = 34;

// Sentences are numbered through all documents. Safe on any bytes: everything is checked against
// the sizes of the files when they are opened, ids when they are read.
class TokenFile {
 public:
  // Throws InputError naming the file and what is wrong with it. PREFIX.json may be missing (files
  // made by others); if it is there, it has to agree.
  explicit TokenFile(const std::filesystem::path& prefix);

  std::int64_t documents() const { return documents_; }
  std::int64_t sentences() const { return sentences_; }
  std::int64_t tokens() const { return tokens_; }
  const std::optional<TokenFileInfo>& info() const { return info_; }
  const std::filesystem::path& prefix() const { return prefix_; }

  // The first sentence of a document; sentences() for documents().
  std::int64_t first_sentence(std::int64_t document) const;
  std::int64_t document_of(std::int64_t sentence) const;  // by binary search
  std::int64_t length(std::int64_t sentence) const;       // in tokens, > 0

  // Appends tokens [first, first + count) of a sentence. Throws InputError naming the file,
  // sentence and id if an id is not in [0, vocab_size).
  void append(std::int64_t sentence, std::int64_t first, std::int64_t count,
              std::int64_t vocab_size, std::vector<std::int32_t>& ids) const;

 private:
  void check_header();
  void check_sentences();
  void check_documents() const;
  void check_info() const;

  std::filesystem::path prefix_;
  MappedFile index_, bin_;
  TokenType type_{};
  std::int64_t sentences_ = 0, documents_ = 0, tokens_ = 0;
  const std::byte* lengths_ = nullptr;          // i32, unaligned
  const std::byte* offsets_ = nullptr;          // i64, unaligned
  const std::byte* first_sentences_ = nullptr;  // i64, unaligned
  std::optional<TokenFileInfo> info_;
};

}  // namespace weft
