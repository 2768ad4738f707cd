// What tiles.inc needs, included before the first function that is compiled for other instructions.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/backend/cpu/tiles/tiles.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
