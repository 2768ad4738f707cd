// The emulator's stand-in of the CUDA toolkit's header of this name (see ../README.md).
#pragma once

#include <math.h>  // device code calls erff, isnan and the like without std::

#include "tests/cuda_emulator/atomics.hpp"
#include "tests/cuda_emulator/device_functions.hpp"
#include "tests/cuda_emulator/launch.hpp"
#include "tests/cuda_emulator/runtime_api.hpp"
#include "tests/cuda_emulator/types.hpp"
