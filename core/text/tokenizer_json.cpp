// Reads tokenizer.json.
#include "core/text/tokenizer_json.hpp"

#include <limits>
#include <unordered_map>
#include <utility>

#include "core/base/error.hpp"
#include "core/text/json_fields.hpp"

namespace weft {
namespace {

// The object under `key`, which must be of one of the types that a BERT tokenizer has.
JsonFields component(const JsonFields& root, const char* key, const std::string& type) {
  if (!root.find(key)) {
    throw InputError(root.path(key) + " is missing or null", "a BERT tokenizer has " + type);
  }
  JsonFields fields = root.object(key);
  const std::string found = fields.string("type", "");
  if (found != type) {
    throw InputError(fields.path("type") + " \"" + found + "\" is not supported",
                     "this version reads BERT tokenizers, which have " + type);
  }
  return fields;
}

std::int32_t id_in(const JsonFields& fields, const char* key) {
  const std::int64_t id = fields.integer(key);
  if (id < 0 || id > std::numeric_limits<std::int32_t>::max()) {
    throw InputError(fields.path(key) + " is not an id: " + std::to_string(id));
  }
  return static_cast<std::int32_t>(id);
}

BertNormalizerOptions parse_normalizer(const JsonFields& root) {
  const JsonFields fields = component(root, "normalizer", "BertNormalizer");
  BertNormalizerOptions options;
  options.clean_text = fields.boolean("clean_text", true);
  options.handle_chinese_chars = fields.boolean("handle_chinese_chars", true);
  if (fields.find("strip_accents")) options.strip_accents = fields.boolean("strip_accents", true);
  options.lowercase = fields.boolean("lowercase", true);
  return options;
}

std::vector<std::string> parse_vocab(const JsonFields& model) {
  const Json& vocab = model.at("vocab");
  if (!vocab.is_object()) throw InputError(model.path("vocab") + " is not an object");
  std::vector<std::string> tokens(vocab.size());
  std::vector<bool> taken(vocab.size(), false);
  for (const auto& [token, id] : vocab.items()) {
    const bool fits = id.is_number_unsigned() && id.get<std::uint64_t>() < tokens.size();
    if (!fits || taken[id.get<std::size_t>()]) {
      throw InputError(model.path("vocab") + ": the id of \"" + token + "\" is " + id.dump() +
                           (fits ? ", which another token has" : ""),
                       "ids are 0 ... " + std::to_string(tokens.size() - 1) + ", each once");
    }
    taken[id.get<std::size_t>()] = true;
    tokens[id.get<std::size_t>()] = token;
  }
  return tokens;
}

void parse_model(const JsonFields& root, BertTokenizerSpec& spec) {
  const JsonFields fields = root.object("model");
  const std::string type =
      fields.string("type", fields.find("merges") ? "BPE" : "WordPiece");  // old files have none
  if (type != "WordPiece") {
    throw InputError(fields.path("type") + " \"" + type + "\" is not supported",
                     "this version reads WordPiece");
  }
  spec.model.unknown = fields.string("unk_token", "[UNK]");
  spec.model.prefix = fields.string("continuing_subword_prefix", "##");
  spec.model.max_word_chars = fields.integer("max_input_chars_per_word", 100);
  spec.vocab = parse_vocab(fields);
}

void parse_added(const JsonFields& root, BertTokenizerSpec& spec) {
  const Json* tokens = root.find("added_tokens");
  if (!tokens) return;
  if (!tokens->is_array()) throw InputError(root.path("added_tokens") + " is not a list");
  for (std::size_t i = 0; i < tokens->size(); ++i) {
    const std::string where = root.path("added_tokens[" + std::to_string(i) + "]");
    spec.added.push_back(parse_added_token((*tokens)[i], where));
    spec.added.back().id = id_in(JsonFields((*tokens)[i], where), "id");
  }
}

// ["[SEP]", 102]
std::int32_t token_and_id(const JsonFields& fields, const char* key) {
  const Json& pair = fields.at(key);
  if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() ||
      !pair[1].is_number_unsigned() || pair[1] > Json(std::numeric_limits<std::int32_t>::max())) {
    throw InputError(fields.path(key) + " is not a token and its id");
  }
  return pair[1].get<std::int32_t>();
}

// The ids of a special token of a template, each as one piece.
void append_special(const JsonFields& processor, const std::string& name, std::int32_t type,
                    std::vector<TemplatePiece>& out) {
  const JsonFields tokens = processor.object("special_tokens");
  const JsonFields token = tokens.object(name.c_str());
  const Json& ids = token.at("ids");
  if (!ids.is_array()) throw InputError(token.path("ids") + " is not a list");
  for (const Json& id : ids) {
    if (!id.is_number_unsigned() || id > Json(std::numeric_limits<std::int32_t>::max())) {
      throw InputError(token.path("ids") + " holds " + id.dump() + ", which is not an id");
    }
    out.push_back({TemplatePiece::kSpecial, id.get<std::int32_t>(), type});
  }
}

std::vector<TemplatePiece> parse_pieces(const JsonFields& processor, const char* key) {
  const Json& list = processor.at(key);
  if (!list.is_array()) throw InputError(processor.path(key) + " is not a list");
  std::vector<TemplatePiece> pieces;
  int first = 0, second = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const JsonFields item(list[i], processor.path(key) + "[" + std::to_string(i) + "]");
    const bool sequence = item.find("Sequence");
    const JsonFields piece = item.object(sequence ? "Sequence" : "SpecialToken");
    const auto type =
        static_cast<std::int32_t>(piece.find("type_id") ? id_in(piece, "type_id") : 0);
    const std::string id = piece.string("id");
    if (!sequence) {
      append_special(processor, id, type, pieces);
    } else if (id == "A" || id == "B") {
      ++(id == "A" ? first : second);
      pieces.push_back({id == "A" ? TemplatePiece::kFirst : TemplatePiece::kSecond, -1, type});
    } else {
      throw InputError(piece.path("id") + " \"" + id + "\" is not a text", "texts are A and B");
    }
  }
  const int wanted_second = std::string(key) == "pair" ? 1 : 0;
  if (first != 1 || second != wanted_second) {
    throw InputError(processor.path(key) + " does not name each text once");
  }
  return pieces;
}

