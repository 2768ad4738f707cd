// The CPU by the name under which its products are remembered.
#pragma once

#include <string>

namespace weft {

// Model, family and those instructions that products use here; DNNL_MAX_CPU_ISA counts.
std::string this_cpu();

}  // namespace weft
