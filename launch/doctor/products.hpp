// How fast each kernel does the products of a pretraining run's step.
#pragma once

#include <vector>

#include "core/backend/cpu/product_timing.hpp"
#include "launch/config/config.hpp"
#include "launch/console.hpp"
#include "parallel/mesh.hpp"

namespace weft {

// The products of one class in a micro-batch.
struct MeasuredProduct {
  ProductCall call;  // the largest of them
  int calls = 0;
  std::vector<KernelTimes> times;
  ProductKernel by_rule, chosen;
  double peak = 0;  // operations per second that the arithmetic units reach
};

// Those of forward and backward of a micro-batch of random numbers, in the order in which they
// come, but for those that this CPU has one kernel for, and those with less than a thousandth of
// the work. Times are taken in several rounds over all products, all ranks at the same time. The
// configuration is resolved; the mesh is on the host. Collective over the world.
std::vector<MeasuredProduct> measure_products(const Config& config, Mesh& mesh,
                                              const Console& console);

ProductTable table_of(const std::vector<MeasuredProduct>& products);

}  // namespace weft
