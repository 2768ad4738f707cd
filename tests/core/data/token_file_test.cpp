// Token files come back as they were written; damaged ones are refused and never read outside.
#include "core/data/token_file.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "tests/core/data/corpus.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;
using namespace testing_support;

std::vector<std::int32_t> sentence(const TokenFile& file, std::int64_t s) {
  std::vector<std::int32_t> ids;
  file.append(s, 0, file.length(s), FakeTokenizer().vocab_size(), ids);
  return ids;
}

constexpr const char* kText = "1 2 3\n4+5\n\n6\n\n\n7 8+9\n10\n";

TEST(TokenFile, HasTheLayoutOfMegatron) {
  const ScratchDir dir;
  const auto prefix = make_tokens(dir / "x", kText);
  std::string index = std::string("MMIDIDX\0\0", 9) + std::string("\1\0\0\0\0\0\0\0", 8) + '\10';
  const auto put_number = [&](std::int64_t n, int bytes) {
    for (int i = 0; i < bytes; ++i) index.push_back(static_cast<char>(n >> (8 * i)));
  };
  put_number(5, 8);
  put_number(4, 8);
  for (const int length : {3, 2, 1, 3, 1}) put_number(length, 4);
  for (const int offset : {0, 6, 10, 12, 18}) put_number(offset, 8);
  for (const int first : {0, 2, 3, 5}) put_number(first, 8);
  EXPECT_EQ(read_file(token_file_path(prefix, ".idx")), index);
  std::string bin;
  for (const int id : {6, 7, 8, 9, 510, 11, 12, 13, 514, 15}) {
    bin.push_back(static_cast<char>(id & 255));
    bin.push_back(static_cast<char>(id >> 8));
  }
  EXPECT_EQ(read_file(token_file_path(prefix, ".bin")), bin);
}

TEST(TokenFile, ReadsWhatWasWritten) {
  const ScratchDir dir;
  const TokenFile file(make_tokens(dir / "x", kText));
  EXPECT_EQ(file.documents(), 3);
  EXPECT_EQ(file.sentences(), 5);
  EXPECT_EQ(file.tokens(), 10);
  EXPECT_EQ(sentence(file, 0), (std::vector<std::int32_t>{6, 7, 8}));
  EXPECT_EQ(sentence(file, 3), (std::vector<std::int32_t>{12, 13, 514}));
  const std::int64_t documents[] = {0, 0, 1, 2, 2};
  for (std::int64_t s = 0; s < 5; ++s) EXPECT_EQ(file.document_of(s), documents[s]);
  EXPECT_EQ(file.first_sentence(3), 5);
  ASSERT_TRUE(file.info());
  EXPECT_EQ(file.info()->tokenizer_hash, "fake-500");
  EXPECT_EQ(file.info()->text_bytes, 5 + 3 + 1 + 5 + 2);
}

TEST(TokenFile, LargeVocabulariesTakeFourBytes) {
  const ScratchDir dir;
  const FakeTokenizer tokenizer(40000);
  const TokenFile file(make_tokens(dir / "x", "1+39999 2\n", tokenizer));
  std::vector<std::int32_t> ids;
  file.append(0, 0, 3, tokenizer.vocab_size(), ids);
  EXPECT_EQ(ids, (std::vector<std::int32_t>{6, 80004, 7}));
}

TEST(TokenFile, RefusesIdsOutsideTheVocabulary) {
  const ScratchDir dir;
  const TokenFile file(make_tokens(dir / "x", kText));
  std::vector<std::int32_t> ids;
  EXPECT_EQ(
      error_of([&] { file.append(1, 0, 2, 510, ids); }),
      (dir / "x.bin").string() + ": sentence 1: token id 510 is outside the vocabulary of 510");
}

TEST(TokenFile, NamesAMissingFile) {
  EXPECT_EQ(error_of([] { TokenFile("/nowhere/wiki"); }), "/nowhere/wiki.idx: no such token file");
}

