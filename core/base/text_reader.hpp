// Lines of text files, plain or compressed (gzip, xz, zstd), in bounded memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/decompress.hpp"

namespace weft {

class TextReader {
 public:
  static constexpr std::size_t kMaxLine = std::size_t{64} << 20;

  // Opens a file; compression is recognised by its first bytes, whatever its name. A line longer
  // than `max_line` bytes is an error. Throws InputError naming the file.
  explicit TextReader(const std::filesystem::path& path, std::size_t max_line = kMaxLine);
  // Reads an open descriptor, which stays open; `name` stands for the file in messages.
  TextReader(int descriptor, std::string name, std::size_t max_line = kMaxLine);
  ~TextReader();
  TextReader(const TextReader&) = delete;
  TextReader& operator=(const TextReader&) = delete;

  // The next line without its end ("\n" or "\r\n"), valid until the next call; false after the
  // last. A byte order mark before the first line is dropped; bytes are not checked to be UTF-8.
  // Throws InputError "FILE:LINE: ..." for damaged or truncated compressed data, overlong lines,
  // UTF-16 and read errors.
  bool next(std::string_view& line);

  const std::string& name() const { return name_; }
  std::int64_t line_number() const { return line_number_; }  // of the last line, from 1
  std::string where() const;                                 // "FILE:LINE" of the last line
  // For progress: bytes taken from the file so far, as stored, and its size (0: not a file).
  std::uint64_t bytes_read() const { return bytes_read_; }
  std::uint64_t bytes_total() const { return bytes_total_; }

 private:
  void start();
  std::size_t read_raw(char* target, std::size_t size);
  std::size_t read_text(char* target, std::size_t size);
  void refill();
  [[noreturn]] void fail(const std::string& what, const std::string& hint = {}) const;

  std::string name_;
  int descriptor_ = -1;
  bool owned_ = false;
  std::size_t max_line_;
  Compression compression_ = Compression::none;
  std::unique_ptr<Decompressor> decompressor_;
  std::vector<char> raw_;                    // bytes as stored
  std::size_t raw_begin_ = 0, raw_end_ = 0;  // the part of raw_ not yet taken
  std::vector<char> text_;
  std::size_t begin_ = 0, end_ = 0;  // the part of text_ not yet returned
  bool raw_done_ = false, text_done_ = false;
  std::int64_t line_number_ = 0;
  std::uint64_t bytes_read_ = 0, bytes_total_ = 0;
};

// Whether a file holds one JSON object per line by its name: .jsonl, or .jsonl.gz, .xz, .zst.
bool is_jsonl(const std::filesystem::path& path);

}  // namespace weft
