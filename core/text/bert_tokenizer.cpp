// Encoding and decoding with a BERT tokenizer.
#include "core/text/bert_tokenizer.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/base/error.hpp"
#include "core/text/utf8.hpp"

namespace weft {
namespace {

std::vector<AddedToken> tokens_where(const BertTokenizerSpec& spec, bool normalized) {
  std::vector<AddedToken> tokens = spec.added;
  std::erase_if(tokens, [&](const AddedToken& t) { return t.normalized != normalized; });
  return tokens;
}

AddedTokenFinder raw_finder(const BertTokenizerSpec& spec) {
  const std::vector<AddedToken> tokens = tokens_where(spec, false);
  std::vector<std::string> contents;
  for (const AddedToken& token : tokens) contents.push_back(token.content);
  return {tokens, contents};
}

AddedTokenFinder normalized_finder(const BertTokenizerSpec& spec, const CharTable& table) {
  const std::vector<AddedToken> tokens = tokens_where(spec, true);
  std::vector<std::string> contents;
  for (const AddedToken& token : tokens) {
    std::vector<NormalChar> chars = to_chars(token.content);
    normalize(table, spec.normalizer, chars);
    contents.push_back(to_utf8(chars));
  }
  return {tokens, contents};
}

// The vocabulary, and the added tokens that are not in it behind it.
std::vector<std::string> all_tokens(const BertTokenizerSpec& spec) {
  std::vector<std::string> tokens = spec.vocab;
  for (const AddedToken& added : spec.added) {
    const auto id = static_cast<std::size_t>(added.id);
    if (id >= spec.vocab.size()) tokens.resize(std::max(tokens.size(), id + 1));
    if (id >= spec.vocab.size()) tokens[id] = added.content;
  }
  return tokens;
}

void check_added(const BertTokenizerSpec& spec) {
  std::vector<bool> taken(spec.vocab.size() + spec.added.size(), false);
  for (const AddedToken& token : spec.added) {
    if (token.content.empty()) throw InputError("an added token is empty");
    if (token.id < 0 || static_cast<std::size_t>(token.id) >= taken.size()) {
      throw InputError(
          "the added token \"" + token.content + "\" has the id " + std::to_string(token.id),
          "added tokens follow the vocabulary, which ends at " + std::to_string(spec.vocab.size()) +
              ", without gaps");
    }
    const auto id = static_cast<std::size_t>(token.id);
    if (taken[id] || (id < spec.vocab.size() && spec.vocab[id] != token.content)) {
      throw InputError("the added token \"" + token.content + "\" has the id " +
                       std::to_string(id) + ", which belongs to another token");
    }
    taken[id] = true;
  }
  bool gap = false;
  for (std::size_t id = spec.vocab.size(); id < taken.size(); ++id) {
    if (gap && taken[id]) throw InputError("the id before " + std::to_string(id) + " is not used");
    gap = !taken[id];
  }
}

// The named special tokens are added tokens too, whether the files list them as such or not:
// transformers does the same, and masking relies on it.
BertTokenizerSpec with_named_tokens(BertTokenizerSpec spec) {
  const SpecialNames& names = spec.names;
  for (const std::string& name :
       {names.pad, spec.model.unknown, names.cls, names.sep, names.mask}) {
    const auto listed = std::find_if(spec.added.begin(), spec.added.end(),
                                     [&](const AddedToken& t) { return t.content == name; });
    const auto known = std::find(spec.vocab.begin(), spec.vocab.end(), name);
    if (listed != spec.added.end()) {
      listed->special = true;
    } else if (known != spec.vocab.end()) {
      const auto id = static_cast<std::int32_t>(known - spec.vocab.begin());
      spec.added.push_back({.id = id, .content = name});
    }
  }
  check_added(spec);
  return spec;
}

std::int32_t checked_length(std::string_view text) {
  if (text.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    throw InputError("a text is longer than 2 GiB");
  }
  return static_cast<std::int32_t>(text.size());
}

std::int64_t room_for_text(const std::vector<TemplatePiece>& pieces, std::int64_t max_length) {
  const std::int64_t special = Template::count_special(pieces);
  if (max_length < special) {
    throw InputError("a length of " + std::to_string(max_length) + " leaves no room for the " +
                         std::to_string(special) + " special tokens",
                     "give a larger length or leave out the special tokens");
  }
  return max_length - special;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// Hugging Face's clean-up of one token with the space before it, rules in their order.
void clean_up(std::string& token) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
  };
  for (const auto& [from, to] : kRules) replace_all(token, from, to);
}

}  // namespace

BertTokenizer::BertTokenizer(BertTokenizerSpec spec)
    : spec_(with_named_tokens(std::move(spec))),
      model_(spec_.vocab, spec_.model),
      raw_finder_(raw_finder(spec_)),
      normalized_finder_(normalized_finder(spec_, table_)),
      tokens_(all_tokens(spec_)) {
  ids_.reserve(tokens_.size());
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (!ids_.emplace(tokens_[i], static_cast<std::int32_t>(i)).second) {
      throw InputError("the token \"" + tokens_[i] + "\" is there twice");
    }
  }
  for (const auto* pieces : {&spec_.layout.single, &spec_.layout.pair}) {
    for (const TemplatePiece& piece : *pieces) {
      if (piece.kind == TemplatePiece::kSpecial && (piece.id < 0 || piece.id >= vocab_size())) {
        throw InputError("the post-processor has the id " + std::to_string(piece.id),
                         "the vocabulary ends at " + std::to_string(tokens_.size()));
      }
    }
  }
  is_special_.resize(tokens_.size());
  for (const AddedToken& token : spec_.added) {
    is_special_[static_cast<std::size_t>(token.id)] = token.special;
  }
  const SpecialNames& names = spec_.names;
  special_ = {id_of(names.pad), id_of(spec_.model.unknown), id_of(names.cls), id_of(names.sep),
              id_of(names.mask)};
}

