// Building the trie.
#include "core/text/byte_trie.hpp"

#include "core/base/error.hpp"

namespace weft {
namespace {

constexpr int kFirstBits = 10;

}  // namespace

ByteTrie::ByteTrie()
    : edges_(std::size_t{1} << kFirstBits), mask_(edges_.size() - 1), shift_(32 - kFirstBits) {}

void ByteTrie::grow() {
  std::vector<Edge> old(2 * edges_.size());
  old.swap(edges_);
  mask_ = edges_.size() - 1;
  --shift_;
  for (const Edge& edge : old) {
    if (edge.key != kEmpty) edges_[slot_of(edge.key)] = edge;
  }
}

void ByteTrie::insert(std::string_view key, std::int32_t value) {
  std::int32_t node = kRoot;
  for (std::size_t i = 0; i < key.size(); ++i) {
    if (2 * static_cast<std::size_t>(nodes_) > edges_.size()) grow();
    Edge& edge = edges_[slot_of(edge_key(node, key[i]))];
    if (edge.key == kEmpty) {
      if (nodes_ > kLastNode) throw InputError("the vocabulary is larger than 16 MB");
      edge = {edge_key(node, key[i]), nodes_++, kNone};
    }
    if (i + 1 == key.size()) edge.value = value;
    node = edge.node;
  }
}

std::int32_t ByteTrie::walk(std::string_view text) const {
  std::int32_t node = kRoot;
  for (const char byte : text) {
    const Edge& edge = edges_[slot_of(edge_key(node, byte))];
    if (edge.key == kEmpty) return kNone;
    node = edge.node;
  }
  return node;
}

std::int32_t ByteTrie::find(std::string_view text) const {
  const Match match = longest(text);
  return match.size == text.size() ? match.value : kNone;
}

}  // namespace weft
