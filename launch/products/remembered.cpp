// Where measured products lie in a user's cache, and how they are added to.
#include "launch/products/remembered.hpp"

#include <cctype>
#include <cstdlib>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

constexpr const char* kSetCache = "set XDG_CACHE_HOME to a folder that can be written to";

// Letters and digits in lower case, all else as single dashes.
std::string file_name_of(const std::string& text) {
  std::string name;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  while (name.ends_with('-')) name.pop_back();
  return name;
}

}  // namespace

std::optional<fs::path> remembered_products(const ProductSetting& setting) {
  const auto variable = [](const char* name) -> fs::path {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  fs::path cache = variable("XDG_CACHE_HOME");
  if (!cache.is_absolute()) {  // as its specification wants it
    const fs::path home = variable("HOME");
    if (home.empty()) return std::nullopt;
    cache = home / ".cache";
  }
  return cache / "weft" /
         fmt::format("products-{}-threads-{}-ranks-{}.yaml", file_name_of(setting.cpu),
                     setting.threads, setting.ranks);
}

fs::path place_for_products(const ProductSetting& setting) {
  const std::optional<fs::path> path = remembered_products(setting);
  if (!path) {
    throw Error(
        "there is no place to remember the products in: neither XDG_CACHE_HOME nor HOME is set",
        kSetCache);
  }
  const fs::path folder = path->parent_path();
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(folder.string() + ": cannot create: " + error.message(), kSetCache);
  try {
    const StagedFile trial(*path);  // only writing tells whether a file system takes it
  } catch (const Error& e) {
    throw Error(e.what(), kSetCache);
  }
  return *path;
}

ProductFile remembered_from(const std::string& yaml, const fs::path& path,
                            const ProductSetting& setting) {
  ProductFile file = product_file_from(yaml, path.string(), kMeasureAgain);
  if (file.setting == setting) return file;
  throw InputError(fmt::format("{}: cpu, threads, ranks: measured on {}, but this is {}",
                               path.string(), in_words(file.setting), in_words(setting)),
                   kMeasureAgain);
}

Remembered remember_products(const fs::path& path, ProductFile measured) {
  Remembered result{.measured = measured.table.size(), .kept = 0, .unusable = {}};
  try {
    if (path_exists(path)) {
      measured.table.merge(remembered_from(read_file(path), path, measured.setting).table);
    }
  } catch (const InputError& e) {
    result.unusable = e.what();
  }
  result.kept = measured.table.size() - result.measured;
  write_file_atomic(path, to_yaml(measured));
  return result;
}

}  // namespace weft
