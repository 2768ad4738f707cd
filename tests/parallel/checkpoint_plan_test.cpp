// Which file holds what, and who writes it.
#include "parallel/checkpoint_plan.hpp"

#include <set>

#include <gtest/gtest.h>

namespace weft {
namespace {

StateTensor tensor(const std::string& name, std::int64_t numel) {
  return {.name = name, .shape = {numel}, .local = {}, .full = {numel}, .shard = {}};
}

CheckpointContent content(int tensors, std::int64_t numel) {
  CheckpointContent c;
  for (int i = 0; i < tensors; ++i) {
    c.model.push_back(tensor("w" + std::to_string(i), numel));
    c.optimizer.push_back(tensor("exp_avg.w" + std::to_string(i), numel));
    c.optimizer.push_back(tensor("exp_avg_sq.w" + std::to_string(i), numel));
  }
  return c;
}

TEST(CheckpointPlan, SmallModelsTakeOneFileEach) {
  const CheckpointPlan plan = plan_checkpoint(content(10, 100), {}, 4);
  ASSERT_EQ(plan.files.size(), 2U);
  EXPECT_EQ(plan.files[0].name, "model.safetensors");
  EXPECT_EQ(plan.files[1].name, "optimizer.safetensors");
  EXPECT_TRUE(plan.indices.empty());
  EXPECT_EQ(plan.files[1].writer, 0);  // the larger is given out first
  EXPECT_EQ(plan.files[0].writer, 1);
}

TEST(CheckpointPlan, RanksShareTheBytes) {
  const SaveOptions options{.keep = 0, .max_shard_bytes = 1000, .min_shard_bytes = 400};
  const CheckpointContent c = content(40, 25);  // 100 bytes each, 12000 in all
  const CheckpointPlan plan = plan_checkpoint(c, options, 4);
  std::vector<std::int64_t> load(4, 0);
  std::set<std::string> names;
  for (const PlannedFile& f : plan.files) {
    EXPECT_LE(f.bytes, 1000);
    load[static_cast<std::size_t>(f.writer)] += f.bytes;
    for (const StateTensor* t : f.tensors) EXPECT_TRUE(names.insert(t->name).second);
  }
  EXPECT_EQ(names.size(), 120U);
  for (const std::int64_t bytes : load) EXPECT_EQ(bytes, 3000);
  ASSERT_EQ(plan.indices.size(), 2U);
  EXPECT_EQ(plan.indices[0].name, "model.safetensors.index.json");
  EXPECT_EQ(plan.files[0].name, "model-00001-of-00004.safetensors");
}

TEST(CheckpointPlan, OptimizerFilesFollowTheRanks) {
  const SaveOptions options{.keep = 0, .max_shard_bytes = 1 << 20, .min_shard_bytes = 1000};
  const CheckpointContent c = content(40, 25);  // 8000 bytes of optimizer state
  const auto optimizer_files = [&](int ranks) {
    const CheckpointPlan plan = plan_checkpoint(c, options, ranks);
    return std::count_if(plan.files.begin(), plan.files.end(),
                         [](const PlannedFile& f) { return f.name.starts_with("optimizer"); });
  };
  EXPECT_EQ(optimizer_files(1), 1);
  EXPECT_EQ(optimizer_files(4), 4);
  EXPECT_EQ(optimizer_files(64), 8);  // none below 1000 bytes
}

}  // namespace
}  // namespace weft
