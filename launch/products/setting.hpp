// What the times of products depend on besides their shapes.
#pragma once

#include <string>

#include "parallel/communicator.hpp"

namespace weft {

// A measured table holds for nothing else.
struct ProductSetting {
  std::string cpu;  // this_cpu()
  int threads = 1;  // of a rank
  int ranks = 1;    // of a host, which share its caches and its memory's bandwidth

  bool operator==(const ProductSetting&) const = default;
};

// "CPU with 2 threads", or "CPU with 2 threads on each of 4 ranks of a host".
std::string in_words(const ProductSetting& setting);

// Model, family and those instructions that products use here; DNNL_MAX_CPU_ISA counts.
std::string this_cpu();

// This rank's CPU and threads, and how many ranks the host of rank 0 has. Collective.
ProductSetting this_setting(Communicator& world);

}  // namespace weft
