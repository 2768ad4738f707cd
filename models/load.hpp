// Reading a model from a Hugging Face directory, to run it on one rank.
#pragma once

#include <filesystem>
#include <memory>

#include "models/task.hpp"
#include "parallel/mesh.hpp"

namespace weft {

struct ModelDirectory {
  std::unique_ptr<Mesh> mesh;  // of one rank; outlives the model
  std::unique_ptr<PretrainingModel> model;
  std::int64_t vocab_size = 0;
  std::int64_t type_vocab_size = 0;
  std::int64_t max_length = 0;  // tokens of a text, special ones included
};

// config.json decides the model, its `architectures` the heads; a config without them describes the
// bare model. Throws InputError naming file and key, or Error naming the tensor that is missing or
// has another shape.
ModelDirectory load_model(const std::filesystem::path& directory, const TensorOptions& options);

}  // namespace weft
