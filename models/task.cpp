// Nothing but the interface: keeps its header compiling on its own.
#include "models/task.hpp"
