// Loading a model from any Hugging Face directory.
#include "parallel/pretrained.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/suggest.hpp"
#include "parallel/agree.hpp"

namespace weft {

namespace {

using Entry = ShardedFiles::Entry;

// TensorFlow called a norm's weight gamma and its bias beta; so do files converted long ago.
std::string without_greek(const std::string& name) {
  for (const auto& [greek, latin] : {std::pair(".gamma", ".weight"), std::pair(".beta", ".bias")}) {
    if (name.ends_with(greek)) {
      return name.substr(0, name.size() - std::string_view(greek).size()) + latin;
    }
  }
  return name;
}

// Finds for each stored tensor the name that the model gives it.
class NameMatcher {
 public:
  NameMatcher(const std::vector<StateTensor>& model, const PretrainedNames& names) : names_(names) {
    for (const StateTensor& t : model) known_.insert(t.name);
    for (const std::string& name : names.ignored) known_.insert(name);
    for (const auto& [other, name] : names.tied) known_.insert(other);
  }

  std::string operator()(const std::string& stored) const {
    const std::string name = without_greek(stored);
    if (known_.contains(name)) return name;
    const std::string& prefix = names_.base_prefix;
    if (known_.contains(prefix + name)) return prefix + name;
    if (name.starts_with(prefix) && known_.contains(name.substr(prefix.size()))) {
      return name.substr(prefix.size());
    }
    return stored;
  }

  bool ignored(const std::string& name) const {
    return std::find(names_.ignored.begin(), names_.ignored.end(), name) != names_.ignored.end();
  }

 private:
  const PretrainedNames& names_;
  std::set<std::string> known_;
};

// Stored tensors by the model's names.
std::map<std::string, Entry> match_names(const ShardedFiles& files, const NameMatcher& match) {
  std::map<std::string, Entry> found;
  for (const Entry& e : files.entries()) {
    const std::string name = match(e.tensor->name);
    if (match.ignored(name)) continue;
    const auto [it, fresh] = found.emplace(name, e);
    if (!fresh) {
      throw InputError(fmt::format("{}: {} and {} are the same tensor of the model",
                                   e.file->path().string(), it->second.tensor->name,
                                   e.tensor->name));
    }
  }
  return found;
}

bool equal(const Entry& a, const Entry& b) {
  if (a.tensor->dims != b.tensor->dims) return false;
  constexpr std::uint64_t kPiece = 4096;
  std::vector<float> x(kPiece), y(kPiece);
  const std::uint64_t n = a.tensor->numel();
  for (std::uint64_t i = 0; i < n; i += kPiece) {
    const auto count = static_cast<std::size_t>(std::min(kPiece, n - i));
    a.file->read_f32(*a.tensor, i, std::span(x).first(count));
    b.file->read_f32(*b.tensor, i, std::span(y).first(count));
    if (std::memcmp(x.data(), y.data(), count * sizeof(float)) != 0) return false;
  }
  return true;
}

// Takes what is stored under the other name of a tied tensor out of `found`; when it is stored
// under that name only, it stands for both.
void resolve_ties(std::map<std::string, Entry>& found, const PretrainedNames& names, bool compare) {
  for (const auto& [other, name] : names.tied) {
    const auto extra = found.find(other);
    if (extra == found.end()) continue;
    const auto [it, alone] = found.emplace(name, extra->second);
    if (!alone && compare && !equal(it->second, extra->second)) {
      throw InputError(fmt::format("{}: {} and {} differ; this model has them tied",
                                   extra->second.file->path().string(), it->second.tensor->name,
                                   extra->second.tensor->name));
    }
    found.erase(extra);
  }
}

[[noreturn]] void refuse_missing(const std::string& directory, const LoadedModel& loaded) {
  std::string list;
  for (std::size_t i = 0; i < std::min<std::size_t>(loaded.missing.size(), 3); ++i) {
    list += (i == 0 ? "" : ", ") + loaded.missing[i];
  }
  if (loaded.missing.size() > 3) list += fmt::format(" and {} more", loaded.missing.size() - 3);
  const std::string near = nearest(loaded.missing.front(), loaded.unexpected);
  throw InputError(fmt::format("{}: no tensor {}", directory, list),
                   near.empty() ? "does its config.json describe this model?"
                                : "the nearest name there is " + near);
}

}  // namespace

LoadedModel load_pretrained(const std::filesystem::path& directory,
                            const std::vector<StateTensor>& model, const PretrainedNames& names,
                            bool allow_missing, Mesh& mesh) {
  LoadedModel loaded;
  agree(mesh.world(), [&] {
    const ShardedFiles files(directory, "model");
    auto found = match_names(files, NameMatcher(model, names));
    resolve_ties(found, names, mesh.world().rank() == 0);  // one rank compares for all
    std::vector<std::pair<const StateTensor*, Entry>> present;
    for (const StateTensor& t : model) {
      const auto it = found.find(t.name);
      if (it == found.end()) {
        loaded.missing.push_back(t.name);
      } else {
        present.emplace_back(&t, it->second);
        found.erase(it);
      }
    }
    for (const auto& [name, entry] : found) loaded.unexpected.push_back(entry.tensor->name);
    if (!loaded.missing.empty() && !allow_missing) refuse_missing(directory.string(), loaded);
    const TensorRank at{mesh.tensor().rank(), mesh.tensor().size()};
    for (const auto& [tensor, entry] : present) read_state(*tensor, entry, at);
  });
  return loaded;
}

}  // namespace weft
