// The trie finds what it holds, and is full before its node numbers run out of bits.
#include "core/text/byte_trie.hpp"

#include <string>

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace weft {
namespace {

TEST(ByteTrie, FindsWhatWasInsertedAndNothingElse) {
  ByteTrie trie;
  for (int i = 0; i < 20000; ++i) trie.insert(std::to_string(i * 7919), i);
  for (int i = 0; i < 20000; ++i) EXPECT_EQ(trie.find(std::to_string(i * 7919)), i);
  EXPECT_EQ(trie.find("7918"), ByteTrie::kNone);
  EXPECT_EQ(trie.find(""), ByteTrie::kNone);
  EXPECT_EQ(trie.walk(""), ByteTrie::kRoot);
  EXPECT_EQ(trie.longest("7919x").size, 4U);
  trie.insert("7919", 5);
  EXPECT_EQ(trie.find("7919"), 5);
}

TEST(ByteTrie, RefusesMoreThanItCanNumber) {
  ByteTrie trie;
  trie.insert(std::string(ByteTrie::kMaxBytes, '\xff'), 7);
  trie.insert("\xff\xff", 8);
  EXPECT_THROW(trie.insert("x", 9), InputError);
  EXPECT_EQ(trie.longest("\xff\xff\xfe").value, 8);
}

}  // namespace
}  // namespace weft
