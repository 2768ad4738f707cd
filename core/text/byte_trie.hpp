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
  // Strings of this many bytes in all always fit: each byte takes a node at most.
  static constexpr std::size_t kMaxBytes = (std::size_t{1} << 24) - 2;

  ByteTrie();

  // The value, at least 0, of an equal earlier string is replaced. Throws InputError when full.
  void insert(std::string_view key, std::int32_t value);

  // The node that a string leads to, or kNone.
  std::int32_t walk(std::string_view text) const;
  // The value of a string, or kNone.
  std::int32_t find(std::string_view text) const;

  struct Match {
    std::int32_t value = kNone;
    std::size_t size = 0;
  };
  // The longest string that `text` starts with, counted from `node`; at least one byte.
  Match longest(std::string_view text, std::int32_t node = kRoot) const {
    Match best;
    for (std::size_t i = 0; i < text.size();) {
      const Edge& edge = edges_[slot_of(edge_key(node, text[i]))];
      if (edge.key == kEmpty) break;
      ++i;
      if (edge.value != kNone) best = {edge.value, i};
      node = edge.node;
    }
    return best;
  }

 private:
  static constexpr std::uint32_t kEmpty = 0xFFFFFFFF;
  static constexpr std::int32_t kLastNode = kMaxBytes;  // one more, and a key would be kEmpty
  struct Edge {
    std::uint32_t key = kEmpty;
    std::int32_t node = kNone;   // that it leads to
    std::int32_t value = kNone;  // of the string that ends there
  };

  static std::uint32_t edge_key(std::int32_t node, char byte) {
    return static_cast<std::uint32_t>(node) << 8 | static_cast<std::uint8_t>(byte);
  }
  // Where the edge of that key is, or would be.
  std::size_t slot_of(std::uint32_t key) const {
    std::size_t i = key * 0x9E3779B1U >> shift_;
    while (edges_[i].key != key && edges_[i].key != kEmpty) i = (i + 1) & mask_;
    return i;
  }
  void grow();

  std::vector<Edge> edges_;
  std::size_t mask_;
  int shift_;  // 32 - log2(edges_.size())
  std::int32_t nodes_ = 1;
};

}  // namespace weft
