// Cuts input files into blocks of lines.
#include "core/data/document_reader.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "core/base/hash.hpp"

namespace weft {

namespace {

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\v\f\r") == std::string_view::npos;
}

}  // namespace

void HoldOut::add(std::string_view line) {
  if (full()) return;
  head_.append(line).push_back('\n');
  if (head_.size() > kHead) head_.resize(kHead);
}

bool HoldOut::decide() const {
  if (fraction_ <= 0) return false;
  const std::uint64_t hash = xxh3_64(std::as_bytes(std::span(head_)));
  return static_cast<double>(hash) < fraction_ * 0x1.0p64;
}

DocumentReader::DocumentReader(std::vector<std::filesystem::path> files, double held_out,
                               InputPosition start)
    : files_(std::move(files)), at_(start), hold_out_(held_out) {
  for (std::size_t f = 0; f < at_.file; ++f)
    finished_bytes_ += std::filesystem::file_size(files_[f]);
}

bool DocumentReader::open_file() {
  if (at_.file == files_.size()) return false;
  reader_ = std::make_unique<TextReader>(files_[at_.file]);
  std::string_view line;
  while (reader_->line_number() < at_.lines && reader_->next(line)) {
  }
  return true;
}

// The undecided document of the block is now known well enough: marks its lines.
void DocumentReader::decide(TextBlock& block) {
  if (!decided_) at_.held_out = hold_out_.decide();
  decided_ = true;
  for (; undecided_ < block.lines.size(); ++undecided_) {
    block.lines[undecided_].held_out = at_.held_out;
  }
}

bool DocumentReader::next(TextBlock& block) {
  if (!reader_ && !open_file()) return false;
  block = {};
  block.file = at_.file;
  block.json = is_jsonl(files_[at_.file]);
  undecided_ = 0;
  std::string_view line;
  bool more = true;
  // A block may only end where the last document is decided.
  while ((block.text.size() < kBlock || !decided_) && (more = reader_->next(line))) {
    if (is_blank(line)) {
      decide(block);
      at_.in_document = false;
      continue;
    }
    const bool starts = block.json || !at_.in_document;
    if (starts) {
      decide(block);
      hold_out_.clear();
      decided_ = block.json;
    }
    at_.in_document = !block.json;
    block.lines.push_back(
        {block.text.size(), line.size(), reader_->line_number(), starts, at_.held_out});
    block.text.append(line);
    if (decided_) {
      undecided_ = block.lines.size();
    } else {
      hold_out_.add(line);
      if (hold_out_.full()) decide(block);
    }
  }
  decide(block);
  at_.lines = reader_->line_number();
  block.bytes_read = finished_bytes_ + reader_->bytes_read();
  if (!more) {
    finished_bytes_ += reader_->bytes_total();
    reader_.reset();
    at_ = {at_.file + 1, 0, false, false};
  }
  block.end = at_;
  return true;
}

}  // namespace weft
