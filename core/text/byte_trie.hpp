// A set of byte strings with numbers, walked byte by byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace weft {

// All edges lie in one open-addressing table keyed by (node, byte): small, quick to build, and one
// probe per byte to walk.
class ByteTrie {
 public:
  static constexpr std::int32_t kRoot = 0;
  static constexpr std::int32_t kNone = -1;
  // Strings of this many bytes in all are the most it holds.
  static constexpr std::size_t kMaxBytes = (std::size_t{1} << 24) - 2;

  ByteTrie();

  // The value, at least 0, of an equal earlier string is replaced.
  void insert(std::string_view key, std::int32_t value);

  std::int32_t child(std::int32_t node, char byte) const {
    const std::uint32_t key = edge_key(node, byte);
    for (std::size_t i = slot(key);; i = (i + 1) & mask_) {
      if (edges_[i].key == key) return edges_[i].node;
      if (edges_[i].key == kEmpty) return kNone;
    }
  }
  // kNone when no string ends at the node.
  std::int32_t value(std::int32_t node) const { return values_[static_cast<std::size_t>(node)]; }

  // The node that a string leads to, or kNone.
  std::int32_t walk(std::string_view text, std::int32_t node = kRoot) const;

  struct Match {
    std::int32_t value = kNone;
    std::size_t size = 0;
  };
  // The longest string that `text` starts with, counted from `node`; at least one byte.
  Match longest(std::string_view text, std::int32_t node = kRoot) const {
    Match best;
    for (std::size_t i = 0; i < text.size();) {
      node = child(node, text[i]);
      if (node == kNone) break;
      ++i;
      if (value(node) != kNone) best = {value(node), i};
    }
    return best;
  }

 private:
  static constexpr std::uint32_t kEmpty = 0xFFFFFFFF;
  struct Edge {
    std::uint32_t key = kEmpty;
    std::int32_t node = kNone;
  };

  static std::uint32_t edge_key(std::int32_t node, char byte) {
    return static_cast<std::uint32_t>(node) << 8 | static_cast<std::uint8_t>(byte);
  }
  std::size_t slot(std::uint32_t key) const { return key * 0x9E3779B1U >> shift_; }
  void place(Edge edge);
  void grow();

  std::vector<Edge> edges_;
  std::size_t mask_;
  int shift_;  // 32 - log2(edges_.size())
  std::vector<std::int32_t> values_;
};

}  // namespace weft
