// Loading published models: the names they may use, and what is refused.
#include "parallel/pretrained.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/io/safetensors_writer.hpp"
#include "tests/core/tensor_helpers.hpp"
#include "tests/parallel/toy_state.hpp"

namespace weft {
namespace {

using namespace testing_support;

const PretrainedNames kNames{.base_prefix = "bert.",
                             .ignored = {"bert.position_ids"},
                             .tied = {{"decoder.weight", "bert.words.weight"}}};

using Stored = std::vector<std::pair<std::string, Tensor>>;

Tensor words() { return to_tensor({1, 2, 3, 4, 5, 6}, {3, 2}); }

class Pretrained : public testing::Test {
 protected:
  Pretrained() {
    for (const Shape& shape : {Shape{3, 2}, Shape{2}, Shape{2}}) {
      locals_.push_back(
          to_tensor(std::vector<float>(static_cast<std::size_t>(shape.numel()), -1), shape));
    }
    const char* names[] = {"bert.words.weight", "bert.norm.weight", "bert.norm.bias"};
    for (std::size_t i = 0; i < 3; ++i) {
      const Shape& shape = locals_[i].shape();
      model_.push_back(
          {.name = names[i], .shape = shape, .local = locals_[i], .full = shape, .shard = {}});
    }
  }
  LoadedModel load(const Stored& stored, bool allow_missing = false) {
    write_safetensors(dir_ / "model.safetensors", stored);
    return load_pretrained(dir_.path(), model_, kNames, allow_missing, mesh_);
  }
  std::string refusal(const Stored& stored) {
    const std::string message = error_of([&] { load(stored); });
    const std::string prefix = dir_.path().string();
    return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
  }
  void expect_loaded() {
    EXPECT_EQ(to_vector(locals_[0]), to_vector(words()));
    EXPECT_EQ(to_vector(locals_[1]), (std::vector<float>{7, 8}));
    EXPECT_EQ(to_vector(locals_[2]), (std::vector<float>{9, 10}));
  }
  Stored with(const std::string& a, const std::string& b, const std::string& c) {
    return {{a, words()}, {b, to_tensor({7, 8}, {2})}, {c, to_tensor({9, 10}, {2})}};
  }

