// Initial values: distributions, and independence of the layout.
#include "core/nn/init.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

std::vector<float> values(const Shape& full, const Shard& shard, const Init& init,
                          const TensorRank& at = {}, const std::string& name = "w",
                          std::uint64_t seed = 7, DType dtype = DType::f32) {
  Parameter p{.var = Var(make_empty(shard_shape(full, shard, at.ranks), dtype), true),
              .full = full,
              .shard = shard,
              .init = init};
  initialize({name, &p}, seed, at);
  return to_vector(p.var.value());
}

constexpr Init kNormal{.kind = Init::Kind::normal, .std = 0.02F};

TEST(Init, NormalHasItsMoments) {
  const std::vector<float> x = values({400, 500}, {}, kNormal);
  double mean = 0;
  double square = 0;
  double beyond = 0;
  for (const float v : x) {
    mean += v;
    square += double{v} * v;
    beyond += std::fabs(v) > 0.04F;
  }
  const auto n = static_cast<double>(x.size());
  EXPECT_NEAR(mean / n, 0, 5 * 0.02 / std::sqrt(n));
  EXPECT_NEAR(std::sqrt(square / n), 0.02, 5 * 0.02 / std::sqrt(2 * n));
  EXPECT_NEAR(beyond / n, 0.0455, 0.0025);  // P(|z| > 2)
}

TEST(Init, TruncatedNormalStaysWithinTwoDeviations) {
  const std::vector<float> x =
      values({300, 100}, {}, {.kind = Init::Kind::truncated_normal, .std = 1.0F});
  double square = 0;
  for (const float v : x) {
    EXPECT_LE(std::fabs(v), 2.0F);
    square += double{v} * v;
  }
  EXPECT_NEAR(square / static_cast<double>(x.size()), 0.7737, 0.02);  // its variance
}

TEST(Init, ValuesDependOnSeedAndNameAlone) {
  const auto base = values({8, 8}, {}, kNormal);
  EXPECT_EQ(base, values({8, 8}, {}, kNormal));
  EXPECT_NE(base, values({8, 8}, {}, kNormal, {}, "other"));
  EXPECT_NE(base, values({8, 8}, {}, kNormal, {}, "w", 8));
}

TEST(Init, EveryLayoutHoldsThePartsOfOneTensor) {
  const Init init{.kind = Init::Kind::normal, .std = 1.0F, .zero_row = 3};
  for (const Shard& shard : {Shard{.dim = 0}, Shard{.dim = 0, .segments = 3}, Shard{.dim = 1}}) {
    const Shape full{12, 8};
    const auto whole = values(full, {}, init);
    for (const int ranks : {2, 4}) {
      for (int r = 0; r < ranks; ++r) {
        const TensorRank at{.rank = r, .ranks = ranks};
        const auto part = values(full, shard, init, at);
        for (const ShardRun& run : shard_runs(full, shard, at)) {
          for (std::int64_t i = 0; i < run.count; ++i) {
            EXPECT_EQ(part[static_cast<std::size_t>(run.local + i)],
                      whole[static_cast<std::size_t>(run.full + i)]);
          }
        }
      }
    }
  }
}

TEST(Init, ZeroRowAndPaddingAreZero) {
  const Init init{.kind = Init::Kind::normal, .std = 1.0F, .zero_row = 4};
  const auto last =
      values({5, 3}, {.dim = 0}, init, {.rank = 1, .ranks = 2});  // rows 3, 4 and a padded one
  EXPECT_NE(last[0], 0.0F);
  for (std::size_t i = 3; i < 9; ++i) EXPECT_EQ(last[i], 0.0F);
}

TEST(Init, LowPrecisionIsTheRoundedValue) {
  const auto full = values({6, 6}, {}, kNormal);
  const auto rounded = values({6, 6}, {}, kNormal, {}, "w", 7, DType::bf16);
  for (std::size_t i = 0; i < full.size(); ++i) {
    EXPECT_EQ(rounded[i], static_cast<float>(bfloat16(full[i])));
  }
}

}  // namespace
}  // namespace weft
