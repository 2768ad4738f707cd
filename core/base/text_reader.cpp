// Reads descriptors in blocks, decompresses, and cuts lines.
#include "core/base/text_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.hpp"

namespace weft {
namespace {

constexpr std::size_t kRawBlock = 1 << 16;
constexpr std::size_t kTextBlock = 1 << 18;

}  // namespace

TextReader::TextReader(const std::filesystem::path& path, std::size_t max_line)
    : name_(path.string()), owned_(true), max_line_(max_line) {
  descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) {
    throw InputError(name_ + ": cannot be opened: " + std::strerror(errno));
  }
  try {
    start();
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

TextReader::TextReader(int descriptor, std::string name, std::size_t max_line)
    : name_(std::move(name)), descriptor_(descriptor), max_line_(max_line) {
  start();
}

TextReader::~TextReader() {
  if (owned_) close(descriptor_);
}

void TextReader::start() {
  struct stat status {};
  if (fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) {
    bytes_total_ = static_cast<std::uint64_t>(status.st_size);
  }
  if (S_ISDIR(status.st_mode)) throw InputError(name_ + ": is a folder, not a file");
  raw_.resize(kRawBlock);
  text_.resize(kTextBlock);
  constexpr std::size_t kMagic = 6;
  while (raw_end_ < kMagic && !raw_done_) {
    const std::size_t got = read_raw(raw_.data() + raw_end_, raw_.size() - raw_end_);
    raw_end_ += got;
    raw_done_ = got == 0;
  }
  compression_ = compression_of({raw_.data(), raw_end_});
  if (compression_ != Compression::none) decompressor_ = make_decompressor(compression_);
  refill();
  const std::string_view head(text_.data(), end_);
  if (head.starts_with("\xff\xfe") || head.starts_with("\xfe\xff")) {
    throw InputError(name_ + ":1: the text is UTF-16",
                     "convert it to UTF-8: iconv -f UTF-16 -t UTF-8");
  }
  if (head.starts_with("\xef\xbb\xbf")) begin_ = 3;
}

std::size_t TextReader::read_raw(char* target, std::size_t size) {
  for (;;) {
    const ssize_t got = read(descriptor_, target, size);
    if (got >= 0) {
      bytes_read_ += static_cast<std::uint64_t>(got);
      return static_cast<std::size_t>(got);
    }
    if (errno != EINTR) fail(std::string("cannot be read: ") + std::strerror(errno));
  }
}

// Up to `size` bytes of text; 0 at the end.
std::size_t TextReader::read_text(char* target, std::size_t size) {
  if (!decompressor_) {
    if (raw_begin_ < raw_end_) {  // what was read to recognise the compression
      const std::size_t n = std::min(size, raw_end_ - raw_begin_);
      std::memcpy(target, raw_.data() + raw_begin_, n);
      raw_begin_ += n;
      return n;
    }
    return raw_done_ ? 0 : read_raw(target, size);
  }
  for (;;) {
    const Decompressor::Step step =
        decompressor_->step({raw_.data() + raw_begin_, raw_end_ - raw_begin_}, {target, size});
    raw_begin_ += step.consumed;
    if (!step.problem.empty()) {
      fail(std::string("damaged ") + name_of(compression_) + " file: " + step.problem);
    }
    if (step.produced > 0) return step.produced;
    if (step.consumed > 0) continue;
    if (raw_done_) {
      if (!decompressor_->complete()) {
        fail(std::string("the ") + name_of(compression_) + " file ends too early",
             "copy or download it again");
      }
      return 0;
    }
    std::memmove(raw_.data(), raw_.data() + raw_begin_, raw_end_ - raw_begin_);
    raw_end_ -= raw_begin_;
    raw_begin_ = 0;
    const std::size_t got = read_raw(raw_.data() + raw_end_, raw_.size() - raw_end_);
    raw_end_ += got;
    raw_done_ = got == 0;
  }
}

// Adds text behind end_, making room first, which moves what is there.
void TextReader::refill() {
  if (begin_ > 0) {
    std::memmove(text_.data(), text_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (text_.size() - end_ < kTextBlock / 2) text_.resize(2 * text_.size());
  const std::size_t got = read_text(text_.data() + end_, text_.size() - end_);
  end_ += got;
  text_done_ = got == 0;
}

bool TextReader::next(std::string_view& line) {
  std::size_t searched = 0;  // bytes from begin_ on known to hold no line end
  for (;;) {
    const char* from = text_.data() + begin_;
    const std::size_t size = end_ - begin_;
    const void* found = std::memchr(from + searched, '\n', size - searched);
    std::size_t length = found ? static_cast<const char*>(found) - from : size;
    if (!found) {
      searched = size;
      if (length <= max_line_ && !text_done_) {
        refill();
        continue;
      }
      if (length == 0) return false;
    }
    ++line_number_;
    if (length > max_line_) {
      fail("the line is longer than " + std::to_string(max_line_) + " bytes");
    }
    begin_ += found ? length + 1 : length;
    if (found && length > 0 && from[length - 1] == '\r') --length;
    line = std::string_view(from, length);
    return true;
  }
}

std::string TextReader::where() const { return name_ + ":" + std::to_string(line_number_); }

void TextReader::fail(const std::string& what, const std::string& hint) const {
  throw InputError(
      name_ + ":" + std::to_string(std::max<std::int64_t>(line_number_, 1)) + ": " + what, hint);
}

bool is_jsonl(const std::filesystem::path& path) {
  const std::filesystem::path extension = path.extension();
  if (extension == ".gz" || extension == ".xz" || extension == ".zst") {
    return path.stem().extension() == ".jsonl";
  }
  return extension == ".jsonl";
}

}  // namespace weft
