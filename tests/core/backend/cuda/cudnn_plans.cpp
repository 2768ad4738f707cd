// Whether cuDNN has kernels for every attention that our configurations need, on GPUs that need not
// be here: cudnn_plans_test DEVICE, for tests/core/backend/cuda/devices/DEVICE.json.
//
// cuDNN plans, chooses engines and compiles for a device that is described to it. It checks that a
// graph is one of those it knows how to run; what the graph computes is the affair of
// attention_graph_test.cpp. Descriptions are an undocumented part of cuDNN: when it refuses the
// description itself, there is nothing to be learnt here: the tests are skipped, and the status is
// 77.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include <gtest/gtest.h>

#include "core/backend/cuda/attention_graph.hpp"
#include "core/backend/cuda/cudnn_graph.hpp"

namespace weft {
namespace {

std::string device_name = "h100";

struct Configuration {
  std::string name;
  std::int64_t B, heads, T, d;
  // What follows is the exception.
  float dropout_p = 0;
  bool causal = false, padded = false, deterministic = false;
  DType dtype = DType::bf16;
  std::int64_t kv_heads = 0, kv_T = 0;  // when others than heads and T: keys apart from queries

  AttentionSignature signature() const {
    const bool fused = kv_heads == 0 && kv_T == 0;
    const std::int64_t key_heads = kv_heads == 0 ? heads : kv_heads;
    return {.dtype = dtype,
            .B = B,
            .heads = heads,
            .kv_heads = key_heads,
            .T = T,
            .kv_T = kv_T == 0 ? T : kv_T,
            .d = d,
            .q_stride = (fused ? 3 : 1) * heads * d,
            .kv_stride = (fused ? 3 : 2) * key_heads * d,
            .out_stride = heads * d,
            .causal = causal,
            .padded = padded,
            .deterministic = deterministic,
            .dropout_p = dropout_p,
            .scale = 0.125F};
  }
};

// The first word is the file in configs/, if it is one of ours.
const std::vector<Configuration> kConfigurations = {
    {"bert-base, T 128", 32, 12, 128, 64, 0.1F, false, true},
    {"bert-base, T 512", 16, 12, 512, 64, 0.1F, false, true},
    {"bert-base, nothing padded, no dropout", 32, 12, 128, 64},
    {"bert-base, evaluation", 32, 12, 128, 64, 0, false, true},
    {"bert-base, f16", 32, 12, 128, 64, 0.1F, false, true, false, DType::f16},
    {"bert-base, deterministic", 32, 12, 128, 64, 0.1F, false, true, true},
    {"bert-large-lamb-phase1", 32, 16, 128, 64, 0.1F, false, true},
    {"bert-large-lamb-phase2", 8, 16, 512, 64, 0.1F, false, true},
    {"bert-large-lamb-phase2, half of the heads", 8, 8, 512, 64, 0.1F, false, true},
    {"bert-mini-cpu", 80, 4, 24, 64, 0, false, true},
    {"bert-tiny-cpu in bf16", 32, 2, 128, 64, 0.1F, false, true},
    {"quickstart", 32, 4, 32, 32, 0, false, true},
    {"GPT-2 124M", 8, 12, 1024, 64, 0, true},
    {"GPT-2 124M, dropout", 8, 12, 1024, 64, 0.1F, true},
    {"GPT-2 124M, f16", 8, 12, 1024, 64, 0, true, false, false, DType::f16},
    {"GPT-2 124M, deterministic", 8, 12, 1024, 64, 0.1F, true, false, true},
    {"grouped queries", 4, 12, 512, 64, 0, true, false, false, DType::bf16, 4},
    {"cross attention", 8, 8, 96, 64, 0.1F, false, true, false, DType::bf16, 0, 256},
    {"cross, grouped, deterministic", 8, 8, 96, 64, 0.1F, false, true, true, DType::bf16, 2, 256},
};

class CudnnPlans : public testing::Test {
 protected:
  void SetUp() override {
    const std::ifstream file(std::string(WEFT_TEST_DIR) + "/core/backend/cuda/devices/" +
                             device_name + ".json");
    ASSERT_TRUE(file) << "no description of " << device_name;
    std::stringstream description;
    description << file.rdbuf();
    try {
      engine_.emplace(description.str());
    } catch (const Error& error) {
      GTEST_SKIP() << "cuDNN does not take the description of " << device_name << ": "
                   << error.what();
    }
  }