Template parse_processor(const JsonFields& root) {
  if (!root.find("post_processor")) return Template::bare();
  const JsonFields fields = root.object("post_processor");
  const std::string type = fields.string("type", "");
  if (type == "BertProcessing") {
    return Template::bert(token_and_id(fields, "cls"), token_and_id(fields, "sep"));
  }
  if (type == "TemplateProcessing") {
    return {parse_pieces(fields, "single"), parse_pieces(fields, "pair")};
  }
  throw InputError(fields.path("type") + " \"" + type + "\" is not supported",
                   "this version reads BertProcessing and TemplateProcessing");
}

std::optional<WordPieceDecoder> parse_decoder(const JsonFields& root) {
  if (!root.find("decoder")) return std::nullopt;
  const JsonFields fields = component(root, "decoder", "WordPiece");
  return WordPieceDecoder{fields.string("prefix", "##"), fields.boolean("cleanup", true)};
}

}  // namespace

AddedToken parse_added_token(const Json& json, const std::string& where) {
  const JsonFields fields(json, where);
  AddedToken token;
  token.content = fields.string("content");
  token.single_word = fields.boolean("single_word", false);
  token.lstrip = fields.boolean("lstrip", false);
  token.rstrip = fields.boolean("rstrip", false);
  token.special = fields.boolean("special", false);
  token.normalized = fields.boolean("normalized", !token.special);
  return token;
}

BertTokenizerSpec parse_tokenizer_json(const Json& json, const std::string& origin) {
  const JsonFields root(json, origin + ": ");
  const std::string version = root.string("version", "1.0");
  if (version != "1.0") {
    throw InputError(root.path("version") + " \"" + version + "\" is not supported",
                     "this version reads \"1.0\"");
  }
  BertTokenizerSpec spec;
  parse_model(root, spec);
  spec.normalizer = parse_normalizer(root);
  component(root, "pre_tokenizer", "BertPreTokenizer");
  spec.layout = parse_processor(root);
  spec.decoder = parse_decoder(root);
  parse_added(root, spec);
  return spec;
}

}  // namespace weft
