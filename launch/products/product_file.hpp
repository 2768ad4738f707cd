// The file that remembers which kernels multiply fastest: what weft doctor --products writes.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/backend/cpu/product_choice.hpp"

namespace weft {

struct ProductFile {
  std::string cpu;  // this_cpu() where it was measured
  int threads = 1;
  ProductTable table;
};

std::string to_yaml(const ProductFile& file);

// Throws InputError "ORIGIN:LINE: ..." with this hint, a command or so, for what to_yaml() does not
// write: unknown keys, kernels and products, a file that is not whole, and, when it was measured on
// this CPU, a kernel that it does not have.
ProductFile product_file_from(const std::string& yaml, const std::string& origin,
                              const std::string& hint);

// Model, family and those instructions that products use here; DNNL_MAX_CPU_ISA counts.
std::string this_cpu();

// $XDG_CACHE_HOME/weft or ~/.cache/weft, a file for each CPU and number of threads. Nothing where
// neither variable is set.
std::optional<std::filesystem::path> remembered_products(const std::string& cpu, int threads);

}  // namespace weft