  using Build = void (*)(graph::Graph&, const AttentionSignature&);

  // Throws GraphRefused, or Error where not even the graph is valid.
  std::unique_ptr<GraphPlan> plan(Build build, const AttentionSignature& signature) const {
    graph::Graph graph;
    build(graph, signature);
    return engine_->plan(graph);
  }

  void print_plan(const Configuration& c, const char* direction, Build build) const {
    const auto start = std::chrono::steady_clock::now();
    try {
      const std::unique_ptr<GraphPlan> made = plan(build, c.signature());
      const std::chrono::duration<double, std::milli> time =
          std::chrono::steady_clock::now() - start;
      std::printf("%s  %-44s %-8s  engine %lld  workspace %7.1f MB  %5.0f ms\n",
                  device_name.c_str(), c.name.c_str(), direction,
                  static_cast<long long>(made->engine()),
                  static_cast<double>(made->workspace_bytes()) / 1e6, time.count());
    } catch (const Error& error) {
      ADD_FAILURE() << c.name << ", " << direction << ": " << error.what();
    }
    std::fflush(stdout);
  }

  bool refused(Build build, const Configuration& c) const {
    try {
      plan(build, c.signature());
      return false;
    } catch (const GraphRefused& refusal) {
      std::printf("%s  %s: refused, %s\n", device_name.c_str(), c.name.c_str(), refusal.what());
      return true;
    }
  }

  std::optional<GraphEngine> engine_;
};

TEST_F(CudnnPlans, ServeEveryConfiguration) {
  for (const Configuration& c : kConfigurations) {
    print_plan(c, "forward", attention_forward_graph);
    print_plan(c, "backward", attention_backward_graph);
  }
}

TEST_F(CudnnPlans, AreAskedForEveryConfigurationFile) {
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(WEFT_TEST_DIR) + "/../configs")) {
    const std::string name = entry.path().stem().string();
    const bool there =
        std::any_of(kConfigurations.begin(), kConfigurations.end(),
                    [&](const Configuration& c) { return c.name.starts_with(name); });
    EXPECT_TRUE(there) << "configs/" << name << ".yaml: add its attention to kConfigurations";
  }
}

TEST_F(CudnnPlans, AreRefusedForOtherHeadSizes) {
  EXPECT_TRUE(refused(attention_forward_graph, {"forward, heads of 60", 2, 4, 256, 60}));
  EXPECT_TRUE(refused(attention_backward_graph, {"backward, heads of 60", 2, 4, 256, 60}));
  // The description matters: only the H100 has a backward for this size.
  EXPECT_EQ(refused(attention_backward_graph, {"backward, heads of 256", 2, 4, 256, 256}),
            device_name == "a100");
}

TEST_F(CudnnPlans, AreRefusedForWrongShapes) {
  Configuration heads{"three key heads for four", 2, 4, 256, 64};
  heads.kv_heads = 3;
  EXPECT_THROW(plan(attention_forward_graph, heads.signature()), GraphRefused);

  graph::Graph product;
  const auto panel = [&](std::int64_t id, std::int64_t rows) {
    return product.memory(id, graph::Type::bf16, graph::contiguous({2, 4, rows, 64}));
  };
  product.output(3, matmul(panel(1, 64), panel(2, 32)), graph::Type::bf16,
                 graph::contiguous({2, 4, 64, 64}));
  try {
    engine_->plan(product);
    ADD_FAILURE() << "a product of [64, 64] and [32, 64] has a plan";
  } catch (const GraphRefused& error) {
    EXPECT_NE(std::string(error.what()).find("matmul [2, 4, 64, 64] [2, 4, 32, 64]"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc > 1) weft::device_name = argv[1];
  const int status = RUN_ALL_TESTS();
  return status == 0 && testing::UnitTest::GetInstance()->skipped_test_count() > 0 ? 77 : status;
}
