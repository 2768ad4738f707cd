// Model families by name.
#include "models/registry.hpp"

#include "core/base/error.hpp"
#include "core/base/suggest.hpp"
#include "core/nn/init.hpp"
#include "core/tensor/memory_use.hpp"
#include "models/bert/pretraining.hpp"

namespace weft {

namespace {

struct Family {
  const std::vector<std::string>& (*keys)();
  void (*check)(const Json& config, int tensor_ranks);
  Json (*pretraining)(const Json& config, bool sentence_task);
  std::unique_ptr<PretrainingModel> (*build)(const Json& config, Mesh& mesh, DType compute);
};

const std::vector<std::pair<std::string, Family>>& families() {
  static const std::vector<std::pair<std::string, Family>> table{
      {"bert",
       {.keys = bert_keys,
        .check = [](const Json& config, int ranks) { check_layout(bert_config(config), ranks); },
        .pretraining = [](const Json& config, bool sentence_task) -> Json {
          BertConfig c = bert_config(config);
          c.mlm_head = true;
          c.nsp_head = c.pooler = sentence_task;
          return to_json(c);
        },
        .build = [](const Json& config, Mesh& mesh,
                    DType compute) -> std::unique_ptr<PretrainingModel> {
          const BertConfig c = bert_config(config);
          check_layout(c, mesh.tensor().size());
          return std::make_unique<Bert>(c, mesh, compute);
        }}}};
  return table;
}

const Family& family(const std::string& type) {
  for (const auto& [name, f] : families()) {
    if (name == type) return f;
  }
  std::string known;
  for (const std::string& name : model_types()) known += (known.empty() ? "" : ", ") + name;
  const std::string near = nearest(type, model_types());
  throw InputError(
      "model.type: unknown model type '" + type + "'",
      (near.empty() ? "" : "did you mean '" + near + "'? ") + std::string("known: ") + known);
}

const Family& family_of(const Json& config) {
  if (!config.contains("model_type") || !config["model_type"].is_string()) {
    throw InputError("config.json: model_type is missing", "add \"model_type\": \"bert\"");
  }
  return family(config["model_type"].get<std::string>());
}

}  // namespace

const std::vector<std::string>& model_types() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const auto& [name, f] : families()) list.push_back(name);
    return list;
  }();
  return names;
}

const std::vector<std::string>& model_keys(const std::string& type) { return family(type).keys(); }

void check_model(const Json& config, int tensor_ranks) {
  family_of(config).check(config, tensor_ranks);
}

Json pretraining_config(const Json& config, bool sentence_task) {
  return family_of(config).pretraining(config, sentence_task);
}

std::unique_ptr<PretrainingModel> build_model(const Json& config, Mesh& mesh, DType compute) {
  const MemoryScope scope(MemoryUse::weights);
  return family_of(config).build(config, mesh, compute);
}

std::unique_ptr<PretrainingModel> make_model(const Json& config, Mesh& mesh, DType compute,
                                             std::uint64_t seed) {
  auto model = build_model(config, mesh, compute);
  initialize(*model, seed, {.rank = mesh.tensor().rank(), .ranks = mesh.tensor().size()});
  return model;
}

}  // namespace weft
