// Looking at a checkpoint: bytes, shapes, and where training can go on.
#include "launch/checkpoint_report.hpp"

#include <set>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/io/sharded.hpp"
#include "launch/training/run_state.hpp"
#include "models/hf_state.hpp"
#include "models/registry.hpp"
#include "parallel/checkpoint_folder.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

// Every tensor that the model has must be there in its shape, and no other.
void check_tensors(const fs::path& checkpoint, std::string_view stem,
                   const std::vector<StateTensor>& wanted) {
  const ShardedFiles files(checkpoint, stem);
  std::set<std::string_view> names;
  for (const StateTensor& t : wanted) {
    names.insert(t.name);
    const auto entry = files.find(t.name);
    if (!entry) {
      throw Error(fmt::format("{}/{}*.safetensors: no tensor {}, which config.json asks for",
                              checkpoint.string(), stem, t.name));
    }
    check_shape(t, *entry);
  }
  for (const auto& e : files.entries()) {
    if (!names.contains(e.tensor->name)) {
      throw Error(fmt::format("{}: {} is no tensor of the model in config.json",
                              e.file->path().string(), e.tensor->name));
    }
  }
}

// Moments are called PREFIX.NAME after the tensors they belong to.
std::set<std::string> moment_prefixes(const fs::path& checkpoint,
                                      const std::vector<StateTensor>& model) {
  const ShardedFiles files(checkpoint, "optimizer");
  std::set<std::string> prefixes;
  for (const auto& e : files.entries()) {
    const std::string& name = e.tensor->name;
    if (name.ends_with(model.front().name)) {
      prefixes.insert(name.substr(0, name.size() - model.front().name.size()));
    }
  }
  return prefixes;
}

void check_model_tensors(const fs::path& checkpoint, const Json& config, CheckpointReport& report) {
  Mesh alone = Mesh::single();
  const auto model = build_model(config, alone, DType::f32);  // its memory is never touched
  const std::vector<StateTensor> weights = hf_state(*model);
  check_tensors(checkpoint, "model", weights);
  report.model_type = config.at("model_type").get<std::string>();
  report.tensors = static_cast<std::int64_t>(weights.size());
  for (const StateTensor& t : weights) report.parameters += t.shape.numel();

  if (!fs::exists(checkpoint / "trainer_state.json")) {
    report.why_not = "it has no trainer_state.json";
    return;
  }
  std::vector<StateTensor> moments;
  for (const std::string& prefix : moment_prefixes(checkpoint, weights)) {
    for (const StateTensor& t : weights) {
      moments.push_back(t);
      moments.back().name = prefix + t.name;
    }
  }
  check_tensors(checkpoint, "optimizer", moments);
  const fs::path file = checkpoint / "trainer_state.json";
  report.samples = run_state_from(read_json(file), file.string()).samples;
  report.resumable = true;
}

std::vector<int> dividing_tensor_sizes(const Json& config) {
  constexpr int kMaxTensorSize = 64;
  std::vector<int> sizes;
  for (int t = 1; t <= kMaxTensorSize; ++t) {
    try {
      check_model(config, t);
      sizes.push_back(t);
    } catch (const InputError&) {  // does not divide
    }
  }
  return sizes;
}

}  // namespace

CheckpointReport inspect_checkpoint(const fs::path& checkpoint) {
  const Manifest manifest = verify_checkpoint(checkpoint);
  CheckpointReport report;
  report.step = manifest.step;
  report.files = static_cast<std::int64_t>(manifest.files.size());
  for (const WrittenFile& f : manifest.files) report.bytes += f.size;
  try {
    const Json config = read_json(checkpoint / "config.json");
    check_model_tensors(checkpoint, config, report);
    report.tensor_sizes = dividing_tensor_sizes(config);
  } catch (const InputError& e) {
    throw Error(e.what(), e.hint());  // Weft's own files: damage, no wrong input
  }
  return report;
}

}  // namespace weft
