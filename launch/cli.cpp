// The command line.
#include "launch/cli.hpp"

namespace weft {

int run(int, char**) { return kDone; }

}  // namespace weft
