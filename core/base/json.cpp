// Parses JSON from files that may be hostile, on nlohmann's lexer with a tree builder of our own.
#include "core/base/json.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/files.hpp"

namespace weft {

namespace {

constexpr std::size_t kMaxDepth = 256;

// What a tree may take, roughly: text made of brackets alone would grow 25 times.
constexpr std::size_t kPerByte = 16, kSpare = std::size_t{16} << 20;
// A value in a list that doubled just now, and what a list or object takes beside it.
constexpr std::size_t kValueBytes = 2 * sizeof(Json), kContainerBytes = 32;

// An iterator that tells how far the lexer has read, so that a refused key has a line.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    *furthest_ = at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const CountingIterator& o) const { return at_ == o.at_; }
  bool operator!=(const CountingIterator& o) const { return at_ != o.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

// Builds the tree from the parser's events. Members are appended without a search, since
// ordered_json's own insertion is linear and a vocabulary has many keys; a set per open object
// finds duplicates.
class TreeBuilder {
 public:
  TreeBuilder(std::string_view text, const std::string& origin) : text_(text), origin_(origin) {}

  const char** furthest() { return &furthest_; }
  Json take() { return std::move(root_); }

  bool null() { return value(nullptr); }
  bool boolean(bool x) { return value(x); }
  bool number_integer(Json::number_integer_t x) { return value(x); }
  bool number_unsigned(Json::number_unsigned_t x) { return value(x); }
  bool number_float(Json::number_float_t x, const std::string&) { return value(x); }
  bool string(std::string& x) { return value(std::move(x)); }
  bool binary(Json::binary_t&) { return false; }

  bool start_object(std::size_t) { return open(Json::object()); }
  bool key(std::string& name) {
    if (!keys_.back().insert(name).second) fail(here(), "duplicate key \"" + name + "\"");
    key_ = std::move(name);
    return true;
  }
  bool end_object() { return close(); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_array() { return close(); }

  template <class Exception>
  bool parse_error(std::size_t position, const std::string&, const Exception& e) {
    std::string what = e.what();  // "[json...] parse error at line 1, column 5: what - details"
    const std::size_t column = what.find(", column ");
    const std::size_t colon = column == std::string::npos ? column : what.find(": ", column);
    if (colon != std::string::npos) what.erase(0, colon + 2);
    fail(std::min(position, text_.size()), "not valid JSON: " + what);
  }

  [[noreturn]] void fail(std::size_t position, const std::string& what) const {
    const auto* begin = text_.data();
    const std::size_t before = position == 0 ? 0 : position - 1;  // a newline ends its own line
    const auto line = 1 + std::count(begin, begin + before, '\n');
    throw InputError(origin_ + ":" + std::to_string(line) + ": " + what);
  }

 private:
  template <class T>
  bool value(T&& x) {
    add(Json(std::forward<T>(x)));
    return true;
  }

  Json* add(Json x) {
    taken_ += kValueBytes + (x.is_structured() ? kContainerBytes : 0);
    if (taken_ > kPerByte * text_.size() + kSpare) {
      fail(here(), "too many values for a text of this size");
    }
    if (open_.empty()) {
      root_ = std::move(x);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      auto& list = parent.get_ref<Json::array_t&>();
      list.push_back(std::move(x));
      return &list.back();
    }
    auto& members = parent.get_ref<Json::object_t&>();
    members.push_back({std::move(key_), std::move(x)});
    return &members.back().second;
  }

  bool open(Json x) {
    if (open_.size() == kMaxDepth) {
      fail(here(), "nested deeper than " + std::to_string(kMaxDepth) + " levels");
    }
    open_.push_back(add(std::move(x)));
    keys_.emplace_back();
    return true;
  }

  bool close() {
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  std::size_t here() const {
    return furthest_ ? static_cast<std::size_t>(furthest_ - text_.data()) : 0;
  }

  std::string_view text_;
  const std::string& origin_;
  const char* furthest_ = nullptr;
  std::size_t taken_ = 0;
  Json root_;
  std::vector<Json*> open_;
  std::vector<std::unordered_set<std::string>> keys_;
  std::string key_;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& origin) {
  TreeBuilder builder(text, origin);
  // The lexer takes a NUL for the end of the text and would not look at what follows.
  const std::size_t nul = text.find('\0');
  if (nul != std::string_view::npos) builder.fail(nul + 1, "not valid JSON: a NUL byte");
  const char* begin = text.data();
  Json::sax_parse(CountingIterator(begin, builder.furthest()),
                  CountingIterator(begin + text.size(), builder.furthest()), &builder);
  return builder.take();
}

Json read_json(const std::filesystem::path& path) {
  return parse_json(read_file(path), path.string());
}

}  // namespace weft
