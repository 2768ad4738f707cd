// Reading and writing tokenizer directories, and what is said about bad ones.
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/text/tokenizer.hpp"
#include "tests/core/text/fixtures.hpp"

namespace weft {
namespace {

using Ids = std::vector<std::int32_t>;

const std::string kVocab =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nw\n##orld\n\xc3\xa9\ne\n\u4E2D\n";

Json small_json() {
  return parse_json(R"({
    "version": "1.0", "truncation": {"max_length": 2}, "padding": {"strategy": "BatchLongest"},
    "added_tokens": [
      {"id": 0, "content": "[UNK]", "single_word": false, "lstrip": false, "rstrip": false,
       "normalized": false, "special": true},
      {"id": 5, "content": "Foo", "normalized": true},
      {"id": 6, "content": "<x>", "lstrip": true, "rstrip": true, "normalized": false},
      {"id": 7, "content": "one", "single_word": true, "normalized": false}],
    "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                   "strip_accents": null, "lowercase": true},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
    "model": {"unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 5,
              "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##b": 4}}})",
                    "small");
}

std::unique_ptr<Tokenizer> from_json(const Json& json) {
  const TemporaryFolder folder;
  folder.write("tokenizer.json", json.dump());
  return load_tokenizer(folder.path());
}

std::unique_ptr<Tokenizer> from_vocab(const std::string& vocab, const std::string& config = {}) {
  const TemporaryFolder folder;
  folder.write("vocab.txt", vocab);
  if (!config.empty()) folder.write("tokenizer_config.json", config);
  return load_tokenizer(folder.path());
}

// The message, without the folder.
std::string error_of(const std::function<void()>& load) {
  try {
    load();
  } catch (const InputError& e) {
    const std::string what = e.what();
    const std::size_t name = what.rfind('/', what.find(": "));
    return name == std::string::npos ? what : what.substr(name + 1);
  }
  return "no error";
}

TEST(TokenizerFiles, SettingsOfTheVocabularyHaveTheirEffect) {
  const std::string text = "Hello \u00E9\u4E2D\u4E2D";
  const Encoding plain = from_vocab(kVocab)->encode(text);
  EXPECT_EQ(plain.ids, (Ids{2, 5, 9, 10, 10, 3}));
  EXPECT_EQ(from_vocab(kVocab, R"({"do_lower_case": false})")->encode(text).ids,
            (Ids{2, 1, 8, 10, 10, 3}));
  EXPECT_EQ(from_vocab(kVocab, R"({"strip_accents": false})")->encode(text).ids,
            (Ids{2, 5, 8, 10, 10, 3}));
  EXPECT_EQ(
      from_vocab(kVocab, R"({"do_lower_case": false, "strip_accents": true})")->encode(text).ids,
      (Ids{2, 1, 9, 10, 10, 3}));
  EXPECT_EQ(from_vocab(kVocab, R"({"tokenize_chinese_chars": false})")->encode(text).ids,
            (Ids{2, 5, 1, 3}));
}

TEST(TokenizerFiles, SpecialTokensMayHaveOtherNames) {
  const auto tokenizer =
      from_vocab("<p>\n<u>\n<c>\n<s>\n<m>\nx\n",
                 R"({"pad_token": "<p>", "unk_token": {"content": "<u>"}, "cls_token": "<c>",
                     "sep_token": "<s>", "mask_token": "<m>", "model_max_length": 1e30})");
  EXPECT_EQ(tokenizer->special().mask, 4);
  EXPECT_EQ(tokenizer->encode("x y<m>").ids, (Ids{2, 5, 1, 4, 3}));
  EXPECT_TRUE(tokenizer->is_special(4));
}

