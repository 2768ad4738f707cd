// Translation of parameter names.
#include "models/hf_names.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace weft {
namespace {

const std::vector<HfRule> kRules{{"layers.#.qkv", {"h.#.q", "h.#.k", "h.#.v"}},
                                 {"norm", {"LayerNorm"}}};

std::vector<HfTensor> names_of(const std::string& name, const Shape& full) {
  Parameter p{.var = Var(Tensor(full, DType::f32), true), .full = full};
  return translate(kRules, {name, &p});
}

TEST(HfNames, KeepsNumberAndRest) {
  const auto t = names_of("norm.weight", {5});
  ASSERT_EQ(t.size(), 1U);
  EXPECT_EQ(t[0].name, "LayerNorm.weight");
  EXPECT_EQ(t[0].first, 0);
  EXPECT_EQ(t[0].count, 5);
}

TEST(HfNames, CutsAFusedParameterInEqualParts) {
  const auto t = names_of("layers.12.qkv.weight", {6, 4});
  ASSERT_EQ(t.size(), 3U);
  EXPECT_EQ(t[1].name, "h.12.k.weight");
  EXPECT_EQ(t[1].first, 2);
  EXPECT_EQ(t[2].first, 4);
  EXPECT_EQ(t[2].shape.str(), "[2, 4]");
}

TEST(HfNames, MatchesWholeWordsOnly) {
  EXPECT_THROW(names_of("normal.weight", {5}), Error);
  EXPECT_THROW(names_of("layers.x.qkv.weight", {6}), Error);
}

}  // namespace
}  // namespace weft
