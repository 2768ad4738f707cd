// Reads text files as documents, in blocks of lines for the workers of data preparation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/text_reader.hpp"

namespace weft {

// Decides whether a document is held out, from its content alone: the same document goes the same
// way wherever it stands. Fed the lines of the document; only its first 64 KiB count.
class HoldOut {
 public:
  static constexpr std::size_t kHead = std::size_t{1} << 16;

  explicit HoldOut(double fraction) : fraction_(fraction) {}
  void add(std::string_view line);
  // Whether more lines would change nothing.
  bool full() const { return fraction_ <= 0 || head_.size() >= kHead; }
  bool decide() const;
  void clear() { head_.clear(); }

 private:
  double fraction_;
  std::string head_;
};

// A place between two lines of the input, and the document that goes on there.
struct InputPosition {
  std::size_t file = 0;
  std::int64_t lines = 0;  // lines of the file already read
  bool in_document = false;
  bool held_out = false;  // the document that goes on
};

struct TextBlock {
  struct Line {
    std::string_view text(const TextBlock& block) const {
      return std::string_view(block.text).substr(begin, length);
    }
    std::size_t begin, length;
    std::int64_t number;
    bool starts_document;
    bool held_out;
  };

  std::size_t file = 0;
  bool json = false;        // each line is a JSON object with a document
  std::string text;         // of all lines
  std::vector<Line> lines;  // none is blank
  InputPosition end;
  std::uint64_t bytes_read = 0;  // of all files, as stored, up to the end of this block
};

// Lines of a .jsonl file are documents (`held_out` is left to whoever reads the JSON). In other
// files blank lines separate documents, and a document ends with its file.
class DocumentReader {
 public:
  static constexpr std::size_t kBlock = std::size_t{1} << 19;  // bytes of text that fill a block

  DocumentReader(std::vector<std::filesystem::path> files, double held_out, InputPosition start);

  // The next block, of one file; false at the end. Throws InputError as TextReader does.
  bool next(TextBlock& block);

 private:
  bool open_file();
  void decide(TextBlock& block);

  std::vector<std::filesystem::path> files_;
  InputPosition at_;
  HoldOut hold_out_;
  std::unique_ptr<TextReader> reader_;
  std::uint64_t finished_bytes_ = 0;  // of the files before this one
  bool decided_ = true;               // whether at_.held_out is known
  std::size_t undecided_ = 0;         // first line of the block's document that is not
};

}  // namespace weft
