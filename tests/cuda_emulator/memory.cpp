// Device memory is mapped without access rights, which it gets only while work of a stream runs: a
// host that touches it ends with a message.
#include "tests/cuda_emulator/memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>

#include <signal.h>
#include <sys/mman.h>

#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/runtime_api.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"
#include "tests/cuda_emulator/settings.hpp"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace cuda_emulator {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

void poison([[maybe_unused]] const void* p, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(p, bytes);
#endif
}

void unpoison([[maybe_unused]] const void* p, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(p, bytes);
#endif
}

#if !defined(__SANITIZE_ADDRESS__)
struct sigaction previous_handler;

void on_fault(int signal, siginfo_t* info, void* context) {
  if (DeviceMemory::instance().contains(info->si_addr)) {
    static const char text[] = "CUDA emulator: host code touches device memory\n";
    (void)!::write(2, text, sizeof text - 1);
  }
  (void)context;
  sigaction(signal, &previous_handler, nullptr);  // and the access is made again
}
#endif

void* map(std::size_t bytes, int rights) {
  void* p = mmap(nullptr, bytes, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) fail("cannot reserve " + std::to_string(bytes) + " bytes of addresses");
  return p;
}

// Pinned host memory: start -> size and whether it is ours.
struct Pinned {
  std::size_t bytes;
  bool owned;
};
std::mutex pinned_mutex;
std::map<const char*, Pinned>& pinned() {
  static auto* ranges = new std::map<const char*, Pinned>;
  return *ranges;
}

}  // namespace

DeviceMemory& DeviceMemory::instance() {
  static auto* memory = new DeviceMemory;
  return *memory;
}

DeviceMemory::DeviceMemory() {
  const Settings& s = settings();
  const auto devices = static_cast<std::size_t>(std::max(1, s.devices));
  // Room for the gaps between allocations, on top of what may be in use.
  device_bytes_ = (s.device_bytes + s.device_bytes / 4 + kHugePage - 1) / kHugePage * kHugePage;
  bytes_ = devices * device_bytes_;
  // Whole huge pages: changing the rights of small ones takes long.
  const auto start = reinterpret_cast<std::uintptr_t>(map(bytes_ + kHugePage, PROT_NONE));
  base_ = reinterpret_cast<char*>((start + kHugePage - 1) / kHugePage * kHugePage);
  madvise(base_, bytes_, MADV_HUGEPAGE);
  used_.resize(devices);
  high_.resize(devices);
  valid_ = static_cast<std::uint16_t*>(
      map((bytes_ / kGranule + 1) * sizeof(std::uint16_t), PROT_READ | PROT_WRITE));
  poison(base_, bytes_);
#if !defined(__SANITIZE_ADDRESS__)
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, &previous_handler);
#endif
}

void* DeviceMemory::allocate(int device, std::size_t bytes) {
  const DeviceMemoryAccess access;  // to fill it
  const std::scoped_lock lock(mutex_);
  const auto d = static_cast<std::size_t>(device);
  if (used_[d] + bytes > settings().device_bytes) return nullptr;
  const std::size_t room = round_up(bytes) + kGranule;
  const std::size_t first = d * device_bytes_, end = first + device_bytes_;
  std::size_t at = first + kGranule;  // before the first block is nobody's, too
  for (auto i = blocks_.lower_bound(first); i != blocks_.end() && i->first < end; ++i) {
    if (i->first - at >= room) break;
    at = i->first + round_up(i->second.size) + kGranule;
  }
  if (at + room > end) return nullptr;
  used_[d] += bytes;
  high_[d] = std::max(high_[d], (at + room - first + kHugePage - 1) / kHugePage * kHugePage);
  set_rights(PROT_READ | PROT_WRITE);
  set_owned(at, blocks_[at] = {.size = bytes}, bytes);
  return base_ + at;
}

