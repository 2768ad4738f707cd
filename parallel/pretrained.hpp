// Loading a model from any Hugging Face directory, with the liberties that published files take.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "parallel/mesh.hpp"
#include "parallel/state_tensor.hpp"

namespace weft {

// What a family's published files may do with names.
struct PretrainedNames {
  std::string base_prefix;  // "bert.": a file of the bare model leaves it out
  std::vector<std::string>
      ignored;  // buffers that are no parameters: "bert.embeddings.position_ids"
  // (another name, name): stored under either or both, and then equal.
  std::vector<std::pair<std::string, std::string>> tied;
};

struct LoadedModel {
  std::vector<std::string> missing;     // tensors the directory does not have: left as they were
  std::vector<std::string> unexpected;  // names in the directory that nobody asked for
};

// Fills the `local` parts (any floating dtype, rounded to nearest even) by name, from
// model.safetensors or its shards. Names match with or without the base prefix, and LayerNorm's
// gamma and beta count as weight and bias. A missing tensor is an Error naming the nearest name
// that is there, unless `allow_missing`; a shape that differs always is one. Collective over the
// world; each rank reads only its slices.
LoadedModel load_pretrained(const std::filesystem::path& directory,
                            const std::vector<StateTensor>& model, const PretrainedNames& names,
                            bool allow_missing, Mesh& mesh);

}  // namespace weft
