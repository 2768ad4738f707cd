// The units of attention's products where they are computed in fp32: the numbers themselves.
#pragma once

#include "core/backend/cpu/attention/head.hpp"

namespace weft {

// Part of a kind of CPU, see tile_product.inc.
struct SingleUnits {
  static constexpr int kPair = 1;
  using Unit = float;

  template <class Stored>
  static Unit unit_of(const Stored& number, const Stored&) {
    return static_cast<float>(number);
  }

  // A block of numbers is its own units, by rows and by steps.
  static Unit* take_units(Arena&, float* numbers, std::int64_t) { return numbers; }
  static void narrow(Unit*, const float*, std::int64_t) {}
  static void interleave(Unit*, const float*, const float*, std::int64_t) {}
};

}  // namespace weft
