// Updates that data ranks share: the weights and moments of one rank that does all of it.
#include "parallel/shared_update.hpp"

#include <chrono>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "core/optim/optimizer.hpp"
#include "core/tensor/caching_allocator.hpp"
#include "parallel/mesh.hpp"
#include "tests/parallel/parallel_helpers.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr int kUpdates = 4;

// Full shapes, and how they are cut over tensor ranks.
struct Spec {
  Shape full;
  Shard shard = {};
  bool decay = true;
};

// Of odd sizes, smaller than a part, and larger than all others together; and so few elements that
// ranks have none.
std::vector<std::vector<Spec>> models() {
  return {{{.full = {12, 7}, .shard = {.dim = 0}},
           {.full = {12}, .shard = {.dim = 0}, .decay = false},
           {.full = {200, 37}},
           {.full = {1}},
           {.full = {5, 24}, .shard = {.dim = 1}},
           {.full = {3}, .decay = false}},
          {{.full = {3}}}};
}

// The parameters of one rank, and an optimizer of them.
class Trained {
 public:
  Trained(const std::vector<Spec>& specs, DType dtype, OptimizerType type, Mesh& mesh)
      : mesh_(mesh), parameters_(specs.size()) {
    for (std::size_t i = 0; i < specs.size(); ++i) {
      Parameter& p = parameters_[i];
      p = {.var = {}, .full = specs[i].full, .shard = specs[i].shard, .decay = specs[i].decay};
      p.var = Var(to_dtype(part(i, 1000), dtype), true);
      list_.push_back({"p" + std::to_string(i), &p});
    }
    OptimizerOptions options{.type = type};
    options.sharing = SharedUpdate::connect(list_, mesh.data());
    if (mesh.tensor().size() > 1) {
      options.sum_over_tensor_ranks = [&mesh](Tensor& x) {
        mesh.tensor().all_reduce(x, ReduceOp::sum);
      };
    }
    optimizer_.emplace(list_, options);
  }

  void take_step(int update) {
    std::vector<Tensor> gradients;
    for (std::size_t i = 0; i < list_.size(); ++i) {
      gradients.push_back(part(i, 100 * static_cast<std::uint64_t>(update)));
    }
    optimizer_->step(gradients, {.lr = 0.01, .grad_scale = 0.5, .update = update});
  }

  Parameter& parameter(std::size_t i) { return parameters_[i]; }
  const Tensor& value(std::size_t i) const { return parameters_[i].var.value(); }
  Optimizer& optimizer() { return *optimizer_; }

  // Values, masters and both moments of each parameter.
  std::vector<std::vector<Tensor>> tensors() const {
    std::vector<std::vector<Tensor>> all(list_.size());
    for (std::size_t i = 0; i < list_.size(); ++i) {
      all[i] = {value(i), optimizer_->master()[i]};
      for (const auto& [name, moments] : optimizer_->state()) all[i].push_back(moments[i]);
    }
    return all;
  }

 private:
  // This rank's part of random numbers that depend on their place in the whole.
  Tensor part(std::size_t i, std::uint64_t seed) const {
    const Tensor whole = make_random(parameters_[i].full, seed + i);
    return part_of(whole, parameters_[i], mesh_.tensor());
  }

  Mesh& mesh_;
  std::vector<Parameter> parameters_;
  std::vector<NamedParameter> list_;
  std::optional<Optimizer> optimizer_;
};

class SharedUpdates : public testing::Test {
 protected:
  void SetUp() override {
    if (!on_cpu()) GTEST_SKIP() << "ranks with GPUs share no memory";
    if (ranks_ == 1) GTEST_SKIP() << "one rank shares nothing";
  }

  int ranks_ = mpi_communicator()->size();
};

