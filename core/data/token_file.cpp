// Opens, checks and reads token files.
#include "core/data/token_file.hpp"

#include <cstring>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

template <class T>
T load(const std::byte* base, std::int64_t i) {
  T value;
  std::memcpy(&value, base + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
  return value;
}

[[noreturn]] void refuse(const fs::path& path, const std::string& what) {
  throw InputError(path.string() + ": " + what, "make it again with weft prepare");
}

std::int64_t count_of(const Json& json, const char* key, const fs::path& path) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number_integer() || found->get<std::int64_t>() < 0) {
    refuse(path, fmt::format("\"{}\" is missing or not a count", key));
  }
  return found->get<std::int64_t>();
}

TokenFileInfo read_info(const fs::path& path) {
  const Json json = read_json(path);
  if (!json.is_object() || json.value("format", Json()) != "weft-tokens") {
    refuse(path, "does not describe token files of weft");
  }
  if (const auto version = count_of(json, "version", path); version != 1) {
    refuse(path, fmt::format("version {} is not known to this weft", version));
  }
  TokenFileInfo info;
  const auto hash = json.find("tokenizer_hash");
  const auto starts = json.find("word_starts_by_id");
  if (hash == json.end() || !hash->is_string()) refuse(path, "\"tokenizer_hash\" is missing");
  if (starts == json.end() || !starts->is_boolean()) {
    refuse(path, "\"word_starts_by_id\" is missing");
  }
  info.tokenizer_hash = hash->get<std::string>();
  info.word_starts_by_id = starts->get<bool>();
  info.vocab_size = count_of(json, "vocab_size", path);
  info.documents = count_of(json, "documents", path);
  info.sentences = count_of(json, "sentences", path);
  info.tokens = count_of(json, "tokens", path);
  info.text_bytes = count_of(json, "text_bytes", path);
  info.skipped_lines = count_of(json, "skipped_lines", path);
  return info;
}

}  // namespace

std::string to_json(const TokenFileInfo& info) {
  Json json;
  json["format"] = "weft-tokens";
  json["version"] = 1;
  json["tokenizer_hash"] = info.tokenizer_hash;
  json["vocab_size"] = info.vocab_size;
  json["documents"] = info.documents;
  json["sentences"] = info.sentences;
  json["tokens"] = info.tokens;
  json["text_bytes"] = info.text_bytes;
  json["skipped_lines"] = info.skipped_lines;
  json["word_starts_by_id"] = info.word_starts_by_id;
  return json.dump(2) + "\n";
}

fs::path token_file_path(const fs::path& prefix, const char* extension) {
  fs::path path = prefix;
  path += extension;
  return path;
}

TokenType token_type(std::int64_t vocab_size) {
  return vocab_size < 65500 ? TokenType{8, 2} : TokenType{4, 4};
}

TokenFile::TokenFile(const fs::path& prefix) : prefix_(prefix) {
  const fs::path index_path = token_file_path(prefix, ".idx");
  std::error_code error;
  if (!fs::exists(index_path, error)) {
    throw InputError(index_path.string() + ": no such token file",
                     "give the prefix that weft prepare --output was given");
  }
  index_ = MappedFile(index_path);
  bin_ = MappedFile(token_file_path(prefix, ".bin"));
  check_header();
  check_sentences();
  check_documents();
  const fs::path info_path = token_file_path(prefix, ".json");
  if (fs::exists(info_path, error)) {
    info_ = read_info(info_path);
    check_info();
  }
}

