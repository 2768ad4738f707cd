// What kernels.inc needs, included before the first function that is compiled for other
// instructions.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/backend/cpu/attention/dropout.hpp"
#include "core/backend/cpu/attention/kernels.hpp"
#include "core/backend/cpu/loops.hpp"
#include "core/backend/fast_math.hpp"