void DeviceMemory::set_owned(std::size_t at, Block& block, std::size_t bytes) {
  block.owned = bytes;
  for (std::size_t i = 0; i * kGranule < block.size; ++i) {
    const std::size_t left = bytes - std::min(bytes, i * kGranule);
    valid_[at / kGranule + i] = static_cast<std::uint16_t>(std::min(kGranule, left));
  }
  poison(base_ + at, block.size);
  unpoison(base_ + at, bytes);
  std::memset(base_ + at, 0xff, bytes);
}

void DeviceMemory::lend(void* p, std::size_t bytes, std::size_t size) {
  const DeviceMemoryAccess access;  // to fill it
  const std::scoped_lock lock(mutex_);
  const auto found = blocks_.find(offset(p));
  if (found == blocks_.end() || found->second.size != size || bytes > size)
    fail("an allocator lends what is no block of cudaMalloc");
  found->second.lent = true;
  set_owned(found->first, found->second, bytes);
}

bool DeviceMemory::release(void* p) {
  const std::scoped_lock lock(mutex_);
  if (!contains(p)) return false;
  const auto found = blocks_.find(offset(p));
  if (found == blocks_.end()) return false;
  const std::size_t bytes = found->second.size;
  used_[offset(p) / device_bytes_] -= bytes;
  std::fill_n(valid_ + found->first / kGranule, (bytes + kGranule - 1) / kGranule,
              std::uint16_t{0});
  // Whole pages go back to the system.
  const std::size_t first = (offset(p) + kHugePage - 1) / kHugePage * kHugePage;
  const std::size_t last = (offset(p) + bytes) / kHugePage * kHugePage;
  if (last > first) madvise(base_ + first, last - first, MADV_DONTNEED);
  poison(p, bytes);
  blocks_.erase(found);
  return true;
}

std::size_t DeviceMemory::used(int device) {
  const std::scoped_lock lock(mutex_);
  return used_[static_cast<std::size_t>(device)];
}

bool DeviceMemory::holds(const void* p, std::size_t bytes) {
  const std::scoped_lock lock(mutex_);
  if (!contains(p)) return false;
  auto found = blocks_.upper_bound(offset(p));
  if (found == blocks_.begin()) return false;
  --found;
  return offset(p) + bytes <= found->first + found->second.size;
}

bool DeviceMemory::allocated(const void* p, std::size_t bytes) const {
  const std::size_t first = offset(p), last = first + bytes - 1;
  return first % kGranule < valid_[first / kGranule] && last % kGranule < valid_[last / kGranule];
}

std::string DeviceMemory::place(const void* p) {
  const std::scoped_lock lock(mutex_);
  const auto next = blocks_.upper_bound(offset(p));
  const auto name = [](const Block& b) {
    if (b.lent && b.owned == 0) return "a free block of " + std::to_string(b.size) + " bytes";
    return (b.lent ? "a tensor of " : "an allocation of ") + std::to_string(b.owned) + " bytes";
  };
  if (next == blocks_.begin() ||
      (next != blocks_.end() && next->first - offset(p) <= kGranule / 2)) {
    if (next == blocks_.end()) return "a place without allocations";
    return std::to_string(next->first - offset(p)) + " bytes before " + name(next->second);
  }
  const auto& [first, block] = *std::prev(next);
  return "byte " + std::to_string(offset(p) - first) + " of " + name(block);
}

void DeviceMemory::set_rights(int rights) {
  for (std::size_t d = 0; d < high_.size(); ++d)
    if (high_[d] > 0) mprotect(base_ + d * device_bytes_, high_[d], rights);
}

void DeviceMemory::open() {
  const std::scoped_lock lock(mutex_);
  if (open_++ == 0) set_rights(PROT_READ | PROT_WRITE);
}

void DeviceMemory::close() {
  const std::scoped_lock lock(mutex_);
  if (--open_ == 0) set_rights(PROT_NONE);
}

