// A set of tensors in one safetensors file or in shards that an index names, as Hugging Face lays
// them out.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/io/safetensors.hpp"

namespace weft {

// Throws InputError unless `name` is a plain file name: no '/', '\', "..", NUL or control
// character, and not empty. What a file from elsewhere names must not lead out of its directory.
void require_plain_name(const std::string& name, const std::string& origin);

// "model.safetensors", or "model-00002-of-00003.safetensors" for the second of three.
std::string shard_name(std::string_view stem, std::size_t i, std::size_t count);
std::string shard_index_name(std::string_view stem);  // "model.safetensors.index.json"

class ShardedFiles {
 public:
  // Opens DIRECTORY/STEM.safetensors or, without it, what STEM.safetensors.index.json names. Throws
  // InputError when neither is there, when a shard's name is not plain or is a link that leaves the
  // directory, and when index and shards disagree.
  ShardedFiles(const std::filesystem::path& directory, std::string_view stem);

  struct Entry {
    const SafetensorsFile* file;
    const TensorInfo* tensor;
  };
  const std::vector<Entry>& entries() const { return entries_; }
  std::optional<Entry> find(std::string_view name) const;
  const std::vector<std::unique_ptr<SafetensorsFile>>& files() const { return files_; }

 private:
  void open_shards(const std::filesystem::path& directory, const std::filesystem::path& index);
  void add(const std::filesystem::path& path);

  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<Entry> entries_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
};

// How tensors are spread over files: each file full before the next begins, at most `max_bytes` of
// data unless one tensor alone has more.
std::vector<std::vector<std::size_t>> split_into_shards(const std::vector<std::int64_t>& bytes,
                                                        std::int64_t max_bytes);

}  // namespace weft
