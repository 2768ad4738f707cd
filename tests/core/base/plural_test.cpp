// Numbers of things.
#include "core/base/plural.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(Plural, HasNoSAfterOne) {
  EXPECT_EQ(counted(0, "rank"), "0 ranks");
  EXPECT_EQ(counted(1, "rank"), "1 rank");
  EXPECT_EQ(counted(2, "data rank"), "2 data ranks");
}

}  // namespace
}  // namespace weft
