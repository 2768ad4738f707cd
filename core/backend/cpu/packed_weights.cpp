// The cache of packed weights.
#include "core/backend/cpu/packed_weights.hpp"

namespace weft {

Tensor PackedWeights::get(const Tensor& weight, const std::shared_ptr<const Product>& product) {
  const std::lock_guard lock(mutex_);
  const Storage& storage = weight.storage();
  const std::uint64_t version = storage.version();
  Entry* entry = nullptr;
  const auto [first, last] = entries_.equal_range(storage.id());
  for (auto it = first; it != last; ++it) {
    if (it->second.offset == weight.byte_offset() && it->second.product->packs_like(*product))
      entry = &it->second;
  }
  if (entry != nullptr && entry->version == version) return entry->packed;

  std::erase_if(entries_, [](const auto& item) { return item.second.storage.expired(); });
  if (entry == nullptr) {
    const auto bytes = static_cast<std::int64_t>(product->packed_bytes());
    entry = &entries_
                 .emplace(storage.id(), Entry{.storage = weight.weak_storage(),
                                              .offset = weight.byte_offset(),
                                              .version = version,
                                              .product = product,
                                              .packed = Tensor({bytes}, DType::u8)})
                 ->second;
  }
  product->pack(entry->packed.raw(), weight.raw());
  entry->version = version;
  return entry->packed;
}

std::size_t PackedWeights::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace weft
