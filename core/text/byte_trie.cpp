// Building and walking the trie.
#include "core/text/byte_trie.hpp"

#include <utility>

namespace weft {
namespace {

constexpr int kFirstBits = 10;

}  // namespace

ByteTrie::ByteTrie()
    : edges_(std::size_t{1} << kFirstBits),
      mask_(edges_.size() - 1),
      shift_(32 - kFirstBits),
      values_(1, kNone) {}

void ByteTrie::place(Edge edge) {
  std::size_t i = slot(edge.key);
  while (edges_[i].key != kEmpty) i = (i + 1) & mask_;
  edges_[i] = edge;
}

void ByteTrie::grow() {
  std::vector<Edge> old(2 * edges_.size());
  old.swap(edges_);
  mask_ = edges_.size() - 1;
  --shift_;
  for (const Edge& edge : old) {
    if (edge.key != kEmpty) place(edge);
  }
}

void ByteTrie::insert(std::string_view key, std::int32_t value) {
  std::int32_t node = kRoot;
  for (const char byte : key) {
    std::int32_t next = child(node, byte);
    if (next == kNone) {
      next = static_cast<std::int32_t>(values_.size());
      values_.push_back(kNone);
      if (2 * values_.size() > edges_.size()) grow();
      place({edge_key(node, byte), next});
    }
    node = next;
  }
  values_[static_cast<std::size_t>(node)] = value;
}

std::int32_t ByteTrie::walk(std::string_view text, std::int32_t node) const {
  for (const char byte : text) {
    node = child(node, byte);
    if (node == kNone) break;
  }
  return node;
}

}  // namespace weft
