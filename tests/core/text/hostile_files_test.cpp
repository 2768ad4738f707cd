// Damaged tokenizer files: each loads or is refused with an InputError, none crashes.
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/text/bert_tokenizer.hpp"
#include "core/text/tokenizer_json.hpp"
#include "tests/core/text/fixtures.hpp"
#include "tests/fuzz_rounds.hpp"

namespace weft {
namespace {

const char* const kTokenizer =
    R"({"version":"1.0","added_tokens":[{"id":0,"content":"[UNK]","normalized":false,"special":true},
{"id":5,"content":"Foo","lstrip":true,"normalized":true,"single_word":true}],
"normalizer":{"type":"BertNormalizer","clean_text":true,"strip_accents":null,"lowercase":true},
"pre_tokenizer":{"type":"BertPreTokenizer"},
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},
{"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},
{"Sequence":{"id":"B","type_id":1}}],
"special_tokens":{"[CLS]":{"id":"[CLS]","ids":[1],"tokens":["[CLS]"]}}},
"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
"max_input_chars_per_word":100,"vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"a":3,"##b":4}}})";

std::string mutated(std::string text, std::mt19937& random) {
  static const std::vector<std::string> kBits = {
      "null",       "-1",   "1e999",       "99999999999999999999", "\"\"",       "[]",
      "{}",         "true", "\"\\ud800\"", "\"\\u0000\"",          "4294967296", "\xff",
      "2147483648", "0.5",  "[UNK]",       "\xef\xbf\xbd",         ",",          "\""};
  for (auto n = 1 + random() % 3; n > 0 && !text.empty(); --n) {
    const std::size_t at = random() % text.size();
    const std::size_t size = random() % 12;
    switch (random() % 5) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, size);
        break;
      case 2:
        text.insert(at, text.substr(random() % text.size(), size));
        break;
      case 3:
        text.replace(at, size % 4, kBits[random() % kBits.size()]);
        break;
      default:
        text.resize(random() % 8 ? text.size() : at);
    }
  }
  return text;
}

// In place of a value, another one: the JSON stays well formed.
void mutate_value(Json& json, std::mt19937& random) {
  static const std::vector<Json> kValues = {nullptr,
                                            -1,
                                            3,
                                            5,
                                            1e30,
                                            true,
                                            "",
                                            "[UNK]",
                                            "##",
                                            "BPE",
                                            Json::array(),
                                            Json::object(),
                                            4294967296,
                                            18446744073709551615U,
                                            "\u0130"};
  Json* at = &json;
  while (at->is_structured() && !at->empty() && random() % 6 != 0) {
    auto it = at->begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random() % at->size()));
    at = &*it;
  }
  *at = kValues[random() % kValues.size()];
}

void use(const BertTokenizerSpec& spec) {
  const BertTokenizer tokenizer(spec);
  const Encoding e = tokenizer.encode_pair("a[UNK] foo abb \xc4\xb0", "b", {.max_length = 12});
  EXPECT_LE(e.ids.size(), 12U);
  EXPECT_EQ(e.ids.size(), e.offsets.size());
  tokenizer.decode(e.ids, false);
}

// Whether it loaded.
bool try_text(const std::string& text) {
  try {
    use(parse_tokenizer_json(parse_json(text, "fuzz"), "fuzz"));
    return true;
  } catch (const InputError& e) {
    EXPECT_NE(std::string(e.what()), "");
    return false;
  }
}

TEST(HostileFiles, MutatedTokenizerJson) {
  std::mt19937 random(6);
  int loaded = 0;
  ASSERT_TRUE(try_text(kTokenizer));
  for (int i = 0; i < fuzz_rounds(25000); ++i) loaded += try_text(mutated(kTokenizer, random));
  const Json whole = parse_json(kTokenizer, "fuzz");
  for (int i = 0; i < fuzz_rounds(25000); ++i) {
    Json json = whole;
    mutate_value(json, random);
    loaded += try_text(json.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  EXPECT_GT(loaded, fuzz_rounds(2500));
  EXPECT_LT(loaded, fuzz_rounds(45000));
}

TEST(HostileFiles, MutatedVocabularies) {
  const TemporaryFolder folder;
  const std::string vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n##s\n\u00E9\n";
  const std::string config = R"({"do_lower_case": true, "strip_accents": null, "unk_token": "[UNK]",
    "model_max_length": 512, "added_tokens_decoder": {"1": {"content": "[UNK]", "special": true}}})";
  std::mt19937 random(7);
  int loaded = 0;
  for (int i = 0; i < fuzz_rounds(1500); ++i) {
    folder.write("vocab.txt", i % 2 ? mutated(vocab, random) : vocab);
    folder.write("tokenizer_config.json", i % 2 ? config : mutated(config, random));
    try {
      load_tokenizer(folder.path())->encode("hellos \u00E9 [MASK]");
      ++loaded;
    } catch (const InputError&) {
    }
  }
  EXPECT_GT(loaded, fuzz_rounds(100));
  EXPECT_LT(loaded, 1400);
}

}  // namespace
}  // namespace weft
