// The one-pass splitter: a fast path for ASCII words, runs for the rest.
#include "core/text/word_splitter.hpp"

#include <array>

#include "core/text/utf8.hpp"

namespace weft {
namespace {

constexpr std::size_t kStretchWords = 512;

enum AsciiClass : std::uint8_t { kWordByte, kSpaceByte, kPunctByte, kControlByte, kNotAscii };

// What a byte is when the text is cleaned; \v, \f and 1C-1F are control characters then.
constexpr std::array<AsciiClass, 256> make_ascii_classes() {
  std::array<AsciiClass, 256> classes{};
  for (int c = 0; c < 256; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    classes[c] = c >= 128                                          ? kNotAscii
                 : letter                                          ? kWordByte
                 : c == ' ' || c == '\t' || c == '\n' || c == '\r' ? kSpaceByte
                 : c < 32 || c == 127                              ? kControlByte
                                                                   : kPunctByte;
  }
  return classes;
}

constexpr std::array<AsciiClass, 256> kAscii = make_ascii_classes();

AsciiClass ascii_class(char c) { return kAscii[static_cast<std::uint8_t>(c)]; }

void append_word(const NormalChar* first, const NormalChar* last, Words& words) {
  Words::Word word{static_cast<std::uint32_t>(words.bytes.size()), 0, 0,
                   static_cast<std::int64_t>(words.spans.size())};
  for (; first != last; ++first) {
    append_code_point(first->code, words.bytes);
    words.spans.resize(static_cast<std::size_t>(word.spans) + words.bytes.size() - word.begin,
                       {first->begin, first->end});
  }
  word.end = static_cast<std::uint32_t>(words.bytes.size());
  words.words.push_back(word);
}

void append_ascii_word(const char* text, std::size_t size, std::int32_t first, bool lowercase,
                       Words& words) {
  const std::size_t begin = words.bytes.size();
  words.bytes.append(text, size);
  if (lowercase) {
    for (char* c = words.bytes.data() + begin; c != words.bytes.data() + begin + size; ++c) {
      *c = static_cast<char>(*c | (*c >= 'A' && *c <= 'Z') << 5);
    }
  }
  words.words.push_back(
      {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(begin + size), first, -1});
}

}  // namespace

void split_normalized(const CharTable& table, std::span<const NormalChar> chars, Words& words) {
  const NormalChar* const end = chars.data() + chars.size();
  for (const NormalChar* c = chars.data(); c != end;) {
    const std::uint8_t flags = table.flags(c->code);
    const NormalChar* const first = c++;
    if (flags & kSpace) continue;
    if (!(flags & kPunct)) {
      while (c != end && !(table.flags(c->code) & (kSpace | kPunct))) ++c;
    }
    append_word(first, c, words);
  }
}

WordSplitter::WordSplitter(const CharTable& table, const BertNormalizerOptions& options,
                           std::string_view text, std::int32_t first)
    : table_(table),
      options_(options),
      p_(text.data()),
      end_(text.data() + text.size()),
      at_(first) {}

bool WordSplitter::next(Words& words) {
  words.clear();
  while (p_ != end_ && words.words.size() < kStretchWords) {
    if (static_cast<std::uint8_t>(*p_) < 0x80) {
      take_ascii(words);
    } else {
      take_other(words);
    }
  }
  if (p_ == end_) end_run(words);
  return !words.words.empty();
}

void WordSplitter::take_ascii(Words& words) {
  switch (ascii_class(*p_)) {
    case kSpaceByte:
      end_run(words);
      break;
    case kPunctByte:
      end_run(words);
      append_ascii_word(p_, 1, at_, false, words);
      break;
    case kWordByte: {
      const char* q = p_ + 1;
      while (q != end_ && ascii_class(*q) == kWordByte) ++q;
      const bool whole = run_.empty() && (q == end_ || ascii_class(*q) == kSpaceByte ||
                                          ascii_class(*q) == kPunctByte);
      if (whole) {
        append_ascii_word(p_, static_cast<std::size_t>(q - p_), at_, options_.lowercase, words);
        at_ += static_cast<std::int32_t>(q - p_);
        p_ = q;
        return;
      }
      for (; p_ != q; ++p_, ++at_) {
        run_.push_back({static_cast<std::uint8_t>(*p_), at_, at_ + 1});
      }
      return;
    }
    default:
      if (!options_.clean_text) {
        run_.push_back({static_cast<std::uint8_t>(*p_), at_, at_ + 1});
      }
  }
  ++p_;
  ++at_;
}

void WordSplitter::take_other(Words& words) {
  const NormalChar c{next_code_point(p_), at_, at_ + 1};
  ++at_;
  const std::uint8_t flags = table_.flags(c.code);
  if (options_.clean_text && flags & kControl) return;
  if (flags & kSpace) {
    end_run(words);
  } else if ((flags & kIdeograph && options_.handle_chinese_chars) ||
             (flags & kPunct && !(flags & (kDecomposes | kReorders | kNonspacing)))) {
    end_run(words);
    take_alone(c, words);
  } else {
    run_.push_back(c);
  }
}

void WordSplitter::take_alone(NormalChar c, Words& words) {
  alone_.assign(1, c);
  if (table_.flags(c.code) & kDecomposes) fold(table_, options_, alone_);
  append_word(alone_.data(), alone_.data() + alone_.size(), words);
}

void WordSplitter::end_run(Words& words) {
  if (run_.empty()) return;
  fold(table_, options_, run_);
  split_normalized(table_, run_, words);
  run_.clear();
}

}  // namespace weft
