// Writes a tokenizer's files as Hugging Face's libraries do, and its hash.
#include <cstring>
#include <set>
#include <span>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/text/bert_tokenizer.hpp"
#include "core/text/tokenizer_json.hpp"

namespace weft {
namespace {

std::string token_of(const BertTokenizerSpec& spec, std::int32_t id) {
  if (static_cast<std::size_t>(id) < spec.vocab.size()) {
    return spec.vocab[static_cast<std::size_t>(id)];
  }
  for (const AddedToken& token : spec.added) {
    if (token.id == id) return token.content;
  }
  throw InputError("no token has the id " + std::to_string(id));
}

Json pieces_json(const BertTokenizerSpec& spec, const std::vector<TemplatePiece>& pieces) {
  Json list = Json::array();
  for (const TemplatePiece& piece : pieces) {
    const bool special = piece.kind == TemplatePiece::kSpecial;
    const char text = piece.kind == TemplatePiece::kFirst ? 'A' : 'B';
    const std::string id = special ? token_of(spec, piece.id) : std::string(1, text);
    list.push_back(
        {{special ? "SpecialToken" : "Sequence", {{"id", id}, {"type_id", piece.type}}}});
  }
  return list;
}

Json processor_json(const BertTokenizerSpec& spec) {
  std::set<std::int32_t> ids;
  for (const auto* pieces : {&spec.layout.single, &spec.layout.pair}) {
    for (const TemplatePiece& piece : *pieces) {
      if (piece.kind == TemplatePiece::kSpecial) ids.insert(piece.id);
    }
  }
  if (ids.empty()) return nullptr;
  Json special = Json::object();
  for (const std::int32_t id : ids) {
    const std::string token = token_of(spec, id);
    special[token] = {{"id", token}, {"ids", {id}}, {"tokens", {token}}};
  }
  return {{"type", "TemplateProcessing"},
          {"single", pieces_json(spec, spec.layout.single)},
          {"pair", pieces_json(spec, spec.layout.pair)},
          {"special_tokens", special}};
}

Json strip_accents_json(const BertNormalizerOptions& options) {
  return options.strip_accents ? Json(*options.strip_accents) : Json(nullptr);
}

// {"pad_token": "[PAD]", ...} of those in the vocabulary.
Json names_json(const Tokenizer& tokenizer) {
  const SpecialTokens& special = tokenizer.special();
  const std::pair<const char*, std::int32_t> names[] = {{"unk_token", special.unk},
                                                        {"sep_token", special.sep},
                                                        {"pad_token", special.pad},
                                                        {"cls_token", special.cls},
                                                        {"mask_token", special.mask}};
  Json json = Json::object();
  for (const auto& [name, id] : names) {
    if (id >= 0) json[name] = tokenizer.token(id);
  }
  return json;
}

// Whether transformers' BertTokenizer, which rebuilds the tokenizer from these settings and the
// vocabulary, gives the same ids.
bool is_plain_bert(const BertTokenizer& tokenizer) {
  const BertTokenizerSpec& spec = tokenizer.spec();
  const auto same = [](const std::vector<TemplatePiece>& a, const std::vector<TemplatePiece>& b) {
    return a.size() == b.size() &&
           std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
             return x.kind == y.kind && x.id == y.id && x.type == y.type;
           });
  };
  const Template plain = Template::bert(tokenizer.special().cls, tokenizer.special().sep);
  return spec.normalizer.clean_text && spec.model.prefix == "##" &&
         spec.model.max_word_chars == 100 && same(plain.single, spec.layout.single) &&
         same(plain.pair, spec.layout.pair) && spec.decoder && spec.decoder->prefix == "##" &&
         spec.decoder->cleanup;
}

