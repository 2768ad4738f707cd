// Ids, offsets, decoding, pairs and truncation against Hugging Face's tokenizers on 455 texts; ids
// and offsets on 7793 questions.
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "core/base/json.hpp"
#include "core/text/tokenizer.hpp"
#include "tests/core/text/fixtures.hpp"

namespace weft {
namespace {

using Ids = std::vector<std::int32_t>;

class BertReference : public testing::TestWithParam<std::string> {};

Ids flat(const std::vector<std::pair<std::int32_t, std::int32_t>>& offsets) {
  Ids all;
  for (const auto& [begin, end] : offsets) {
    all.push_back(begin);
    all.push_back(end);
  }
  return all;
}

TEST_P(BertReference, EncodesAndDecodesEveryLineAlike) {
  const auto tokenizer = load_bert(GetParam());
  const std::vector<Json> inputs = fixture_objects("inputs.jsonl.xz");
  const std::vector<Json> references = fixture_objects("references.jsonl.xz");
  ASSERT_EQ(inputs.size(), 455U);
  ASSERT_EQ(references.size(), inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string text = inputs[i].at("text").get<std::string>();
    const Json& reference = references[i].at(GetParam());
    const Encoding bare = tokenizer->encode(text, {.special_tokens = false});
    EXPECT_EQ(bare.ids, reference.at("ids").get<Ids>()) << text;
    EXPECT_EQ(flat(bare.offsets), reference.at("offsets").get<Ids>()) << text;
    EXPECT_EQ(bare.type_ids, Ids(bare.ids.size(), 0));
    EXPECT_EQ(tokenizer->decode(bare.ids), reference.at("decoded").get<std::string>()) << text;

    const Encoding whole = tokenizer->encode(text);
    Ids expected = bare.ids;
    expected.insert(expected.begin(), tokenizer->special().cls);
    expected.push_back(tokenizer->special().sep);
    EXPECT_EQ(whole.ids, expected);
    EXPECT_EQ(whole.offsets.front(), std::pair(0, 0));
    EXPECT_EQ(whole.offsets.back(), std::pair(0, 0));

    Ids appended{-7};
    std::vector<std::uint8_t> starts{9};
    tokenizer->append_ids(text, appended, starts);
    appended.erase(appended.begin());
    EXPECT_EQ(appended, bare.ids);
    ASSERT_EQ(starts.size(), bare.ids.size() + 1);
    for (std::size_t k = 0; k < bare.ids.size(); ++k) {
      EXPECT_EQ(starts[k + 1] != 0, tokenizer->starts_word(bare.ids[k]));
    }
  }
}

// As make_squad_questions.py: "1a2b3c4d" of "ID:BEGIN-END " of each token.
std::string checksum(const Encoding& encoding) {
  std::string pieces;
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    const auto& [begin, end] = encoding.offsets[i];
    pieces += fmt::format("{}:{}-{} ", encoding.ids[i], begin, end);
  }
  return fmt::format("{:08x}", crc32(0, reinterpret_cast<const Bytef*>(pieces.data()),
                                     static_cast<uInt>(pieces.size())));
}

TEST(BertUncased, EncodesEveryQuestionAlike) {
  const auto tokenizer = load_bert("uncased");
  const std::vector<std::string> lines = fixture_lines("squad_questions.txt.xz");
  ASSERT_EQ(lines.size(), 7793U);
  for (const std::string& line : lines) {
    const std::string text = line.substr(9);
    const Encoding encoding = tokenizer->encode(text, {.special_tokens = false});
    EXPECT_EQ(checksum(encoding), line.substr(0, 8)) << text;
  }
}

void check_pairs(const std::string& name) {
  const auto tokenizer = load_bert(name);
  const std::vector<Json> pairs = fixture_objects("pairs.jsonl.xz");
  const std::vector<Json> references = fixture_objects("pair_references.jsonl.xz");
  ASSERT_EQ(pairs.size(), 60U);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const std::string a = pairs[i].at("a").get<std::string>();
    const std::string b = pairs[i].at("b").get<std::string>();
    const Json& reference = references.at(i).at(name);
    const Encoding whole = tokenizer->encode_pair(a, b);
    EXPECT_EQ(whole.ids, reference.at("ids").get<Ids>()) << a;
    EXPECT_EQ(whole.type_ids, reference.at("type_ids").get<Ids>()) << a;
    const Encoding cut = tokenizer->encode_pair(a, b, {.max_length = 64});
    EXPECT_EQ(cut.ids, reference.at("trunc64_ids").get<Ids>()) << a;
    EXPECT_EQ(cut.type_ids, reference.at("trunc64_type_ids").get<Ids>()) << a;
    EXPECT_EQ(cut.offsets.size(), cut.ids.size());
  }
}

TEST(BertPairs, JoinAndTruncateAlike) {
  check_pairs("uncased");
  check_pairs("cased");
}

TEST_P(BertReference, SavedFilesGiveTheSameTokenizer) {
  const auto tokenizer = load_bert(GetParam());
  const TemporaryFolder folder;
  tokenizer->save(folder.path());
  const auto from_json = load_tokenizer(folder.path());
  std::filesystem::remove(folder.path() / "tokenizer.json");
  const auto from_vocab = load_tokenizer(folder.path());
  EXPECT_EQ(from_json->hash(), tokenizer->hash());
  EXPECT_EQ(from_vocab->hash(), tokenizer->hash());
  for (const Json& input : fixture_objects("inputs.jsonl.xz")) {
    const std::string text = input.at("text").get<std::string>();
    const Encoding expected = tokenizer->encode(text);
    EXPECT_EQ(from_json->encode(text).ids, expected.ids);
    EXPECT_EQ(from_vocab->encode(text).offsets, expected.offsets);
  }
}

INSTANTIATE_TEST_SUITE_P(Published, BertReference, testing::Values("uncased", "cased", "chinese"),
                         [](const auto& info) { return info.param; });

TEST(BertUncased, KnowsItsTokens) {
  const auto tokenizer = load_bert("uncased");
  EXPECT_EQ(tokenizer->vocab_size(), 30522);
  EXPECT_EQ(tokenizer->special().pad, 0);
  EXPECT_EQ(tokenizer->special().unk, 100);
  EXPECT_EQ(tokenizer->special().cls, 101);
  EXPECT_EQ(tokenizer->special().sep, 102);
  EXPECT_EQ(tokenizer->special().mask, 103);
  EXPECT_EQ(tokenizer->token(1996), "the");
  EXPECT_EQ(tokenizer->id_of("##ing"), 2075);
  EXPECT_EQ(tokenizer->id_of("no such token"), -1);
  EXPECT_TRUE(tokenizer->is_special(103));
  EXPECT_FALSE(tokenizer->is_special(1996));
  EXPECT_FALSE(tokenizer->starts_word(2075));
}

}  // namespace
}  // namespace weft
