// How fast each kernel multiplies, measured on request.
#pragma once

#include <span>
#include <vector>

#include "core/backend/cpu/product_choice.hpp"

namespace weft {

struct KernelTimes {
  ProductKernel kernel = ProductKernel::onednn;
  std::vector<double> seconds;  // of one call in each turn, the turns of all kernels side by side

  double least() const;
  double median() const;
};

struct ProductTiming {
  double seconds = 0.3;          // in all; some turns are done in any case
  std::int64_t weight_uses = 1;  // calls that share the price of packing a weight
};

// Of each kernel that this CPU has for the call, on numbers that differ. They are called through
// the backend, as training does; an installed product table is put aside meanwhile.
std::vector<KernelTimes> time_product(const ProductCall& call, const ProductTiming& timing);

// The fastest kernel if it beats `usual` beyond the noise, else `usual`: by 2% in three turns of
// four. Packing has to gain 5%, as it takes the memory of the weight once more.
ProductKernel faster_kernel(std::span<const KernelTimes> times, ProductKernel usual);

}  // namespace weft
