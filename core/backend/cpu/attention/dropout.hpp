// Which probabilities of attention dropout keeps.
#pragma once

#include "core/backend/backend.hpp"
#include "core/backend/cpu/philox_row.hpp"

namespace weft {

// Of one (sample, head). Sees T keys per query.
class AttentionDropout {
 public:
  AttentionDropout(const AttentionArgs& args, std::int64_t T, std::int64_t b, std::int64_t h)
      : key_(in_step(args.dropout_key, step_of(args.dropout_step))),
        threshold_(drop_threshold(args.dropout_p)),
        scale_(args.dropout_p > 0 ? 1.0F / (1.0F - args.dropout_p) : 1.0F),
        T_(T),
        first_(((args.first_sample + b) * args.total_heads + args.first_head + h) * T * T) {}

  bool active() const { return threshold_ > 0; }
  float scale() const { return scale_; }
  std::uint32_t threshold() const { return threshold_; }
  // The random numbers of query i's keys first_key ... first_key + n - 1. Multiples of 32 are drawn
  // fastest.
  void draw(std::uint32_t* bits, std::int64_t i, std::int64_t first_key, std::int64_t n) const {
    philox_row(bits, key_, static_cast<std::uint64_t>(first_ + i * T_ + first_key), n);
  }

 private:
  PhiloxKey key_;
  std::uint32_t threshold_;
  float scale_;
  std::int64_t T_;
  std::int64_t first_;
};

}  // namespace weft