void TokenFile::check_header() {
  const fs::path path = token_file_path(prefix_, ".idx");
  const auto bytes = index_.bytes();
  if (bytes.size() < kIndexHeader || std::memcmp(bytes.data(), kIndexMagic, 9) != 0) {
    refuse(path, "is not an index of token files");
  }
  const auto version = load<std::uint64_t>(bytes.data() + 9, 0);
  if (version != 1) refuse(path, fmt::format("version {} is not known to this weft", version));
  const auto code = load<std::uint8_t>(bytes.data() + 17, 0);
  if (code != 4 && code != 8) {
    refuse(path, fmt::format("elements of type {} are not tokens (only 4, i32, and 8, u16)", code));
  }
  type_ = {code, code == 8 ? 2 : 4};
  const auto sentences = load<std::uint64_t>(bytes.data() + 18, 0);
  const auto documents = load<std::uint64_t>(bytes.data() + 26, 0);
  const std::uint64_t body = bytes.size() - kIndexHeader;
  if (sentences > body / 12 || documents > body / 8 || sentences * 12 + documents * 8 != body) {
    refuse(path, fmt::format("has {} bytes, which is not what its header of {} sentences and {} "
                             "document bounds needs",
                             bytes.size(), sentences, documents));
  }
  if (sentences == 0 || documents < 2) refuse(path, "has no documents");
  sentences_ = static_cast<std::int64_t>(sentences);
  documents_ = static_cast<std::int64_t>(documents) - 1;
  lengths_ = bytes.data() + kIndexHeader;
  offsets_ = lengths_ + sentences_ * 4;
  first_sentences_ = offsets_ + sentences_ * 8;
}

void TokenFile::check_sentences() {
  const fs::path path = token_file_path(prefix_, ".idx");
  const auto size = static_cast<std::int64_t>(bin_.bytes().size());
  for (std::int64_t s = 0; s < sentences_; ++s) {
    const std::int64_t n = load<std::int32_t>(lengths_, s);
    const auto offset = load<std::int64_t>(offsets_, s);
    if (n <= 0) refuse(path, fmt::format("sentence {} has {} tokens", s, n));
    if (offset < 0 || offset > size - n * type_.size) {
      refuse(path, fmt::format("sentence {} is outside the {} bytes of {}", s, size,
                               token_file_path(prefix_, ".bin").filename().string()));
    }
    tokens_ += n;
  }
  if (tokens_ * type_.size != size) {
    const fs::path bin = token_file_path(prefix_, ".bin");
    refuse(bin, fmt::format("has {} bytes, but the {} tokens of the .idx beside it take {}", size,
                            tokens_, tokens_ * type_.size));
  }
}

void TokenFile::check_documents() const {
  const fs::path path = token_file_path(prefix_, ".idx");
  for (std::int64_t d = 0; d < documents_; ++d) {
    if (first_sentence(d) >= first_sentence(d + 1)) {
      refuse(path, fmt::format("document {} does not end behind its start", d));
    }
  }
  if (first_sentence(0) != 0 || first_sentence(documents_) != sentences_) {
    refuse(path, "the documents do not cover the sentences");
  }
}

void TokenFile::check_info() const {
  const auto& i = *info_;
  if (i.documents != documents_ || i.sentences != sentences_ || i.tokens != tokens_) {
    refuse(token_file_path(prefix_, ".json"),
           fmt::format(
               "tells {} documents, {} sentences, {} tokens, but the .idx beside it {}, {}, {}",
               i.documents, i.sentences, i.tokens, documents_, sentences_, tokens_));
  }
}

std::int64_t TokenFile::first_sentence(std::int64_t document) const {
  return load<std::int64_t>(first_sentences_, document);
}

std::int64_t TokenFile::document_of(std::int64_t sentence) const {
  std::int64_t low = 0, high = documents_;
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (first_sentence(middle) <= sentence ? low : high) = middle;
  }
  return low;
}

std::int64_t TokenFile::length(std::int64_t sentence) const {
  return load<std::int32_t>(lengths_, sentence);
}

void TokenFile::append(std::int64_t sentence, std::int64_t first, std::int64_t count,
                       std::int64_t vocab_size, std::vector<std::int32_t>& ids) const {
  const std::byte* at =
      bin_.bytes().data() + load<std::int64_t>(offsets_, sentence) + first * type_.size;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t id =
        type_.size == 2 ? load<std::uint16_t>(at, i) : load<std::int32_t>(at, i);
    if (id < 0 || id >= vocab_size) {
      throw InputError(
          fmt::format("{}: sentence {}: token id {} is outside the vocabulary of {}",
                      token_file_path(prefix_, ".bin").string(), sentence, id, vocab_size),
          "prepare the data with the tokenizer of this run");
    }
    ids.push_back(id);
  }
}

}  // namespace weft