// Ids of "AB" with a lower-casing tokenizer.json, as AutoTokenizer of transformers 5 gives them.
TEST(TokenizerFiles, TheClassDecidesWhetherTheSettingsWinOverTokenizerJson) {
  const TemporaryFolder folder;
  folder.write("tokenizer.json", small_json().dump());
  folder.write("vocab.txt", kVocab);
  const auto ids = [&](const std::string& config) {
    folder.write("tokenizer_config.json", config);
    return load_tokenizer(folder.path())->encode("AB").ids;
  };
  const Ids lower = {1, 3, 4, 2}, cased = {1, 0, 2};
  EXPECT_EQ(ids(R"({"do_lower_case": false})"), lower);
  EXPECT_EQ(ids(R"({"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": false})"),
            lower);
  EXPECT_EQ(ids(R"({"tokenizer_class": "BertTokenizer", "do_lower_case": false})"), cased);
  Json json = small_json();
  json["normalizer"]["lowercase"] = false;
  folder.write("tokenizer.json", json.dump());
  EXPECT_EQ(ids("{}"), cased);
  EXPECT_EQ(ids(R"({"tokenizer_class": "BertTokenizerFast"})"), lower);  // the setting's default
}

void expect_named_tokens_are_special(const Tokenizer& tokenizer) {
  const SpecialTokens& s = tokenizer.special();
  for (const std::int32_t id : {s.pad, s.unk, s.cls, s.sep, s.mask}) {
    ASSERT_GE(id, 0);
    EXPECT_TRUE(tokenizer.is_special(id)) << tokenizer.token(id);
    EXPECT_EQ(tokenizer.encode(tokenizer.token(id), {.special_tokens = false}).ids, Ids{id});
  }
}

TEST(TokenizerFiles, NamedTokensAreSpecialWhetherListedOrNot) {
  expect_named_tokens_are_special(*from_vocab(
      kVocab, R"({"added_tokens_decoder": {"1": {"content": "[UNK]", "special": true}}})"));
  Json json = small_json();
  json.erase("added_tokens");
  json["model"]["vocab"].update({{"[MASK]", 5}, {"[PAD]", 6}});
  expect_named_tokens_are_special(*from_json(json));
  json["added_tokens"] = {{{"id", 5}, {"content", "[MASK]"}, {"special", false}}};
  expect_named_tokens_are_special(*from_json(json));
}

TEST(TokenizerFiles, AddedTokensAreFoundFirst) {
  const auto tokenizer = from_json(small_json());
  const auto encode = [&](const std::string& text) {
    return tokenizer->encode(text, {.special_tokens = false});
  };
  EXPECT_EQ(tokenizer->vocab_size(), 8);
  EXPECT_EQ(encode("afOOa").ids, (Ids{3, 5, 3}));  // looked for after lower-casing
  EXPECT_EQ(encode("fo\u00D3").ids, Ids{5});
  EXPECT_EQ(encode("a  <x> a<X>").ids, (Ids{3, 6, 3, 0, 0, 0}));
  EXPECT_EQ(encode("a  <x> a").offsets[1], std::pair(1, 7));  // with the spaces around
  EXPECT_EQ(encode("one aone one.").ids, (Ids{7, 0, 7, 0}));
  EXPECT_EQ(encode("[UNK]ab").ids, (Ids{0, 3, 4}));
  EXPECT_EQ(encode("abbbb").ids, (Ids{3, 4, 4, 4, 4}));
  EXPECT_EQ(encode("abbbbb").ids, Ids{0});  // longer than 5 characters
  EXPECT_EQ(tokenizer->decode({1, 3, 4, 2, 5}), "ab Foo");
  EXPECT_EQ(tokenizer->decode({1, 3, 4, 2, 5}, false), "[CLS] ab [SEP] Foo");
  EXPECT_EQ(tokenizer->decode({0, 3}), "a");
  EXPECT_EQ(tokenizer->decode({0, 3}, false), "[UNK] a");
}

