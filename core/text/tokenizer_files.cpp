// Reads a tokenizer's directory: tokenizer.json, or vocab.txt and its settings.
#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "core/base/text_reader.hpp"
#include "core/text/bert_tokenizer.hpp"
#include "core/text/json_fields.hpp"
#include "core/text/tokenizer.hpp"
#include "core/text/tokenizer_json.hpp"
#include "core/text/utf8.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestToken = 1 << 16;

std::vector<std::string> read_vocab(const fs::path& path) {
  TextReader reader(path, kLongestToken);
  std::vector<std::string> tokens;
  std::unordered_map<std::string, std::int64_t> lines;
  std::size_t bytes = 0;
  for (std::string_view line; reader.next(line);) {
    if (!is_valid_utf8(line)) throw InputError(reader.where() + ": the token is not UTF-8");
    const auto [earlier, fresh] = lines.emplace(line, reader.line_number());
    if (!fresh) {
      throw InputError(
          reader.where() + ": the token \"" + std::string(line) + "\" is there already",
          "it is in line " + std::to_string(earlier->second) +
              " too; each line is "
              "another token");
    }
    bytes += line.size();
    if (bytes > ByteTrie::kMaxBytes) {
      throw InputError(reader.where() + ": the vocabulary is larger than 16 MB");
    }
    tokens.emplace_back(line);
  }
  if (tokens.empty()) throw InputError(path.string() + ": the vocabulary is empty");
  return tokens;
}

// A special token of tokenizer_config.json: a string, or an object with its content.
std::string token_name(const JsonFields& config, const char* key, const std::string& otherwise) {
  const Json* value = config.find(key);
  if (!value) return otherwise;
  return value->is_object() ? config.object(key).string("content") : config.string(key);
}

void read_names(const JsonFields& config, SpecialNames& names) {
  names.pad = token_name(config, "pad_token", names.pad);
  names.unk = token_name(config, "unk_token", names.unk);
  names.cls = token_name(config, "cls_token", names.cls);
  names.sep = token_name(config, "sep_token", names.sep);
  names.mask = token_name(config, "mask_token", names.mask);
}

BertNormalizerOptions read_normalizer(const JsonFields& config) {
  BertNormalizerOptions options;
  options.lowercase = config.boolean("do_lower_case", true);
  if (config.find("strip_accents")) options.strip_accents = config.boolean("strip_accents", true);
  options.handle_chinese_chars = config.boolean("tokenize_chinese_chars", true);
  return options;
}

// With or without "Fast" at the end.
bool is_bert_class(const std::string& name) {
  return name.starts_with("BertTokenizer") || name.starts_with("DistilBertTokenizer") ||
         name.starts_with("ElectraTokenizer") || name.starts_with("MobileBertTokenizer");
}

// Many files say 1e30 for "no limit".
std::int64_t read_max_length(const JsonFields& config) {
  const Json* value = config.find("model_max_length");
  if (!value || !value->is_number()) return 0;
  const double length = value->get<double>();
  return length >= 1 && length < 1e9 ? static_cast<std::int64_t>(length) : 0;
}

void check_class(const JsonFields& config) {
  const std::string name = config.string("tokenizer_class", "BertTokenizer");
  const bool generic =
      name.starts_with("PreTrainedTokenizer") || name.starts_with("TokenizersBackend");
  if (generic || is_bert_class(name)) return;
  throw InputError(config.path("tokenizer_class") + " \"" + name + "\" is not supported",
                   "this version reads BERT tokenizers");
}

std::vector<AddedToken> read_added(const JsonFields& config) {
  std::vector<AddedToken> added;
  const JsonFields tokens = config.object("added_tokens_decoder");
  for (const auto& [key, value] : config.at("added_tokens_decoder").items()) {
    const bool number =
        !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == std::string::npos;
    if (!number) throw InputError(tokens.path(key) + ": the key is not an id");
    added.push_back(parse_added_token(value, tokens.path(key)));
    added.back().id = std::stoi(key);
  }
  return added;
}

std::int32_t position(const std::vector<std::string>& vocab, const std::string& token) {
  const auto found = std::find(vocab.begin(), vocab.end(), token);
  return found == vocab.end() ? -1 : static_cast<std::int32_t>(found - vocab.begin());
}

BertTokenizerSpec from_vocab(const fs::path& vocab, const JsonFields& config) {
  check_class(config);
  BertTokenizerSpec spec;
  spec.vocab = read_vocab(vocab);
  spec.normalizer = read_normalizer(config);
  read_names(config, spec.names);
  spec.model.unknown = spec.names.unk;
  for (const std::string& name : {spec.names.unk, spec.names.cls, spec.names.sep}) {
    if (position(spec.vocab, name) < 0) {
      throw InputError(vocab.string() + ": the vocabulary has no " + name,
                       "a BERT vocabulary holds [UNK], [CLS] and [SEP], or what "
                       "tokenizer_config.json names in their place");
    }
  }
  spec.layout =
      Template::bert(position(spec.vocab, spec.names.cls), position(spec.vocab, spec.names.sep));
  if (config.find("added_tokens_decoder")) spec.added = read_added(config);
  return spec;
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& dir) {
  const fs::path json = dir / "tokenizer.json", vocab = dir / "vocab.txt";
  const fs::path config_path = dir / "tokenizer_config.json";
  const Json config = path_exists(config_path) ? read_json(config_path) : Json::object();
  const JsonFields settings(config, config_path.string() + ": ");
  const bool whole = path_exists(json);
  if (!whole && !path_exists(vocab)) {
    throw InputError(dir.string() + ": no tokenizer here",
                     "a tokenizer directory holds tokenizer.json or vocab.txt; "
                     "`weft train-tokenizer` makes one");
  }
  BertTokenizerSpec spec =
      whole ? parse_tokenizer_json(read_json(json), json.string()) : from_vocab(vocab, settings);
  if (whole) read_names(settings, spec.names);
  // These classes build the normalizer anew, in transformers too; others leave tokenizer.json's.
  if (is_bert_class(settings.string("tokenizer_class", ""))) {
    spec.normalizer = read_normalizer(settings);
  }
  spec.model_max_length = read_max_length(settings);
  try {
    return std::make_unique<BertTokenizer>(std::move(spec));
  } catch (const InputError& error) {
    throw InputError((whole ? json : vocab).string() + ": " + error.what(), error.hint());
  }
}

}  // namespace weft