TEST_F(SharedUpdates, GiveTheWeightsAndMomentsOfOneRank) {
  Mesh one = Mesh::single();
  for (int t = 1; t < ranks_; t *= 2) {
    Mesh mesh(test_world(), t);
    for (const OptimizerType type : {OptimizerType::adamw, OptimizerType::lamb}) {
      for (const DType dtype : {DType::f32, DType::bf16}) {
        for (const std::vector<Spec>& specs : models()) {
          if (t > 1 && specs.size() == 1) continue;
          Trained shared(specs, dtype, type, mesh), whole(specs, dtype, type, one);
          for (int update = 1; update <= kUpdates; ++update) {
            shared.take_step(update);
            whole.take_step(update);
          }
          const auto got = shared.tensors(), want = whole.tensors();
          for (std::size_t i = 0; i < got.size(); ++i) {
            for (std::size_t k = 0; k < got[i].size(); ++k) {
              const Tensor expected = part_of(want[i][k], shared.parameter(i), mesh.tensor());
              // LAMB's norms are added up in another order.
              const bool same = type == OptimizerType::adamw
                                    ? same_bits(got[i][k], expected)
                                    : close(got[i][k], expected, dtype == DType::f32 ? 1e-6 : 1e-2);
              EXPECT_TRUE(same) << "tensor " << k << " of parameter " << i << " of " << specs.size()
                                << ", " << name_of(dtype) << ", tensor ranks " << t;
            }
          }
        }
      }
    }
  }
}

TEST_F(SharedUpdates, HaveOneTensorForAllRanksAndForAllWhoHoldIt) {
  Mesh mesh(test_world(), 1);
  Parameter p{.var = Var(make_random({5, 7}, 1), true), .full = {5, 7}};
  const Tensor tied = p.var.value();
  const auto sharing = SharedUpdate::connect({{"p", &p}}, mesh.data());
  ASSERT_TRUE(sharing);
  EXPECT_EQ(tied.raw(), p.var.value().raw());
  EXPECT_TRUE(same_bits(tied, make_random({5, 7}, 1)));
  sharing->meet();
  if (mesh.data().rank() == ranks_ - 1) tied.data<float>()[34] = 42;
  sharing->meet();
  EXPECT_EQ(tied.data<float>()[34], 42);
}

TEST_F(SharedUpdates, BeginWhenTheLastRankHasReadTheWeights) {
  Mesh mesh(test_world(), 1);
  Trained model(models()[0], DType::f32, OptimizerType::adamw, mesh);
  const Tensor before = to_host(to_dtype(model.value(2), DType::bf16));
  if (mesh.data().rank() == 0) std::this_thread::sleep_for(100ms);  // while the others go ahead
  const Tensor still = to_dtype(model.value(2), DType::bf16);
  if (mesh.data().rank() == 0) {
    EXPECT_TRUE(same_bits(still, before));
  }
  model.take_step(1);
  EXPECT_FALSE(same_bits(to_dtype(model.value(2), DType::bf16), before));
}

TEST_F(SharedUpdates, RoundWhatOneRankHasLoaded) {
  Mesh mesh(test_world(), 1);
  Trained model(models()[0], DType::bf16, OptimizerType::adamw, mesh);
  const Tensor loaded = make_random({200, 37}, 77);
  const std::uint64_t version = model.value(2).storage().version();
  model.optimizer().load([&] {
    if (mesh.data().rank() == ranks_ - 1) overwrite(model.optimizer().master()[2], loaded);
  });
  EXPECT_TRUE(same_bits(model.value(2), to_dtype(loaded, DType::bf16)));
  EXPECT_GT(model.value(2).storage().version(), version);
}

TEST_F(SharedUpdates, CountEachByteOnOneRank) {
  const auto counted = [](MemoryUse use) {
    return caching_allocator({}).bytes_by_use()[static_cast<std::size_t>(use)];
  };
  constexpr std::int64_t kElements = 4096;  // parts of which are size classes of the allocator
  const std::size_t weights = counted(MemoryUse::weights), state = counted(MemoryUse::optimizer);
  {
    Mesh mesh(test_world(), 1);
    const Trained model({{.full = {kElements}}}, DType::f32, OptimizerType::adamw, mesh);
    const std::size_t part = kElements * sizeof(float) / static_cast<std::size_t>(ranks_);
    EXPECT_EQ(counted(MemoryUse::weights), weights + part);
    EXPECT_EQ(counted(MemoryUse::optimizer), state + 2 * part);
  }
  EXPECT_EQ(counted(MemoryUse::weights), weights);
  EXPECT_EQ(counted(MemoryUse::optimizer), state);
}

TEST_F(SharedUpdates, LeaveParametersWhereTheyAreWhenNoMemoryCanBeShared) {
  Mesh mesh(mpi_communicator({.share_memory = false}), 1);
  Parameter p{.var = Var(make_random({5}, 1), true), .full = {5}};
  const void* const where = p.var.value().raw();
  EXPECT_FALSE(SharedUpdate::connect({{"p", &p}}, mesh.data()));
  EXPECT_EQ(p.var.value().raw(), where);
}

}  // namespace
}  // namespace weft
