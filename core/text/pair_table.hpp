// Counts of adjacent pairs of pieces, and the words each pair occurs in.
#pragma once

#include <cstdint>
#include <vector>

namespace weft {

struct Pair {
  std::int32_t left, right;

  bool operator==(const Pair&) const = default;
  auto operator<=>(const Pair&) const = default;
};

class PairTable {
 public:
  struct Entry {
    Pair pair;
    std::int64_t count = 0;
    std::vector<std::int32_t> words;  // may name a word twice, or one that has the pair no longer
  };

  PairTable() : slots_(1 << 12, kEmpty) {}

  // The index of a pair's entry, which is made when there is none; it stays valid.
  std::int32_t index(Pair pair) {
    std::size_t i = slot(pair);
    for (; slots_[i] != kEmpty; i = (i + 1) & (slots_.size() - 1)) {
      if (entries_[static_cast<std::size_t>(slots_[i])].pair == pair) return slots_[i];
    }
    slots_[i] = static_cast<std::int32_t>(entries_.size());
    entries_.push_back({pair, 0, {}});
    const auto made = slots_[i];
    if (2 * entries_.size() > slots_.size()) grow();
    return made;
  }
  Entry& operator[](std::int32_t index) { return entries_[static_cast<std::size_t>(index)]; }
  std::int32_t size() const { return static_cast<std::int32_t>(entries_.size()); }

 private:
  static constexpr std::int32_t kEmpty = -1;

  std::size_t slot(Pair pair) const {
    const auto key = static_cast<std::uint64_t>(static_cast<std::uint32_t>(pair.left)) << 32 |
                     static_cast<std::uint32_t>(pair.right);
    const std::uint64_t mixed = (key ^ key >> 29) * 0x9E3779B97F4A7C15U;
    return (mixed ^ mixed >> 32) & (slots_.size() - 1);
  }
  void grow() {
    slots_.assign(2 * slots_.size(), kEmpty);
    for (std::size_t e = 0; e < entries_.size(); ++e) {
      std::size_t i = slot(entries_[e].pair);
      while (slots_[i] != kEmpty) i = (i + 1) & (slots_.size() - 1);
      slots_[i] = static_cast<std::int32_t>(e);
    }
  }

  std::vector<std::int32_t> slots_;  // a power of two
  std::vector<Entry> entries_;
};

}  // namespace weft
