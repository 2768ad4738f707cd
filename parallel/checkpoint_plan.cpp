// Files of a checkpoint and their writers.
#include "parallel/checkpoint_plan.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_map>

#include "core/io/safetensors_writer.hpp"
#include "core/io/sharded.hpp"

namespace weft {

namespace {

std::int64_t bytes_of(const StateTensor& t) {
  return t.shape.numel() * static_cast<std::int64_t>(sizeof(float));
}

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

SmallFile index_of(std::string_view stem, const std::vector<PlannedFile>& files,
                   std::int64_t bytes) {
  std::map<std::string, std::string> where;  // sorted, as transformers writes it
  for (const PlannedFile& f : files) {
    for (const StateTensor* t : f.tensors) where[t->name] = f.name;
  }
  Json index = Json::object();
  index["metadata"] = Json{{"total_size", bytes}};
  index["weight_map"] = where;
  return {.name = shard_index_name(stem), .content = index.dump(2) + "\n"};
}

PlannedFile file_of(const std::string& name, const std::vector<StateTensor>& tensors,
                    const std::vector<std::size_t>& members) {
  PlannedFile file{.name = name, .tensors = {}, .bytes = 0, .writer = 0};
  std::vector<TensorSpec> specs;
  std::unordered_map<std::string, const StateTensor*> by_name;
  for (const std::size_t i : members) {
    specs.push_back({tensors[i].name, "F32", tensors[i].shape});
    by_name[tensors[i].name] = &tensors[i];
    file.bytes += bytes_of(tensors[i]);
  }
  sort_as_stored(specs);
  for (const TensorSpec& s : specs) file.tensors.push_back(by_name.at(s.name));
  return file;
}

void add_group(CheckpointPlan& plan, std::string_view stem, const std::vector<StateTensor>& tensors,
               std::int64_t max_bytes) {
  if (tensors.empty()) return;
  std::vector<std::int64_t> bytes;
  for (const StateTensor& t : tensors) bytes.push_back(bytes_of(t));
  const auto shards = split_into_shards(bytes, max_bytes);
  std::vector<PlannedFile> files;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    files.push_back(file_of(shard_name(stem, i, shards.size()), tensors, shards[i]));
  }
  if (files.size() > 1) {
    const auto total = std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0});
    plan.indices.push_back(index_of(stem, files, total));
  }
  std::move(files.begin(), files.end(), std::back_inserter(plan.files));
}

void choose_writers(std::vector<PlannedFile>& files, int ranks) {
  std::vector<PlannedFile*> by_size;
  for (PlannedFile& f : files) by_size.push_back(&f);
  std::stable_sort(by_size.begin(), by_size.end(),
                   [](const PlannedFile* a, const PlannedFile* b) { return a->bytes > b->bytes; });
  std::vector<std::int64_t> load(static_cast<std::size_t>(ranks), 0);
  for (PlannedFile* f : by_size) {
    const auto least = std::min_element(load.begin(), load.end());
    f->writer = static_cast<int>(least - load.begin());
    *least += f->bytes;
  }
}

}  // namespace

CheckpointPlan plan_checkpoint(const CheckpointContent& content, const SaveOptions& options,
                               int ranks) {
  CheckpointPlan plan;
  add_group(plan, "model", content.model, options.max_shard_bytes);
  std::int64_t total = 0;
  for (const StateTensor& t : content.optimizer) total += bytes_of(t);
  const std::int64_t even = std::max(divide_up(total, ranks), options.min_shard_bytes);
  add_group(plan, "optimizer", content.optimizer, std::min(even, options.max_shard_bytes));
  choose_writers(plan.files, ranks);
  return plan;
}

}  // namespace weft
