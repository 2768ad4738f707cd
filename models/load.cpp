// Reading a model from a Hugging Face directory.
#include "models/load.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "models/hf_state.hpp"
#include "models/registry.hpp"
#include "parallel/pretrained.hpp"

namespace weft {

namespace {

Json model_config(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "config.json";
  if (!std::filesystem::exists(file)) {
    throw InputError(directory.string() + ": not a model directory: it has no config.json",
                     "give a Hugging Face model directory, a checkpoint, or a run directory");
  }
  Json config = read_json(file);
  if (!config.is_object())
    throw InputError(file.string() + ": is not a JSON object", "see config.json of any model");
  if (!config.contains("architectures")) config["architectures"] = Json::array({"bare model"});
  return config;
}

}  // namespace

ModelDirectory load_model(const std::filesystem::path& directory, const TensorOptions& options) {
  const Json config = model_config(directory);
  ModelDirectory loaded{.mesh = std::make_unique<Mesh>(Mesh::single(options.device))};
  loaded.model = build_model(config, *loaded.mesh, options.dtype);
  const Json complete = Json::parse(loaded.model->hf_config());
  loaded.vocab_size = complete["vocab_size"].get<std::int64_t>();
  loaded.type_vocab_size = complete["type_vocab_size"].get<std::int64_t>();
  loaded.max_length = complete["max_position_embeddings"].get<std::int64_t>();
  load_pretrained(directory, hf_state(*loaded.model), loaded.model->pretrained_names(), false,
                  *loaded.mesh);
  return loaded;
}

}  // namespace weft