TEST(TokenizerFiles, TemplatesAndNullPartsAreRead) {
  Json json = small_json();
  json["post_processor"] = parse_json(R"({"type": "TemplateProcessing",
    "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "E", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "B", "type_id": 1}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "special_tokens": {"E": {"id": "E", "ids": [2, 1], "tokens": ["[SEP]", "[CLS]"]}}})",
                                      "template");
  EXPECT_EQ(from_json(json)->encode("a").ids, (Ids{3, 2, 1}));
  EXPECT_EQ(from_json(json)->encode_pair("a", "ab").ids, (Ids{3, 4, 3}));
  EXPECT_EQ(from_json(json)->encode_pair("a", "ab").type_ids, (Ids{1, 1, 0}));
  json["post_processor"] = nullptr;
  json["decoder"] = nullptr;
  EXPECT_EQ(from_json(json)->encode("a").ids, Ids{3});
  EXPECT_EQ(from_json(json)->decode({3, 4}), "a ##b");
}

TEST(TokenizerFiles, SavingKeepsEverything) {
  for (const Json& change : {Json{}, Json{{"normalizer",
                                           {{"type", "BertNormalizer"},
                                            {"clean_text", false},
                                            {"strip_accents", true},
                                            {"lowercase", false}}}}}) {
    Json json = small_json();
    if (!change.is_null()) json.update(change);
    const auto tokenizer = from_json(json);
    const TemporaryFolder folder;
    tokenizer->save(folder.path());
    const auto again = load_tokenizer(folder.path());
    EXPECT_EQ(again->hash(), tokenizer->hash());
    EXPECT_EQ(again->encode("aFoo <x>b\x01").ids, tokenizer->encode("aFoo <x>b\x01").ids);
  }
}

TEST(TokenizerFiles, TheHashTellsTokenizersApart) {
  const std::string hash = from_vocab(kVocab)->hash();
  EXPECT_EQ(hash.size(), 16U);
  EXPECT_EQ(from_vocab(kVocab, R"({"strip_accents": true})")->hash(), hash);  // the default
  EXPECT_NE(from_vocab(kVocab, R"({"strip_accents": false})")->hash(), hash);
  EXPECT_NE(from_vocab(kVocab, R"({"do_lower_case": false})")->hash(), hash);
  EXPECT_NE(from_vocab(kVocab + "new\n")->hash(), hash);
}

TEST(TokenizerFiles, BadVocabulariesAreNamedByLine) {
  EXPECT_EQ(error_of([] { from_vocab("[UNK]\n[CLS]\n[SEP]\na\nb\na\n"); }),
            "vocab.txt:6: the token \"a\" is there already");
  EXPECT_EQ(error_of([] { from_vocab("[UNK]\n[CLS]\n[SEP]\n\xff\n"); }),
            "vocab.txt:4: the token is not UTF-8");
  EXPECT_EQ(error_of([] { from_vocab("[UNK]\n[CLS]\na\n"); }),
            "vocab.txt: the vocabulary has no [SEP]");
  EXPECT_EQ(error_of([] { from_vocab(""); }), "vocab.txt: the vocabulary is empty");
  EXPECT_EQ(error_of([] { from_vocab("[UNK]\n" + std::string(70000, 'x')); }),
            "vocab.txt:2: the line is longer than 65536 bytes");
  std::string huge = kVocab;
  for (int i = 0; i < 300; ++i) huge += std::to_string(i) + std::string(60000, 'x') + "\n";
  EXPECT_EQ(error_of([&] { from_vocab(huge); }),
            "vocab.txt:291: the vocabulary is larger than 16 MB");
  EXPECT_EQ(error_of([] { from_vocab(kVocab, R"({"tokenizer_class": "BertJapaneseTokenizer"})"); }),
            "tokenizer_config.json: tokenizer_class \"BertJapaneseTokenizer\" is not supported");
  EXPECT_EQ(error_of([] { from_vocab(kVocab, R"({"do_lower_case": "no"})"); }),
            "tokenizer_config.json: do_lower_case is not true or false");
  EXPECT_EQ(error_of([] { from_vocab(kVocab, "{\n\"do_lower_case\": tru}"); }).substr(0, 24),
            "tokenizer_config.json:2:");
  const TemporaryFolder empty;
  EXPECT_THROW(load_tokenizer(empty.path()), InputError);
}

