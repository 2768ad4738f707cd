// Checks, splits and tokenizes lines.
#include "core/data/block_tokenizer.hpp"

#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/data/sentences.hpp"
#include "core/text/utf8.hpp"

namespace weft {

namespace {

// Why a line cannot be used, or "".
std::string fault_of(std::string_view line) {
  if (line.find('\0') != std::string_view::npos) return "a NUL byte";
  if (!is_valid_utf8(line)) return "not UTF-8";
  return {};
}

template <class T>
void append_as(const std::vector<std::int32_t>& ids, std::vector<std::byte>& to) {
  const std::size_t old = to.size();
  to.resize(old + ids.size() * sizeof(T));
  std::byte* at = to.data() + old;
  for (const std::int32_t id : ids) {
    const auto value = static_cast<T>(id);
    std::memcpy(at, &value, sizeof(T));
    at += sizeof(T);
  }
}

}  // namespace

struct BlockTokenizer::Work {
  TokenBlock out;
  std::size_t file = 0;
  std::int64_t line_number = 0;
  std::vector<std::string_view> sentences;
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> word_starts;
};

BlockTokenizer::BlockTokenizer(const Tokenizer& tokenizer, const TextOptions& options,
                               std::vector<std::filesystem::path> files)
    : tokenizer_(tokenizer),
      options_(options),
      files_(std::move(files)),
      type_(token_type(tokenizer.vocab_size())) {
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    starts_word_.push_back(tokenizer.starts_word(id) ? 1 : 0);
  }
}

TokenBlock BlockTokenizer::operator()(TextBlock&& block) const {
  Work work;
  work.file = block.file;
  work.out.end = block.end;
  work.out.bytes_read = block.bytes_read;
  for (const TextBlock::Line& line : block.lines) {
    work.line_number = line.number;
    const auto text = line.text(block);
    if (block.json) {
      add_json(work, text);
      continue;
    }
    TokenRun& run = line.held_out ? work.out.held_out : work.out.train;
    if (line.starts_document) run.starts_behind = true;
    if (const auto fault = fault_of(text); !fault.empty()) {
      skip(work, fault);
    } else {
      add_line(work, text, run);
    }
  }
  return std::move(work.out);
}

void BlockTokenizer::skip(Work& work, const std::string& why) const {
  auto message = fmt::format("{}:{}: {}", files_[work.file].string(), work.line_number, why);
  if (options_.strict) throw InputError(message, "without --strict such lines are left out");
  work.out.skipped.push_back(std::move(message));
}

void BlockTokenizer::add_json(Work& work, std::string_view line) const {
  if (const auto fault = fault_of(line); !fault.empty()) return skip(work, fault);
  Json json;
  try {
    json = parse_json(line, "line");
  } catch (const InputError& e) {
    return skip(work, std::string(e.what()).substr(std::strlen("line:1: ")));
  }
  const auto found = json.is_object() ? json.find("text") : json.end();
  if (found == json.end() || !found->is_string()) {
    return skip(work, "not an object with a string \"text\"");
  }
  const auto& text = found->get_ref<const std::string&>();
  if (const auto fault = fault_of(text); !fault.empty()) return skip(work, "in \"text\": " + fault);
  std::vector<std::string_view> lines;
  HoldOut hold_out(options_.held_out);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(std::string_view(text).substr(begin, end - begin));
    hold_out.add(lines.back());
    begin = end + 1;
  }
  TokenRun& run = hold_out.decide() ? work.out.held_out : work.out.train;
  run.starts_behind = true;
  for (const std::string_view l : lines) add_line(work, l, run);
}

void BlockTokenizer::add_line(Work& work, std::string_view line, TokenRun& run) const {
  run.text_bytes += static_cast<std::int64_t>(line.size());
  if (!options_.split_sentences) return add_sentence(work, line, run);
  split_sentences(line, work.sentences);
  for (const std::string_view sentence : work.sentences) add_sentence(work, sentence, run);
}

void BlockTokenizer::add_sentence(Work& work, std::string_view sentence, TokenRun& run) const {
  work.ids.clear();
  work.word_starts.clear();
  tokenizer_.append_ids(sentence, work.ids, work.word_starts);
  if (work.ids.empty()) return;  // nothing but white space and control characters
  for (std::size_t i = 0; i < work.ids.size() && work.out.word_starts_by_id; ++i) {
    const bool by_id = i == 0 || starts_word_[static_cast<std::size_t>(work.ids[i])] != 0;
    work.out.word_starts_by_id = by_id == (work.word_starts[i] != 0);
  }
  if (run.starts_behind) {
    run.document_starts.push_back(static_cast<std::int64_t>(run.lengths.size()));
    run.starts_behind = false;
  }
  run.lengths.push_back(static_cast<std::int32_t>(work.ids.size()));
  if (type_.size == 2) {
    append_as<std::uint16_t>(work.ids, run.tokens);
  } else {
    append_as<std::int32_t>(work.ids, run.tokens);
  }
}

}  // namespace weft
