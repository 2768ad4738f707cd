// A small set of stored tensors cut in every way a model cuts them, with known values.
#pragma once

#include <bit>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/philox.hpp"
#include "parallel/checkpoint.hpp"
#include "tests/scratch_dir.hpp"

namespace weft::testing_support {

struct ToyParameter {
  std::string name;
  Shape full;
  Shard shard;
  int parts = 1;  // stored as this many tensors, cut along dim 0
};

inline const std::vector<ToyParameter>& toy_parameters() {
  static const std::vector<ToyParameter> list{
      {"words.weight", {11, 6}, {.dim = 0}},  // padded on two and on four ranks
      {"qkv.weight", {24, 8}, {.dim = 0, .segments = 3}, 3},
      {"qkv.bias", {24}, {.dim = 0, .segments = 3}, 3},
      {"out.weight", {8, 16}, {.dim = 1}},
      {"norm.weight", {8}, {}},
      {"vocab.bias", {11}, {.dim = 0}}};
  return list;
}

// Any bits at all, NaN patterns included: what comes back must be the same ones.
inline float toy_value(std::uint32_t seed, std::size_t parameter, std::int64_t element) {
  const PhiloxKey key{.seed = seed, .step = 0, .place = static_cast<std::uint32_t>(parameter)};
  return std::bit_cast<float>(philox_u32(key, static_cast<std::uint64_t>(element)));
}

// The parameters' local parts on one tensor rank, padding zero; without a seed all bits are set.
inline std::vector<Tensor> toy_locals(std::optional<std::uint32_t> seed, const TensorRank& at) {
  std::vector<Tensor> locals;
  for (std::size_t p = 0; p < toy_parameters().size(); ++p) {
    const ToyParameter& toy = toy_parameters()[p];
    Tensor local(shard_shape(toy.full, toy.shard, at.ranks), DType::f32);
    std::memset(local.raw(), seed ? 0 : 0xFF, local.bytes());
    if (seed) {
      for (const ShardRun& run : shard_runs(toy.full, toy.shard, at)) {
        for (std::int64_t i = 0; i < run.count; ++i) {
          local.data<float>()[run.local + i] = toy_value(*seed, p, run.full + i);
        }
      }
    }
    locals.push_back(local);
  }
  return locals;
}

inline std::vector<StateTensor> toy_state(const std::vector<Tensor>& locals,
                                          const std::string& prefix = "") {
  std::vector<StateTensor> state;
  for (std::size_t p = 0; p < locals.size(); ++p) {
    const ToyParameter& toy = toy_parameters()[p];
    std::vector<std::int64_t> dims(toy.full.dims().begin(), toy.full.dims().end());
    dims[0] /= toy.parts;
    for (int i = 0; i < toy.parts; ++i) {
      const std::string part = toy.parts == 1 ? "" : std::to_string(i) + ".";
      state.push_back({.name = prefix + part + toy.name,
                       .shape = Shape(dims),
                       .local = locals[p],
                       .full = toy.full,
                       .shard = toy.shard,
                       .first = i * dims[0]});
    }
  }
  return state;
}

// Everything a toy run saves at a step; the values depend on the step alone.
struct ToyRun {
  std::vector<Tensor> model, moments;

  ToyRun(std::optional<std::uint32_t> step, const TensorRank& at)
      : model(toy_locals(step, at)),
        moments(toy_locals(step ? std::optional(*step + 1000000) : std::nullopt, at)) {}

  CheckpointContent content(std::int64_t step) const {
    return {.step = step,
            .model = toy_state(model),
            .optimizer = toy_state(moments, "exp_avg."),
            .files = {{"config.json", "{\"model_type\": \"toy\"}\n"},
                      {"trainer_state.json", "{\"step\": " + std::to_string(step) + "}\n"}}};
  }
};

inline bool same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].bytes() != b[i].bytes()) return false;
    if (std::memcmp(a[i].raw(), b[i].raw(), a[i].bytes()) != 0) return false;
  }
  return a.size() == b.size();
}

inline TensorRank tensor_rank(const Mesh& mesh) {
  return {mesh.tensor().rank(), mesh.tensor().size()};
}

inline std::filesystem::path save_toy(const std::filesystem::path& folder, std::uint32_t step,
                                      Mesh& mesh, const SaveOptions& options = {}) {
  return save_checkpoint(folder, ToyRun(step, tensor_rank(mesh)).content(step), mesh, options).path;
}

// Loads and compares every bit, padding included, with what save_toy() stored for that step.
inline bool loads_toy(const std::filesystem::path& checkpoint, std::uint32_t step, Mesh& mesh) {
  ToyRun got(std::nullopt, tensor_rank(mesh));
  const ToyRun want(step, tensor_rank(mesh));
  const CheckpointContent into = got.content(step);
  load_checkpoint(checkpoint, into.model, into.optimizer, mesh);
  return same_bits(got.model, want.model) && same_bits(got.moments, want.moments);
}

// One scratch directory that all ranks of the world see.
class SharedScratch {
 public:
  explicit SharedScratch(Communicator& world) : world_(&world) {
    if (world.rank() == 0) own_.emplace(memory_folder());
    path_ = world.broadcast(own_ ? own_->path().string() : std::string(), 0);
  }
  ~SharedScratch() { world_->barrier(); }
  SharedScratch(const SharedScratch&) = delete;
  SharedScratch& operator=(const SharedScratch&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  Communicator* world_;
  std::optional<ScratchDir> own_;
  std::filesystem::path path_;
};

}  // namespace weft::testing_support
