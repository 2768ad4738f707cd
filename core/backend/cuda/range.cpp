// Named stretches of time, by NVTX.
#include "core/backend/range.hpp"

#include <nvtx3/nvToolsExt.h>

namespace weft {

void begin_range(const char* name) { nvtxRangePushA(name); }
void end_range() { nvtxRangePop(); }

}  // namespace weft
