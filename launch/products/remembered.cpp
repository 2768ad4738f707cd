// Where measured products lie in a user's cache.
#include "launch/products/remembered.hpp"

#include <cctype>
#include <cstdlib>

#include <fmt/format.h>

namespace weft {

namespace {

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

std::optional<std::filesystem::path> remembered_products(const std::string& cpu, int threads) {
  const auto variable = [](const char* name) -> std::filesystem::path {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  std::filesystem::path cache = variable("XDG_CACHE_HOME");
  if (!cache.is_absolute()) {  // as its specification wants it
    const std::filesystem::path home = variable("HOME");
    if (home.empty()) return std::nullopt;
    cache = home / ".cache";
  }
  return cache / "weft" / fmt::format("products-{}-threads-{}.yaml", file_name_of(cpu), threads);
}

}  // namespace weft
