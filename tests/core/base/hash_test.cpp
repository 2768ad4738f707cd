// XXH3 against digests printed by the reference tool xxhsum 0.8.1.
#include "core/base/hash.hpp"

#include <string>

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace weft {
namespace {

std::span<const std::byte> bytes(std::string_view s) { return std::as_bytes(std::span(s)); }

TEST(Hash, EqualsTheReference) {
  EXPECT_EQ(xxh3_64_hex({}), "2d06800538d394c2");
  EXPECT_EQ(xxh3_128_hex({}), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(xxh3_64_hex(bytes("weft")), "15d05235f1304082");
  EXPECT_EQ(xxh3_128_hex(bytes("weft")), "69aeedc904d9a734126c4f6354db18ad");
}

TEST(Hash, DoesNotDependOnThePieces) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>(i * 7);
  for (std::size_t step : {1U, 3U, 255U, 256U, 4999U, 5000U}) {
    Xxh3 hash;
    for (std::size_t i = 0; i < text.size(); i += step) {
      hash.update(bytes(std::string_view(text).substr(i, step)));
    }
    EXPECT_EQ(hash.hex128(), xxh3_128_hex(bytes(text)));
  }
}

TEST(Hash, OfAFileIsThatOfItsContent) {
  const std::string path = testing::TempDir() + "weft_hash_test";
  FILE* f = std::fopen(path.c_str(), "wb");
  std::fputs("weft", f);
  std::fclose(f);
  EXPECT_EQ(xxh3_128_hex_file(path), xxh3_128_hex(bytes("weft")));
  std::remove(path.c_str());
}

TEST(Hash, OfAFileThatCannotBeReadIsAnError) {  // nothing is mapped at address 0 of a process
  EXPECT_THROW(xxh3_128_hex_file("/proc/self/mem"), InputError);
}

}  // namespace
}  // namespace weft