// Far faster than to truncate and rewrite a file on a journalling file system.
void replace(const fs::path& path, const std::string& bytes) {
  fs::remove(path);
  put(path, bytes);
}

// Opens damaged files; all that is accepted must be readable to the end.
bool accepts(const fs::path& prefix) {
  try {
    const TokenFile file(prefix);
    std::vector<std::int32_t> ids;
    for (std::int64_t s = 0; s < file.sentences(); ++s) {
      try {
        file.append(s, 0, file.length(s), 1005, ids);
      } catch (const InputError&) {
      }
    }
    for (std::int64_t d = 0; d < file.documents(); ++d) {
      EXPECT_LT(file.first_sentence(d), file.first_sentence(d + 1));
    }
    return true;
  } catch (const InputError& e) {
    EXPECT_EQ(std::string(e.what()).rfind(prefix.string(), 0), 0U) << e.what();
    return false;
  }
}

class DamagedTokenFile : public ::testing::Test {
 protected:
  DamagedTokenFile() : prefix_(make_tokens(dir_ / "x", kText)) {
    index_ = read_file(index_path());
    bin_ = read_file(token_file_path(prefix_, ".bin"));
  }
  fs::path index_path() const { return token_file_path(prefix_, ".idx"); }

  ScratchDir dir_;
  fs::path prefix_;
  std::string index_, bin_;
};

TEST_F(DamagedTokenFile, EveryTruncationOfTheIndexIsRefused) {
  for (std::size_t n = 0; n < index_.size(); ++n) {
    replace(index_path(), index_.substr(0, n));
    EXPECT_FALSE(accepts(prefix_)) << n;
  }
  replace(index_path(), index_ + '\0');
  EXPECT_FALSE(accepts(prefix_));
}

TEST_F(DamagedTokenFile, EveryTruncationOfTheTokensIsRefused) {
  for (std::size_t n = 0; n < bin_.size(); ++n) {
    replace(token_file_path(prefix_, ".bin"), bin_.substr(0, n));
    EXPECT_FALSE(accepts(prefix_)) << n;
  }
}

TEST_F(DamagedTokenFile, TokensThatTheIndexDoesNotKnowAreRefused) {
  const fs::path path = token_file_path(prefix_, ".bin");
  replace(path, bin_ + std::string(2, '\1'));
  EXPECT_EQ(error_of([&] { TokenFile file(prefix_); }),
            path.string() + ": has 22 bytes, but the 10 tokens of the .idx beside it take 20");
}

TEST_F(DamagedTokenFile, EveryBitFlipIsRefusedOrHarmless) {
  for (const bool with_json : {true, false}) {  // without, less is known to compare with
    if (!with_json) fs::remove(token_file_path(prefix_, ".json"));
    for (std::size_t bit = 0; bit < index_.size() * 8; ++bit) {
      std::string damaged = index_;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      replace(index_path(), damaged);
      const bool accepted = accepts(prefix_);
      EXPECT_FALSE(accepted && bit < kIndexHeader * 8) << bit;
    }
  }
}

TEST_F(DamagedTokenFile, DescriptionsThatDoNotAgreeAreRefused) {
  const auto path = token_file_path(prefix_, ".json");
  const std::string good = read_file(path);
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"weft-tokens", "other"},
           {"\"version\": 1", "\"version\": 2"},
           {"\"documents\": 3", "\"documents\": 4"},
           {"\"tokens\": 10", "\"tokens\": -1"},
           {"\"tokens\": 10", "\"tokens\": \"10\""},
           {"\"vocab_size\": 1005", "\"vocab_size\": null"},
           {"\"fake-500\"", "7"},
           {"{", "["}}) {
    std::string bad = good;
    const auto at = bad.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    replace(path, bad.replace(at, from.size(), to));
    EXPECT_FALSE(accepts(prefix_)) << to;
  }
}

}  // namespace
}  // namespace weft
