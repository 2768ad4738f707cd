// The maps between local parts and full tensors.
#include "core/nn/shard.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

// How often each element of the full tensor is held by the ranks, and how many local elements are
// padding.
struct Cover {
  std::vector<int> held;
  std::int64_t padding = 0;
};

Cover cover(const Shape& full, const Shard& shard, int ranks) {
  Cover c{.held = std::vector<int>(static_cast<std::size_t>(full.numel()))};
  for (int r = 0; r < ranks; ++r) {
    std::int64_t real = 0;
    for (const ShardRun& run : shard_runs(full, shard, {.rank = r, .ranks = ranks})) {
      for (std::int64_t i = 0; i < run.count; ++i) ++c.held[static_cast<std::size_t>(run.full + i)];
      real += run.count;
    }
    c.padding += shard_shape(full, shard, ranks).numel() - real;
  }
  return c;
}

TEST(Shard, PartsCoverTheTensorOnce) {
  const std::vector<std::pair<Shape, Shard>> cases{{{12, 5}, {.dim = 0}},
                                                   {{5, 12}, {.dim = 1}},
                                                   {{12, 5}, {.dim = 0, .segments = 3}},
                                                   {{24}, {.dim = 0}},
                                                   {{2, 8, 3}, {.dim = 1, .segments = 2}}};
  for (const auto& [full, shard] : cases) {
    for (const int ranks : {1, 2, 4}) {
      const Cover c = cover(full, shard, ranks);
      EXPECT_EQ(c.held, std::vector<int>(c.held.size(), 1)) << full.str() << " over " << ranks;
      EXPECT_EQ(c.padding, 0);
    }
  }
}

TEST(Shard, ReplicatedPartsAreWhole) {
  const Cover c = cover({3, 5}, {}, 4);
  EXPECT_EQ(c.held, std::vector<int>(15, 4));
}

TEST(Shard, AFusedTensorIsCutWithinEachSegment) {
  // Rows q0 q1 k0 k1 v0 v1: rank 1 of 2 holds q1 k1 v1.
  const auto runs = shard_runs({6, 2}, {.dim = 0, .segments = 3}, {.rank = 1, .ranks = 2});
  ASSERT_EQ(runs.size(), 3U);
  EXPECT_EQ(runs[0].full, 2);
  EXPECT_EQ(runs[1].full, 6);
  EXPECT_EQ(runs[1].local, 2);
  EXPECT_EQ(runs[2].full, 10);
}

TEST(Shard, AVocabularyIsPaddedAtItsEnd) {
  EXPECT_EQ(shard_shape({10, 3}, {.dim = 0}, 4).str(), "[3, 3]");
  const Cover c = cover({10, 3}, {.dim = 0}, 4);
  EXPECT_EQ(c.held, std::vector<int>(30, 1));
  EXPECT_EQ(c.padding, 6);
  // So few rows that the last ranks have none.
  EXPECT_EQ(cover({5, 1}, {.dim = 0}, 4).held, std::vector<int>(5, 1));
  EXPECT_TRUE(shard_runs({5, 1}, {.dim = 0}, {.rank = 3, .ranks = 4}).empty());
}

}  // namespace
}  // namespace weft