  Mesh mesh_ = Mesh::single();
  ScratchDir dir_;
  std::vector<Tensor> locals_;
  std::vector<StateTensor> model_;
};

TEST_F(Pretrained, TakesNamesWithAndWithoutThePrefix) {
  const LoadedModel loaded = load(with("bert.words.weight", "norm.weight", "bert.norm.bias"));
  EXPECT_TRUE(loaded.missing.empty());
  EXPECT_TRUE(loaded.unexpected.empty());
  expect_loaded();
}

TEST_F(Pretrained, TakesGammaAndBeta) {
  EXPECT_TRUE(load(with("words.weight", "bert.norm.gamma", "norm.beta")).unexpected.empty());
  expect_loaded();
}

TEST_F(Pretrained, ConvertsDtypes) {
  load({{"words.weight", to_tensor({1, 2, 3, 4, 5, 6}, {3, 2}, DType::bf16)},
        {"norm.weight", to_tensor({7, 8}, {2}, DType::f16)},
        {"norm.bias", to_tensor({9, 10}, {2})}});
  expect_loaded();
}

TEST_F(Pretrained, IgnoresBuffersAndReportsStrangers) {
  Stored stored = with("words.weight", "norm.weight", "norm.bias");
  stored.emplace_back("position_ids", to_tensor({0, 1}, {1, 2}, DType::i32));
  stored.emplace_back("cls.bias", to_tensor({1}, {1}));
  EXPECT_EQ(load(stored).unexpected, std::vector<std::string>{"cls.bias"});
  expect_loaded();
}

TEST_F(Pretrained, TiedTensorsUnderEitherNameOrBoth) {
  EXPECT_TRUE(load(with("decoder.weight", "norm.weight", "norm.bias")).unexpected.empty());
  expect_loaded();
  Stored both = with("words.weight", "norm.weight", "norm.bias");
  both.emplace_back("decoder.weight", words());
  EXPECT_TRUE(load(both).unexpected.empty());
  expect_loaded();
  both.back().second = to_tensor({1, 2, 3, 4, 5, 7}, {3, 2});
  EXPECT_EQ(refusal(both),
            "/model.safetensors: words.weight and decoder.weight differ; this model has them tied");
}

TEST_F(Pretrained, NamesWhatIsMissing) {
  const Stored stored = with("words.weight", "nrom.weight", "norm.bias");
  EXPECT_EQ(refusal(stored), ": no tensor bert.norm.weight");
  const LoadedModel loaded = load({{"norm.bias", to_tensor({9, 10}, {2})}}, true);
  EXPECT_EQ(loaded.missing, (std::vector<std::string>{"bert.words.weight", "bert.norm.weight"}));
  EXPECT_EQ(to_vector(locals_[1]), (std::vector<float>{-1, -1}));  // as it was
  EXPECT_EQ(to_vector(locals_[2]), (std::vector<float>{9, 10}));
  EXPECT_EQ(refusal({}), ": no tensor bert.words.weight, bert.norm.weight, bert.norm.bias");
  try {
    Stored close = with("words.weight", "bert.nrom.weight", "norm.bias");
    load(close);
  } catch (const InputError& e) {
    EXPECT_EQ(e.hint(), "the nearest name there is bert.nrom.weight");
  }
}

TEST_F(Pretrained, NamesBothShapesThatDiffer) {
  Stored stored = with("words.weight", "norm.weight", "norm.bias");
  stored[0].second = to_tensor({1, 2, 3, 4}, {2, 2});
  EXPECT_EQ(refusal(stored),
            "/model.safetensors: words.weight is [2, 2], the configuration wants [3, 2]");
  stored[0].second = to_tensor({1, 2, 3, 4, 5, 6}, {2, 3});
  EXPECT_EQ(refusal(stored),
            "/model.safetensors: words.weight is [2, 3], the configuration wants [3, 2]");
}

TEST_F(Pretrained, RefusesOneTensorUnderTwoNames) {
  Stored stored = with("words.weight", "norm.weight", "norm.bias");
  stored.emplace_back("bert.norm.gamma", to_tensor({7, 8}, {2}));
  EXPECT_TRUE(refusal(stored).ends_with("are the same tensor of the model")) << refusal(stored);
}

TEST_F(Pretrained, RefusesIntegers) {
  Stored stored = with("words.weight", "norm.weight", "norm.bias");
  stored[1].second = to_tensor({7, 8}, {2}, DType::i32);
  EXPECT_EQ(refusal(stored), "/model.safetensors: tensor \"norm.weight\" is I32");
}

// Each tensor rank takes its slices of a whole file.
TEST(PretrainedSlices, OnEveryTensorSize) {
  const int ranks = mpi_communicator()->size();
  for (int t = 1; t <= ranks; t *= 2) {
    Mesh mesh(mpi_communicator(), t);
    const SharedScratch scratch(mesh.world());
    if (mesh.world().rank() == 0) {
      const std::vector<Tensor> whole = toy_locals(12, {});
      Stored stored;
      Mesh alone = Mesh::single();
      for (const StateTensor& s : toy_state(whole)) {
        stored.emplace_back(s.name, gather_state(s, 0, alone.tensor()));
      }
      write_safetensors(scratch / "model.safetensors", stored);
    }
    mesh.world().barrier();
    const std::vector<Tensor> got = toy_locals(std::nullopt, tensor_rank(mesh));
    load_pretrained(scratch.path(), toy_state(got), {}, false, mesh);
    EXPECT_TRUE(same_bits(got, toy_locals(12, tensor_rank(mesh)))) << "tensor " << t;
  }
}

}  // namespace
}  // namespace weft