void check_range(std::string_view what, const void* p, std::size_t bytes) {
  DeviceMemory& memory = DeviceMemory::instance();
  if (bytes == 0 || !memory.contains(p) || memory.allocated(p, bytes)) return;
  fault(std::string(what) + ": " + std::to_string(bytes) + " bytes at " + memory.place(p));
}

bool is_pinned(const void* p, std::size_t bytes) {
  const std::scoped_lock lock(pinned_mutex);
  const char* first = static_cast<const char*>(p);
  auto found = pinned().upper_bound(first);
  if (found == pinned().begin()) return false;
  --found;
  return first + bytes <= found->first + found->second.bytes;
}

}  // namespace cuda_emulator

using namespace cuda_emulator;

cudaError_t cudaMalloc(void** p, std::size_t bytes) {
  if (settings().devices == 0) return failed(cudaErrorNoDevice);
  if (const cudaError_t e = not_while_capturing("cudaMalloc")) return e;
  *p = nullptr;
  if (bytes == 0) return cudaSuccess;
  *p = DeviceMemory::instance().allocate(current_device(), bytes);
  return *p != nullptr ? cudaSuccess : failed(cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void* p) {
  if (p == nullptr) return cudaSuccess;
  if (const cudaError_t e = not_while_capturing("cudaFree")) return e;
  run_everything();
  if (DeviceMemory::instance().release(p)) return cudaSuccess;
  explain("cudaFree of what cudaMalloc did not give");
  return failed(cudaErrorInvalidValue);
}

cudaError_t cudaMallocHost(void** p, std::size_t bytes, unsigned) {
  if (settings().devices == 0) return failed(cudaErrorNoDevice);
  if (const cudaError_t e = not_while_capturing("cudaMallocHost")) return e;
  *p = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (posix_memalign(p, 512, bytes) != 0) return failed(cudaErrorMemoryAllocation);
  std::memset(*p, 0xff, bytes);
  const std::scoped_lock lock(pinned_mutex);
  pinned()[static_cast<const char*>(*p)] = {bytes, true};
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** p, std::size_t bytes, unsigned flags) {
  return cudaMallocHost(p, bytes, flags);
}

cudaError_t cudaFreeHost(void* p) {
  if (p == nullptr) return cudaSuccess;
  if (const cudaError_t e = not_while_capturing("cudaFreeHost")) return e;
  run_everything();
  const std::scoped_lock lock(pinned_mutex);
  const auto found = pinned().find(static_cast<const char*>(p));
  if (found == pinned().end() || !found->second.owned) {
    explain("cudaFreeHost of what cudaMallocHost did not give");
    return failed(cudaErrorInvalidValue);
  }
  pinned().erase(found);
  std::free(p);
  return cudaSuccess;
}

cudaError_t cudaHostRegister(void* p, std::size_t bytes, unsigned) {
  if (is_pinned(p, 1)) return failed(cudaErrorHostMemoryAlreadyRegistered);
  const std::scoped_lock lock(pinned_mutex);
  pinned()[static_cast<const char*>(p)] = {bytes, false};
  return cudaSuccess;
}

cudaError_t cudaHostUnregister(void* p) {
  run_everything();
  const std::scoped_lock lock(pinned_mutex);
  const auto found = pinned().find(static_cast<const char*>(p));
  if (found == pinned().end() || found->second.owned)
    return failed(cudaErrorHostMemoryNotRegistered);
  pinned().erase(found);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  *total_bytes = settings().device_bytes;
  *free_bytes = *total_bytes - DeviceMemory::instance().used(current_device());
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* p) {
  DeviceMemory& memory = DeviceMemory::instance();
  void* mutable_p = const_cast<void*>(p);
  if (memory.contains(p))
    *attributes = {cudaMemoryTypeDevice, memory.device_of(p), mutable_p, nullptr};
  else if (is_pinned(p, 1))
    *attributes = {cudaMemoryTypeHost, current_device(), mutable_p, mutable_p};
  else
    *attributes = {cudaMemoryTypeUnregistered, -1, nullptr, mutable_p};
  return cudaSuccess;
}