template <class OnToken, class OnWords>
void BertTokenizer::for_each_part(std::string_view text, OnToken&& on_token,
                                  OnWords&& on_words) const {
  checked_length(text);
  std::string repaired;
  text = to_valid_utf8(text, repaired);
  std::int32_t at = 0;  // code points before the segment
  Words words;
  for (const TextPart& segment : raw_finder_.split(table_, text)) {
    const std::string_view part = text.substr(segment.begin, segment.end - segment.begin);
    const auto length = static_cast<std::int32_t>(count_code_points(part));
    if (segment.id >= 0) {
      on_token(segment.id, Span{at, at + length});
    } else if (!normalized_finder_.empty()) {
      normalized_parts(part, at, on_token, on_words);
    } else {
      WordSplitter splitter(table_, spec_.normalizer, part, at);
      while (splitter.next(words)) on_words(words);
    }
    at += length;
  }
}

// The slower way, for tokens that are looked for in normalised text: normalises all of it first.
template <class OnToken, class OnWords>
void BertTokenizer::normalized_parts(std::string_view text, std::int32_t first, OnToken&& on_token,
                                     OnWords&& on_words) const {
  std::vector<NormalChar> chars = to_chars(text, first);
  normalize(table_, spec_.normalizer, chars);
  const std::string normalized = to_utf8(chars);
  std::size_t at = 0;  // characters before the segment
  Words words;
  for (const TextPart& segment : normalized_finder_.split(table_, normalized)) {
    const std::string_view part =
        std::string_view(normalized).substr(segment.begin, segment.end - segment.begin);
    const auto count = static_cast<std::size_t>(count_code_points(part));
    if (segment.id >= 0) {
      on_token(segment.id, Span{chars[at].begin, chars[at + count - 1].end});
    } else {
      words.clear();
      split_normalized(table_, {chars.data() + at, count}, words);
      on_words(words);
    }
    at += count;
  }
}

Encoding BertTokenizer::encode_text(std::string_view text) const {
  Encoding out;
  std::vector<std::uint32_t> ends;
  for_each_part(
      text,
      [&](std::int32_t id, Span span) {
        out.ids.push_back(id);
        out.offsets.push_back(span);
      },
      [&](const Words& words) {
        for (const Words::Word& word : words.words) {
          ends.clear();
          model_.append(words.text(word), out.ids, &ends);
          std::uint32_t begin = 0;
          for (const std::uint32_t end : ends) {
            out.offsets.push_back(words.source(word, begin, end));
            begin = end;
          }
        }
      });
  out.type_ids.assign(out.ids.size(), 0);
  return out;
}

void BertTokenizer::append_ids(std::string_view text, std::vector<std::int32_t>& ids,
                               std::vector<std::uint8_t>& word_starts) const {
  for_each_part(
      text,
      [&](std::int32_t id, Span) {
        ids.push_back(id);
        word_starts.push_back(1);
      },
      [&](const Words& words) {
        for (const Words::Word& word : words.words) {
          const std::size_t before = ids.size();
          model_.append(words.text(word), ids);
          word_starts.push_back(1);
          word_starts.insert(word_starts.end(), ids.size() - before - 1, 0);
        }
      });
}

Encoding BertTokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const std::vector<TemplatePiece> pieces =
      options.special_tokens ? spec_.layout.single : Template::bare().single;
  Encoding encoding = encode_text(text);
  if (options.max_length > 0) truncate(encoding, room_for_text(pieces, options.max_length));
  return apply(pieces, encoding, nullptr);
}

Encoding BertTokenizer::encode_pair(std::string_view a, std::string_view b,
                                    const EncodeOptions& options) const {
  const std::vector<TemplatePiece> pieces =
      options.special_tokens ? spec_.layout.pair : Template::bare().pair;
  Encoding first = encode_text(a), second = encode_text(b);
  if (options.max_length > 0) {
    const auto [keep_first, keep_second] = longest_first(
        static_cast<std::int64_t>(first.ids.size()), static_cast<std::int64_t>(second.ids.size()),
        room_for_text(pieces, options.max_length));
    truncate(first, keep_first);
    truncate(second, keep_second);
  }
  return apply(pieces, first, &second);
}

std::string BertTokenizer::decode(const std::vector<std::int32_t>& ids, bool skip_special) const {
  std::string text, shown;
  bool first = true;
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocab_size() || (skip_special && is_special(id))) continue;
    const std::string& whole = token(id);
    const bool continues = !first && spec_.decoder && whole.starts_with(spec_.decoder->prefix);
    shown.assign(first || continues ? 0 : 1, ' ');
    shown.append(whole, continues ? spec_.decoder->prefix.size() : 0);
    if (spec_.decoder && spec_.decoder->cleanup) clean_up(shown);
    text += shown;
    first = false;
  }
  return text;
}

const std::string& BertTokenizer::token(std::int32_t id) const {
  return tokens_.at(static_cast<std::size_t>(id));
}

std::int32_t BertTokenizer::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? -1 : found->second;
}

bool BertTokenizer::is_special(std::int32_t id) const {
  return is_special_.at(static_cast<std::size_t>(id)) != 0;
}

bool BertTokenizer::starts_word(std::int32_t id) const {
  const std::string& prefix = spec_.model.prefix;
  return is_special(id) || prefix.empty() || !token(id).starts_with(prefix);
}

}  // namespace weft
