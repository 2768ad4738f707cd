// Writes token files piece by piece, so that an interrupted writer can go on where it was.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "core/base/files.hpp"
#include "core/data/token_file.hpp"

namespace weft {

// Keeps three growing files in a working directory: NAME.bin, which becomes PREFIX.bin as it is,
// and NAME.lengths and NAME.documents, which finish() joins to NAME.idx.
class TokenWriter {
 public:
  // Starts at `written` sentences, documents and tokens; what the files hold beyond is cut off.
  // Throws Error when they hold less.
  TokenWriter(const std::filesystem::path& directory, const std::string& name,
              std::int64_t vocab_size, const TokenFileInfo& written = {});

  // Appends sentences: their lengths, the ids of all of them end to end as elements of
  // token_type(), and which of them start documents (rising positions in `lengths`).
  void append(std::span<const std::int32_t> lengths, std::span<const std::byte> tokens,
              std::span<const std::int64_t> document_starts);
  void sync();  // all that was appended is on the disk

  std::int64_t sentences() const { return sentences_; }
  std::int64_t documents() const { return documents_; }
  std::int64_t tokens() const { return tokens_; }

  // Writes NAME.idx and closes all files; nothing may be appended afterwards.
  void finish();

 private:
  void write_index() const;
  std::filesystem::path path(const char* extension) const;

  std::filesystem::path directory_;
  std::string name_;
  TokenType type_;
  std::int64_t sentences_, documents_, tokens_;
  OutputFile bin_, lengths_, document_starts_;
};

}  // namespace weft
