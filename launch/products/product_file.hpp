// Product tables as YAML: the file that weft doctor --products writes, which says which kernels
// multiply fastest.
#pragma once

#include <string>

#include "core/backend/cpu/product_choice.hpp"
#include "launch/products/setting.hpp"

namespace weft {

struct ProductFile {
  ProductSetting setting;  // with which it was measured
  ProductTable table;
};

std::string to_yaml(const ProductFile& file);

// Throws InputError "ORIGIN:LINE: ..." with this hint, a command or so, for what to_yaml() does not
// write: unknown keys, kernels and products, a file that is not whole, and, when it was measured on
// this CPU, a kernel that it does not have.
ProductFile product_file_from(const std::string& yaml, const std::string& origin,
                              const std::string& hint);

}  // namespace weft
