// The trie is full before its node numbers run out of bits.
#include "core/text/byte_trie.hpp"

#include <string>

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace weft {
namespace {

TEST(ByteTrie, RefusesMoreThanItCanNumber) {
  ByteTrie trie;
  trie.insert(std::string(ByteTrie::kMaxBytes, '\xff'), 7);
  trie.insert("\xff\xff", 8);
  EXPECT_THROW(trie.insert("x", 9), InputError);
  EXPECT_EQ(trie.longest("\xff\xff\xfe").value, 8);
}

}  // namespace
}  // namespace weft
