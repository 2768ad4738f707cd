// Model families by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "models/task.hpp"
#include "parallel/mesh.hpp"

namespace weft {

// Values of config.json's model_type that this version knows.
const std::vector<std::string>& model_types();

// The keys of a family's config.json that decide the model; throws InputError for an unknown
// family.
const std::vector<std::string>& model_keys(const std::string& type);

// Checks a configuration (names of config.json, "model_type" among them) without building anything.
// Throws InputError naming the key.
void check_model(const Json& config, int tensor_ranks);

// The complete config.json for pretraining, absent keys filled with the family's defaults, and with
// the heads of the objective: masked tokens, and pairs of sentences if `sentence_task`. Throws
// InputError naming the key.
Json pretraining_config(const Json& config, bool sentence_task);

// Builds this rank's part of the model on the mesh's device; parameters are allocated, not
// initialised (core/nn/init.hpp does that, or a checkpoint). `architectures` decides the heads;
// without it the family's pretraining heads.
std::unique_ptr<PretrainingModel> build_model(const Json& config, Mesh& mesh, DType compute);

// build_model() and initial values from `seed`.
std::unique_ptr<PretrainingModel> make_model(const Json& config, Mesh& mesh, DType compute,
                                             std::uint64_t seed);

}  // namespace weft
