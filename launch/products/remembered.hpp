// The products that a user has measured, in files of the user's cache.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "launch/products/product_file.hpp"

namespace weft {

// $XDG_CACHE_HOME/weft or ~/.cache/weft, a file for each setting. Nothing where neither variable is
// set.
std::optional<std::filesystem::path> remembered_products(const ProductSetting& setting);

// The same, with its folder, where a file can be written. Throws Error with a hint where none can.
std::filesystem::path place_for_products(const ProductSetting& setting);

// What to do about a remembered file that cannot be used.
inline constexpr const char* kMeasureAgain =
    "delete it, or measure again: weft doctor --products CONFIG";

// The text of such a file. Throws InputError with that hint when it is damaged, or was measured
// with another setting.
ProductFile remembered_from(const std::string& yaml, const std::filesystem::path& path,
                            const ProductSetting& setting);

struct Remembered {
  std::size_t measured = 0, kept = 0;  // classes of products
  std::string unusable;                // why nothing was kept of a file that was there
};

// Writes what was measured to the file. What it says of other classes of products, as those of
// another configuration, is kept.
Remembered remember_products(const std::filesystem::path& path, ProductFile measured);

}  // namespace weft
