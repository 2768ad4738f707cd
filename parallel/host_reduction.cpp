// All-reduce of a group whose ranks share memory with some others: with those of their host.
#include "parallel/host_reduction.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "core/base/error.hpp"
#include "parallel/agree.hpp"

namespace weft {

SharedMemory share_memory(Communicator& host, std::size_t bytes) {
  std::optional<SharedMemory> memory;
  std::string offer;
  try {
    agree(host, [&] {
      if (host.rank() != 0) return;
      memory.emplace(SharedMemory::create(bytes));
      offer = memory->offer();
    });
    offer = host.broadcast(offer, 0);
    agree(host, [&] {
      if (host.rank() != 0) memory.emplace(SharedMemory::open(offer));
    });
  } catch (const AgreedError& e) {  // a rank's number in this group tells nobody anything
    throw AgreedError(std::string(e.what()).substr(e.who.size()), e.hint());
  }
  memory->withdraw();
  return std::move(*memory);
}

HostReduction::HostReduction(SharedMemory memory, std::unique_ptr<Communicator> owners,
                             StagedReductionOptions options)
    : memory_(std::move(memory)),
      owners_(std::move(owners)),
      staged_(memory_.data(), std::move(options)) {}

std::unique_ptr<HostReduction> HostReduction::connect(Communicator& group, int host,
                                                      std::size_t chunk_bytes) {
  const std::unique_ptr<Communicator> here = group.split(host, group.rank());
  // As maxima: that of the ranks on a host, of the same with the sign changed, and whether there
  // are several hosts.
  std::array<std::int64_t, 3> sizes = {here->size(), -here->size(), here->size() < group.size()};
  group.all_reduce(sizes, ReduceOp::max);
  const auto [most, minus_fewest, several] = sizes;
  if (most == 1) return nullptr;

  StagedReductionOptions options{.rank = here->rank(),
                                 .ranks = here->size(),
                                 .owners = static_cast<int>(-minus_fewest),
                                 .chunk_bytes = chunk_bytes};
  std::unique_ptr<Communicator> owners;
  if (several) {
    owners = group.split(std::min(options.rank, options.owners), group.rank());
    options.reduce_outside = [to = owners.get()](Tensor& x, ReduceOp op) { to->all_reduce(x, op); };
  }
  std::optional<SharedMemory> memory;
  agree(group, [&] {
    memory.emplace(here->size() == 1 ? SharedMemory::create(StagedReduction::memory_for(options))
                                     : share_memory(*here, StagedReduction::memory_for(options)));
  });
  return std::unique_ptr<HostReduction>(
      new HostReduction(std::move(*memory), std::move(owners), std::move(options)));
}

}  // namespace weft