TEST(TokenizerFiles, WhatIsNotSupportedIsNamed) {
  const auto error_with = [](const std::function<void(Json&)>& change) {
    Json json = small_json();
    change(json);
    return error_of([&] { from_json(json); });
  };
  EXPECT_EQ(error_with([](Json& j) { j["model"]["type"] = "BPE"; }),
            "tokenizer.json: model.type \"BPE\" is not supported");
  EXPECT_EQ(error_with([](Json& j) { j["normalizer"]["type"] = "NFC"; }),
            "tokenizer.json: normalizer.type \"NFC\" is not supported");
  EXPECT_EQ(error_with([](Json& j) { j["normalizer"] = nullptr; }),
            "tokenizer.json: normalizer is missing or null");
  EXPECT_EQ(error_with([](Json& j) { j["pre_tokenizer"]["type"] = "ByteLevel"; }),
            "tokenizer.json: pre_tokenizer.type \"ByteLevel\" is not supported");
  EXPECT_EQ(error_with([](Json& j) { j["post_processor"]["type"] = "RobertaProcessing"; }),
            "tokenizer.json: post_processor.type \"RobertaProcessing\" is not supported");
  EXPECT_EQ(error_with([](Json& j) { j["decoder"]["type"] = "BPEDecoder"; }),
            "tokenizer.json: decoder.type \"BPEDecoder\" is not supported");
  EXPECT_EQ(error_with([](Json& j) { j["version"] = "2.0"; }),
            "tokenizer.json: version \"2.0\" is not supported");
}

TEST(TokenizerFiles, ContradictionsInTokenizerJsonAreNamed) {
  const auto error_with = [](const std::function<void(Json&)>& change) {
    Json json = small_json();
    change(json);
    return error_of([&] { from_json(json); });
  };
  EXPECT_EQ(error_with([](Json& j) { j["model"]["vocab"]["a"] = 4; }),
            "tokenizer.json: model.vocab: the id of \"##b\" is 4, which another token has");
  EXPECT_EQ(error_with([](Json& j) { j["model"]["vocab"]["a"] = 99; }),
            "tokenizer.json: model.vocab: the id of \"a\" is 99");
  EXPECT_EQ(error_with([](Json& j) { j["model"]["vocab"]["a"] = -1; }),
            "tokenizer.json: model.vocab: the id of \"a\" is -1");
  EXPECT_EQ(error_with([](Json& j) { j["model"]["unk_token"] = "?"; }),
            "tokenizer.json: the unknown token \"?\" is not in the vocabulary");
  EXPECT_EQ(error_with([](Json& j) { j["added_tokens"][1]["id"] = 3; }),
            "tokenizer.json: the added token \"Foo\" has the id 3, which belongs to another token");
  EXPECT_EQ(error_with([](Json& j) { j["added_tokens"][3]["id"] = 8; }),
            "tokenizer.json: the id before 8 is not used");
  EXPECT_EQ(error_with([](Json& j) { j["added_tokens"][1]["content"] = "a"; }),
            "tokenizer.json: the token \"a\" is there twice");
  EXPECT_EQ(error_with([](Json& j) { j["post_processor"]["sep"][1] = 100; }),
            "tokenizer.json: the post-processor has the id 100");
  EXPECT_EQ(error_with([](Json& j) { j["model"]["vocab"] = Json::array(); }),
            "tokenizer.json: model.vocab is not an object");
  EXPECT_EQ(error_with([](Json& j) { j.erase("model"); }), "tokenizer.json:  has no \"model\"");
}

}  // namespace
}  // namespace weft
