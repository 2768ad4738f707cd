// Models in one file or in several.
#include "core/io/sharded.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/base/json.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

// A symbolic link may point beside itself, not elsewhere.
void require_inside(const fs::path& directory, const std::string& name, const std::string& origin) {
  std::error_code error;
  const fs::path real = fs::canonical(directory / name, error);
  if (error) throw InputError((directory / name).string() + ": " + error.message());
  if (real.parent_path() != fs::canonical(directory)) {
    throw InputError(fmt::format("{}: {} is a link that leaves the directory", origin, name),
                     "copy the directory with its links resolved: cp -rL");
  }
}

// tensor -> file, from an index.
std::map<std::string, std::string> weight_map(const fs::path& index) {
  const std::string origin = index.string();
  const Json json = read_json(index);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    throw InputError(origin + ": no object \"weight_map\"");
  }
  std::map<std::string, std::string> map;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    if (!file.is_string()) {
      throw InputError(fmt::format("{}: weight_map: the file of {} is not text", origin, tensor));
    }
    map[tensor] = file.get<std::string>();
    require_plain_name(map[tensor], origin);
  }
  return map;
}

}  // namespace

void require_plain_name(const std::string& name, const std::string& origin) {
  const bool plain =
      !name.empty() && name != "." && name.find("..") == std::string::npos &&
      std::none_of(name.begin(), name.end(), [](char c) {
        return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
      });
  if (!plain) {
    throw InputError(fmt::format("{}: {} is not a plain file name", origin, Json(name).dump()));
  }
}

std::string shard_name(std::string_view stem, std::size_t i, std::size_t count) {
  if (count == 1) return fmt::format("{}.safetensors", stem);
  return fmt::format("{}-{:05}-of-{:05}.safetensors", stem, i + 1, count);
}

std::string shard_index_name(std::string_view stem) {
  return fmt::format("{}.safetensors.index.json", stem);
}

ShardedFiles::ShardedFiles(const fs::path& directory, std::string_view stem) {
  const fs::path single = directory / shard_name(stem, 0, 1);
  const fs::path index = directory / shard_index_name(stem);
  if (path_exists(single)) {
    add(single);
  } else if (path_exists(index)) {
    open_shards(directory, index);
  } else if (path_exists(directory / "pytorch_model.bin")) {
    throw InputError(directory.string() + ": has pytorch_model.bin only, which Weft does not read",
                     "save it as safetensors: model.save_pretrained(DIR) in transformers");
  } else {
    throw InputError(fmt::format("{}: neither {} nor {}", directory.string(),
                                 single.filename().string(), index.filename().string()));
  }
}

void ShardedFiles::open_shards(const fs::path& directory, const fs::path& index) {
  const std::map<std::string, std::string> map = weight_map(index);
  std::vector<std::string> names;
  for (const auto& [tensor, file] : map) names.push_back(file);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (const std::string& name : names) {
    require_inside(directory, name, index.string());
    add(directory / name);
  }
  for (const Entry& e : entries_) {
    const auto it = map.find(e.tensor->name);
    const std::string file = e.file->path().filename().string();
    if (it == map.end() || it->second != file) {
      throw InputError(fmt::format("{}: {} holds {}, which the index {}", index.string(), file,
                                   e.tensor->name,
                                   it == map.end() ? "does not name" : "places in " + it->second));
    }
  }
  for (const auto& [tensor, file] : map) {
    if (!by_name_.contains(tensor)) {
      throw InputError(fmt::format("{}: {} is not in {}, where the index places it", index.string(),
                                   tensor, file));
    }
  }
}

void ShardedFiles::add(const fs::path& path) {
  files_.push_back(std::make_unique<SafetensorsFile>(path));
  for (const TensorInfo& t : files_.back()->tensors()) {
    if (!by_name_.emplace(t.name, entries_.size()).second) {
      throw InputError(fmt::format("{}: tensor \"{}\" is in {} as well", path.string(), t.name,
                                   find(t.name)->file->path().filename().string()));
    }
    entries_.push_back({files_.back().get(), &t});
  }
}

std::optional<ShardedFiles::Entry> ShardedFiles::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  if (it == by_name_.end()) return std::nullopt;
  return entries_[it->second];
}

std::vector<std::vector<std::size_t>> split_into_shards(const std::vector<std::int64_t>& bytes,
                                                        std::int64_t max_bytes) {
  std::vector<std::vector<std::size_t>> shards(1);
  std::int64_t filled = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (!shards.back().empty() && filled + bytes[i] > max_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(i);
    filled += bytes[i];
  }
  return shards;
}

}  // namespace weft
