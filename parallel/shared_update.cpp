// An optimizer's update shared out among the data ranks of one host.
#include "parallel/shared_update.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/backend/backend.hpp"
#include "core/backend/range.hpp"
#include "core/base/error.hpp"
#include "core/tensor/caching_allocator.hpp"

namespace weft {

namespace {

enum Stage { kMet, kStages };

// The parameters, and in f32 their masters and two moments. Pages that nobody writes take no
// memory.
constexpr int kArrays = 4;

std::size_t array_bytes(std::int64_t elements) {
  constexpr std::size_t kAlignment = 64;
  return (static_cast<std::size_t>(elements) * size_of(DType::f32) + kAlignment - 1) / kAlignment *
         kAlignment;
}

// A flat array of elements of some width, of which each rank counts its part.
class CommonArray {
 public:
  CommonArray(std::shared_ptr<SharedMemory> memory, std::byte* first, std::size_t width)
      : memory_(std::move(memory)), first_(first), width_(width) {}

  std::byte* at(std::int64_t element) const {
    return first_ + static_cast<std::size_t>(element) * width_;
  }
  void count(const Part& part, MemoryUse use) {
    counted_.emplace(at(part.first), static_cast<std::size_t>(part.count()) * width_, use);
  }

 private:
  std::shared_ptr<SharedMemory> memory_;
  std::byte* first_;
  std::size_t width_;
  std::optional<AdoptedMemory> counted_;
};

}  // namespace

std::shared_ptr<UpdateSharing> SharedUpdate::connect(const std::vector<NamedParameter>& parameters,
                                                     Communicator& data) {
  if (data.size() == 1 || parameters.empty()) return nullptr;
  if (parameters[0].parameter->var.value().device().type != DeviceType::cpu) return nullptr;
  FlatLayout layout(parameters);
  std::shared_ptr<SharedMemory> memory = data.common_memory(
      kArrays * array_bytes(layout.elements()) + SharedProgress::memory_for(data.size(), kStages));
  if (!memory) return nullptr;
  return std::make_shared<SharedUpdate>(parameters, data, std::move(layout), std::move(memory));
}

SharedUpdate::SharedUpdate(const std::vector<NamedParameter>& parameters, Communicator& data,
                           FlatLayout layout, std::shared_ptr<SharedMemory> memory)
    : data_(&data),
      layout_(std::move(layout)),
      part_(FlatLayout::part(layout_.elements(), data.rank(), data.size())),
      memory_(std::move(memory)),
      meetings_(memory_->data() + kArrays * array_bytes(layout_.elements()), data.rank(),
                data.size(), kStages, "update of the weights") {
  move(parameters);
}

std::byte* SharedUpdate::next_array() {
  if (arrays_ == kArrays) throw Error("update of the weights: there are no more common tensors");
  return memory_->data() + static_cast<std::size_t>(arrays_++) * array_bytes(layout_.elements());
}

std::vector<Tensor> SharedUpdate::common_tensors() {
  const auto array = std::make_shared<CommonArray>(memory_, next_array(), size_of(DType::f32));
  array->count(part_, MemoryUse::optimizer);
  const std::shared_ptr<void> memory(array, array->at(0));
  return layout_.views(Tensor(memory, {layout_.elements()}, DType::f32));
}

void SharedUpdate::move(const std::vector<NamedParameter>& parameters) {
  std::size_t width = 0;
  for (const NamedParameter& p : parameters) {
    const Tensor& value = p.parameter->var.value();
    width = std::max(width, size_of(value.dtype()));
    if (value.bytes() == value.storage().bytes()) continue;
    throw Error("update of the weights: " + p.name + " is a part of another tensor");
  }
  const auto array = std::make_shared<CommonArray>(memory_, next_array(), width);
  std::vector<std::shared_ptr<void>> places;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Tensor& value = parameters[i].parameter->var.value();
    places.emplace_back(array, array->at(layout_.first(i)));
    const Part own = part(i);
    Tensor there =
        Tensor(places[i], value.shape(), value.dtype()).slice_flat(own.first, {own.count()});
    backend(there).copy(there, value.slice_flat(own.first, {own.count()}));
  }
  meet();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    parameters[i].parameter->var.value().storage().move_to(places[i]);
  }
  allocator(Device{}).release_cached();  // where the parameters were
  array->count(part_, MemoryUse::weights);
}

void SharedUpdate::meet() {
  const Range range("wait for the others' updates");
  meetings_.reach(kMet, ++met_);
  meetings_.wait_for_all(kMet, met_);
}

}  // namespace weft
