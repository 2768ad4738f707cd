// What kernels compiled for several levels have at hand.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/backend/backend.hpp"
#include "core/backend/cpu/blocks.hpp"
#include "core/backend/cpu/loops.hpp"
#include "core/backend/cpu/past_caches.hpp"
#include "core/backend/cpu/simd/level.hpp"
#include "core/backend/fast_math.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
