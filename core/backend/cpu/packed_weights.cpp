// The cache of packed and widened weights.
#include "core/backend/cpu/packed_weights.hpp"

namespace weft {

Tensor PackedWeights::get(const Tensor& weight, const std::shared_ptr<const Product>& product) {
  return form(
      weight, [&](const Entry& e) { return e.product && e.product->packs_like(*product); },
      [&] {
        const auto bytes = static_cast<std::int64_t>(product->packed_bytes());
        return Entry{.product = product, .form = Tensor({bytes}, DType::u8)};
      },
      [&](Tensor& packed) { product->pack(packed.raw(), weight.raw()); });
}

Tensor PackedWeights::widened(const Tensor& weight, Backend& cpu) {
  return form(
      weight, [&](const Entry& e) { return !e.product && e.form.shape() == weight.shape(); },
      [&] { return Entry{.form = empty_like(weight, DType::f32)}; },
      [&](Tensor& wide) { cpu.copy(wide, weight); });
}

template <class Is, class Make, class Fill>
Tensor PackedWeights::form(const Tensor& weight, const Is& is, const Make& make, const Fill& fill) {
  const std::lock_guard lock(mutex_);
  const Storage& storage = weight.storage();
  const std::uint64_t version = storage.version();
  Entry* entry = nullptr;
  const auto [first, last] = entries_.equal_range(storage.id());
  for (auto it = first; it != last; ++it) {
    if (it->second.offset == weight.byte_offset() && is(it->second)) entry = &it->second;
  }
  if (entry != nullptr && entry->version == version) return entry->form;

  std::erase_if(entries_, [](const auto& item) { return item.second.storage.expired(); });
  if (entry == nullptr) {
    entry = &entries_.emplace(storage.id(), make())->second;
    entry->storage = weight.weak_storage();
    entry->offset = weight.byte_offset();
  }
  fill(entry->form);
  entry->version = version;
  return entry->form;
}

std::size_t PackedWeights::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace weft
