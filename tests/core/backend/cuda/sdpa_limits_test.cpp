// For which versions, shapes and devices cuDNN is not asked.
#include "core/backend/cuda/sdpa_limits.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr std::size_t kRecent = 91900;
constexpr int kHopper = 9, kBlackwell = 10;
const AttentionSignature kCausal{
    .B = 2, .heads = 4, .T = 128, .kv_T = 128, .d = 64, .causal = true};

AttentionSignature of_length(std::int64_t T, bool padded) {
  AttentionSignature z = kCausal;
  z.T = z.kv_T = T;
  z.padded = padded;
  return z;
}

TEST(SdpaLimits, AreFarFromRecentVersions) {
  for (const bool backward : {false, true}) {
    EXPECT_EQ(beyond_sdpa(kCausal, backward, kRecent, kHopper), "");
    EXPECT_EQ(beyond_sdpa(of_length(1000, false), backward, kRecent, kHopper), "");
  }
}

TEST(SdpaLimits, OldVersions) {
  for (const bool backward : {false, true}) {
    EXPECT_NE(beyond_sdpa(kCausal, backward, 91001, kHopper), "");
    EXPECT_EQ(beyond_sdpa(kCausal, backward, 91002, kHopper), "");
  }
}

TEST(SdpaLimits, UnfilledBlocksOfKeysWithoutAMask) {
  EXPECT_NE(beyond_sdpa(of_length(1000, false), true, 91500, kHopper), "");
  EXPECT_EQ(beyond_sdpa(of_length(1000, true), true, 91500, kHopper), "");
  EXPECT_EQ(beyond_sdpa(of_length(1000, false), false, 91500, kHopper), "");
  EXPECT_EQ(beyond_sdpa(of_length(1024, false), true, 91500, kHopper), "");
  EXPECT_EQ(beyond_sdpa(of_length(1000, false), true, 91501, kHopper), "");
}

TEST(SdpaLimits, OneQueryAndKey) {
  EXPECT_NE(beyond_sdpa(of_length(1, false), false, kRecent, kHopper), "");
}

TEST(SdpaLimits, ARepeatableBackwardOnBlackwell) {
  AttentionSignature z = kCausal;
  z.deterministic = true;
  EXPECT_EQ(beyond_sdpa(z, true, kRecent, kHopper), "");
  EXPECT_NE(beyond_sdpa(z, true, kRecent, kBlackwell), "");
  EXPECT_EQ(beyond_sdpa(z, false, kRecent, kBlackwell), "");
  EXPECT_EQ(beyond_sdpa(kCausal, true, kRecent, kBlackwell), "");
}

}  // namespace
}  // namespace weft
