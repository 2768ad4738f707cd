// A folder of checkpoints.
#include "parallel/checkpoint_folder.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "step-";
constexpr std::size_t kMinDigits = 8;

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) throw Error(path.string() + ": cannot remove: " + error.message());
}

// What is named like a checkpoint but for one of these endings.
std::vector<fs::path> beside_checkpoints(const fs::path& folder,
                                         std::initializer_list<std::string_view> endings) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const fs::path& path = entry.path();
    const bool ends =
        std::find(endings.begin(), endings.end(), path.extension().string()) != endings.end();
    if (ends && checkpoint_step(path.stem().string())) found.push_back(path);
  }
  return found;
}

}  // namespace

std::string checkpoint_name(std::int64_t step) { return fmt::format("{}{:08}", kPrefix, step); }

std::optional<std::int64_t> checkpoint_step(const std::string& name) {
  if (!name.starts_with(kPrefix) || name.size() < kPrefix.size() + kMinDigits) return std::nullopt;
  std::int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
  // Only the one spelling that checkpoint_name() gives.
  const bool number = error == std::errc() && stop == end && step >= 0;
  if (!number || name != checkpoint_name(step)) return std::nullopt;
  return step;
}

std::vector<std::int64_t> checkpoint_steps(const fs::path& folder) {
  std::vector<std::int64_t> steps;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const auto step = checkpoint_step(entry.path().filename().string());
    if (step && entry.is_directory(ignored)) steps.push_back(*step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

Manifest verify_checkpoint(const fs::path& checkpoint) {
  Manifest manifest = verify_directory(checkpoint);
  const auto named = checkpoint_step(checkpoint.filename().string());
  if (named && *named != manifest.step) {
    throw Error(fmt::format("{}: damaged: its manifest is that of step {}", checkpoint.string(),
                            manifest.step));
  }
  return manifest;
}

void publish_checkpoint(const fs::path& finished, const fs::path& checkpoint) {
  replace_directory(finished, checkpoint);
}

void prune_checkpoints(const fs::path& folder, std::int64_t step, int keep) {
  if (keep <= 0) return;
  int seen = 0;
  for (const std::int64_t s : checkpoint_steps(folder)) {
    if (s > step || ++seen <= keep) continue;
    const fs::path old = folder / checkpoint_name(s);
    const fs::path doomed = old.string() + ".deleting";
    remove_tree(doomed);
    rename_path(old, doomed);
    remove_tree(doomed);
  }
}

fs::path set_aside_checkpoint(const fs::path& checkpoint) {
  fs::path aside = checkpoint.string() + ".damaged";
  for (int i = 2; fs::exists(aside); ++i) {
    aside = fmt::format("{}.{}.damaged", checkpoint.string(), i);
  }
  rename_path(checkpoint, aside);
  return aside;
}

void restore_replaced(const fs::path& folder) {
  for (const fs::path& path : beside_checkpoints(folder, {kReplaced})) {
    const fs::path checkpoint = folder / path.stem();
    if (!fs::exists(checkpoint)) rename_path(path, checkpoint);
  }
}

void remove_leftovers(const fs::path& folder) {
  restore_replaced(folder);
  for (const fs::path& path : beside_checkpoints(folder, {".tmp", ".deleting", kReplaced})) {
    remove_tree(path);
  }
}

}  // namespace weft
