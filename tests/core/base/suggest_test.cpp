// The nearest name.
#include "core/base/suggest.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(Suggest, FindsTheNearestName) {
  const std::vector<std::string> names{"hidden_size", "num_hidden_layers", "lr", "weight_decay"};
  EXPECT_EQ(nearest("hiden_size", names), "hidden_size");
  EXPECT_EQ(nearest("hidden_sizes", names), "hidden_size");
  EXPECT_EQ(nearest("weight_deacy", names), "weight_decay");  // a swap costs one
  EXPECT_EQ(nearest("Hidden_Size", names), "hidden_size");
  EXPECT_EQ(nearest("rl", names), "lr");
  EXPECT_EQ(nearest("lr", names), "lr");
}

TEST(Suggest, SaysNothingWhenNothingIsClose) {
  const std::vector<std::string> names{"hidden_size", "lr"};
  EXPECT_EQ(nearest("dropout", names), "");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest("lr", {}), "");
}

TEST(Suggest, TakesTheFirstOfEquallyNear) {
  const std::vector<std::string> names{"layer.0.weight", "layer.1.weight"};
  EXPECT_EQ(nearest("layer.7.weight", names), "layer.0.weight");
}

}  // namespace
}  // namespace weft