Json config_json(const BertTokenizer& tokenizer) {
  const BertTokenizerSpec& spec = tokenizer.spec();
  Json json = {
      {"tokenizer_class", is_plain_bert(tokenizer) ? "BertTokenizer" : "PreTrainedTokenizerFast"},
      {"do_lower_case", spec.normalizer.lowercase},
      {"strip_accents", strip_accents_json(spec.normalizer)},
      {"tokenize_chinese_chars", spec.normalizer.handle_chinese_chars},
      {"clean_up_tokenization_spaces", spec.decoder && spec.decoder->cleanup}};
  if (spec.model_max_length > 0) json["model_max_length"] = spec.model_max_length;
  json.update(names_json(tokenizer));
  Json added = Json::object();
  for (const AddedToken& token : spec.added) {
    added[std::to_string(token.id)] = to_json(token, false);
  }
  json["added_tokens_decoder"] = added;
  return json;
}

std::string vocab_text(const BertTokenizer& tokenizer) {
  std::string text;
  for (const std::string& token : tokenizer.spec().vocab) {
    if (token.find_first_of("\r\n") != std::string::npos) {
      throw Error("a token holds a line end, which vocab.txt cannot: " + Json(token).dump());
    }
    text += token + "\n";
  }
  return text;
}

}  // namespace

Json to_json(const AddedToken& token, bool with_id) {
  Json json = Json::object();
  if (with_id) json["id"] = token.id;
  json["content"] = token.content;
  json["single_word"] = token.single_word;
  json["lstrip"] = token.lstrip;
  json["rstrip"] = token.rstrip;
  json["normalized"] = token.normalized;
  json["special"] = token.special;
  return json;
}

Json to_tokenizer_json(const BertTokenizerSpec& spec) {
  Json added = Json::array();
  for (const AddedToken& token : spec.added) added.push_back(to_json(token, true));
  // Filled directly: a search per token would take a second for a large vocabulary.
  Json vocab = Json::object();
  auto& members = vocab.get_ref<Json::object_t&>();
  for (std::size_t i = 0; i < spec.vocab.size(); ++i) {
    static_cast<Json::object_t::Container&>(members).emplace_back(spec.vocab[i], i);
  }
  Json decoder = nullptr;
  if (spec.decoder) {
    decoder = {{"type", "WordPiece"},
               {"prefix", spec.decoder->prefix},
               {"cleanup", spec.decoder->cleanup}};
  }
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer",
           {{"type", "BertNormalizer"},
            {"clean_text", spec.normalizer.clean_text},
            {"handle_chinese_chars", spec.normalizer.handle_chinese_chars},
            {"strip_accents", strip_accents_json(spec.normalizer)},
            {"lowercase", spec.normalizer.lowercase}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"post_processor", processor_json(spec)},
          {"decoder", decoder},
          {"model",
           {{"type", "WordPiece"},
            {"unk_token", spec.model.unknown},
            {"continuing_subword_prefix", spec.model.prefix},
            {"max_input_chars_per_word", spec.model.max_word_chars},
            {"vocab", vocab}}}};
}

std::string BertTokenizer::hash() const {
  BertTokenizerSpec spec = spec_;
  spec.normalizer.strip_accents = spec.normalizer.strips_accents();
  std::string all = to_tokenizer_json(spec).dump();
  for (const std::int32_t id : {special_.pad, special_.cls, special_.sep, special_.mask}) {
    all += " " + std::to_string(id);
  }
  return xxh3_64_hex(std::as_bytes(std::span(all)));
}

std::vector<SmallFile> BertTokenizer::files() const {
  return {{"vocab.txt", vocab_text(*this)},
          {"tokenizer.json", to_tokenizer_json(spec_).dump(2) + "\n"},
          {"tokenizer_config.json", config_json(*this).dump(2) + "\n"},
          {"special_tokens_map.json", names_json(*this).dump(2) + "\n"}};
}

void Tokenizer::save(const std::filesystem::path& dir) const {
  for (const SmallFile& file : files()) write_file_atomic(dir / file.name, file.content);
}

}  // namespace weft
