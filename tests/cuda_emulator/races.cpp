// The memory of accesses behind the race check.
#include "tests/cuda_emulator/races.hpp"

#include <cstdio>
#include <string>

#include <link.h>
#include <sys/mman.h>

#include "tests/cuda_emulator/block.hpp"
#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/launches.hpp"
#include "tests/cuda_emulator/memory.hpp"

namespace cuda_emulator {

namespace {

constexpr std::size_t kGrain = 2;  // bytes: the smallest elements that kernels share out

// Who accessed and when; 0 is nobody. What tells most accesses apart comes first, so that one
// comparison of all bits above does for them.
class Stamp {
 public:
  Stamp() = default;
  Stamp(std::uint32_t serial, std::uint32_t block_epoch, unsigned thread, std::uint32_t warp_epoch,
        unsigned bytes, bool atomic)
      : bits_(std::uint64_t{serial} << 40 | std::uint64_t{block_epoch} << 26 |
              std::uint64_t{thread} << 16 | warp_epoch << 3 | bytes << 1 | (atomic ? 1U : 0U)) {}

  std::uint32_t serial() const { return static_cast<std::uint32_t>(bits_ >> 40); }  // of the block
  unsigned thread() const { return bits_ >> 16 & 1023; }
  std::uint32_t warp_epoch() const { return bits_ >> 3 & 8191; }
  unsigned bytes() const { return bits_ >> 1 & 3; }  // which of the grain's two
  bool atomic() const { return (bits_ & 1) != 0; }   // these are ordered among themselves
  Stamp with_bytes(unsigned bytes) const {
    Stamp s = *this;
    s.bits_ = (bits_ & ~std::uint64_t{6}) | bytes << 1;
    return s;
  }

  bool operator==(const Stamp&) const = default;
  bool same_block(const Stamp& o) const { return (bits_ ^ o.bits_) >> 40 == 0; }
  bool same_block_epoch(const Stamp& o) const { return (bits_ ^ o.bits_) >> 26 == 0; }
  bool same_thread(const Stamp& o) const { return same_block(o) && thread() == o.thread(); }
  bool same_warp(const Stamp& o) const {
    return same_block(o) && thread() / kWarp == o.thread() / kWarp;
  }

 private:
  std::uint64_t bits_ = 0;
};

struct Cell {
  Stamp writer, reader, other_reader;
  const void* written_by;  // instructions
  const void* read_by;
};

constexpr std::uint32_t kSerials = 1U << 24, kBlockEpochs = 1U << 14, kWarpEpochs = 1U << 13;

Cell* reserve(std::size_t bytes) {
  void* p = mmap(nullptr, bytes / kGrain * sizeof(Cell), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) fail("cannot reserve addresses for the race check");
  return static_cast<Cell*>(p);
}

// Static shared memory is this program's thread-local storage in the OS thread that runs the block.
struct ThreadLocalStorage {
  const char* begin = nullptr;
  std::size_t bytes = 0;
};

ThreadLocalStorage thread_local_storage() {
  ThreadLocalStorage storage;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        auto* s = static_cast<ThreadLocalStorage*>(out);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          if (info->dlpi_phdr[i].p_type != PT_TLS || info->dlpi_tls_data == nullptr) continue;
          s->begin = static_cast<const char*>(info->dlpi_tls_data);
          s->bytes = info->dlpi_phdr[i].p_memsz;
        }
        return 1;  // the program itself comes first
      },
      &storage);
  return storage;
}

// The cells of an OS thread's shared memory, and of the whole device memory.
struct SharedCells {
  SharedCells()
      : storage(thread_local_storage()),
        fixed(reserve(storage.bytes + 2 * kGrain)),
        dynamic(reserve(kMaxSharedBytes + 2 * kGrain)) {}
  ThreadLocalStorage storage;
  Cell* fixed;
  Cell* dynamic;
};
thread_local SharedCells* shared_cells = nullptr;

Cell* device_cells() {
  static Cell* cells = reserve(DeviceMemory::instance().bytes() + 2 * kGrain);
  return cells;
}

std::uint32_t next_serial = 1;
std::uint32_t launch_serial = 1;  // of the running launch's first block

// One access on its way through the cells.
struct Visit {
  const Thread& t;
  Stamp me;
  std::size_t bytes;
  Access access;
  const void* caller;
  bool shared, fixed;  // in shared memory; in static shared memory
};

// Whether an earlier access may happen at the same time as this one.
inline bool unordered(const Stamp& earlier, const Visit& v) {
  if (!earlier.same_block_epoch(v.me)) {
    // Other blocks run at the same time, until one of them has made a fence.
    if (v.shared || earlier.serial() < launch_serial || earlier.same_block(v.me)) return false;
    if (v.t.block->grid().fenced) return false;
  } else if (earlier.thread() == v.me.thread() ||
             (earlier.same_warp(v.me) && earlier.warp_epoch() != v.me.warp_epoch())) {
    return false;
  }
  return (earlier.bytes() & v.me.bytes()) != 0 && !(earlier.atomic() && v.me.atomic());
}

std::string who(const Stamp& stamp, const Visit& v) {
  const dim3& b = v.t.block->grid().block;
  const unsigned i = stamp.thread();
  std::string name = "thread " + str(uint3{i % b.x, i / b.x % b.y, i / b.x / b.y});
  if (!stamp.same_block(v.me))
    name += " of block number " + std::to_string(stamp.serial() - launch_serial);
  return name;
}

[[noreturn]] void fail_race(const Visit& v, const Stamp& earlier, bool earlier_wrote,
                            const void* earlier_caller) {
  leave_kernel();
  const std::string memory = v.shared ? "shared" : "device";
  const std::string message =
      "race on " + memory + " memory: " + (v.access == Access::write ? "writes " : "reads ") +
      std::to_string(v.bytes) + " bytes at " + source_line(v.caller) + ", which " +
      who(earlier, v) + (earlier_wrote ? " wrote at " : " read at ") + source_line(earlier_caller) +
      "; no barrier orders the two";
  fail_in_kernel(v.t, message);
}

inline bool in_use(const Stamp& s, const Visit& v) {
  return v.shared ? s.same_block(v.me) : s.serial() >= launch_serial;
}

void write(Cell& cell, const Visit& v) {
  if (cell.writer == v.me) return;  // whoever has read since was compared with that write
  if (unordered(cell.writer, v)) fail_race(v, cell.writer, true, cell.written_by);
  if (unordered(cell.reader, v)) fail_race(v, cell.reader, false, cell.read_by);
  if (unordered(cell.other_reader, v)) fail_race(v, cell.other_reader, false, cell.read_by);
  if (v.fixed && !in_use(cell.writer, v)) v.t.block->static_shared_bytes += kGrain;
  // Of a grain that one thread writes byte by byte, both bytes count.
  const unsigned before = cell.writer.bytes();
  const bool again = cell.writer.with_bytes(0) == v.me.with_bytes(0);
  cell.writer = again ? v.me.with_bytes(before | v.me.bytes()) : v.me;
  cell.written_by = v.caller;
}

void read(Cell& cell, const Visit& v) {
  if (cell.reader == v.me) return;  // whoever has written since was compared with that read
  if (unordered(cell.writer, v)) fail_race(v, cell.writer, true, cell.written_by);
  if (v.shared && !in_use(cell.writer, v)) {
    leave_kernel();
    fail_in_kernel(v.t, "reads shared memory that no thread of the block has written, at " +
                            source_line(v.caller));
  }
  // Two readers are kept, of different warps where there are such.
  const Stamp &r = cell.reader, &o = cell.other_reader;
  if (in_use(r, v) && !r.same_thread(v.me)) {
    const bool other_is_older = !o.same_block_epoch(v.me) || o.same_warp(v.me);
    if (!r.same_warp(v.me) || other_is_older) cell.other_reader = r;
  }
  cell.reader = v.me;
  cell.read_by = v.caller;
}

void visit_all(Cell* cells, std::size_t offset, Visit& v) {
  const std::size_t end = offset + v.bytes;
  for (std::size_t grain = offset / kGrain; grain * kGrain < end; ++grain) {
    const std::size_t first = grain * kGrain;
    v.me = v.me.with_bytes((offset <= first ? 1U : 0U) | (end >= first + kGrain ? 2U : 0U));
    if (v.access == Access::write)
      write(cells[grain], v);
    else
      read(cells[grain], v);
  }
}

// Whether `p` belongs to the program's code and constants.
bool in_program(const void* p) {
  extern const char begin __asm__("__executable_start");
  extern const char end __asm__("_end");
  return p >= static_cast<const void*>(&begin) && p < static_cast<const void*>(&end);
}

// Without `what`: of device memory that is nobody's.
[[noreturn]] void fail_access(const void* p, std::size_t bytes, const void* caller,
                              const char* what) {
  const Thread& t = leave_kernel();
  const std::string memory =
      what != nullptr ? what : "device memory at " + DeviceMemory::instance().place(p);
  char address[32];
  std::snprintf(address, sizeof address, "%p", p);
  fail_in_kernel(t, "accesses " + std::to_string(bytes) + " bytes of " + memory + " (" + address +
                        ") at " + source_line(caller));
}

void check_device_memory(const Thread& t, const void* p, std::size_t bytes, const void* caller) {
  DeviceMemory& memory = DeviceMemory::instance();
  if (!memory.allocated(p, bytes)) fail_access(p, bytes, caller, nullptr);
  if (memory.device_of(p) != t.block->grid().device)
    fail_access(p, bytes, caller, "another device's memory");
}

// Whether the accesses of kernels are seen at all; the sanitizers have hooks of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSeesAccesses = false;
#else
constexpr bool kSeesAccesses = true;
#endif

void check(const void* p, std::size_t bytes, Access access, bool atomic, const void* caller) {
  const Thread& t = *current_thread;
  if (t.fibre->holds(p)) return;
  if (shared_cells == nullptr) shared_cells = new SharedCells;
  if (t.block_epoch >= kBlockEpochs || t.warp_epoch >= kWarpEpochs)
    fail_in_kernel(leave_kernel(), "more barriers than the race check counts; take a smaller case");
  Visit v{.t = t,
          .me = {t.block->serial(), t.block_epoch, t.linear, t.warp_epoch, 0, atomic},
          .bytes = bytes,
          .access = access,
          .caller = caller,
          .shared = false,
          .fixed = false};
  const char* at = static_cast<const char*>(p);
  DeviceMemory& memory = DeviceMemory::instance();
  if (memory.contains(p)) {
    check_device_memory(t, p, bytes, caller);
    return visit_all(device_cells(), memory.offset(p), v);
  }
  v.shared = true;
  const ThreadLocalStorage& fixed = shared_cells->storage;
  if (const auto offset = static_cast<std::size_t>(at - fixed.begin); offset < fixed.bytes) {
    v.fixed = true;
    return visit_all(shared_cells->fixed, offset, v);
  }
  const Grid& grid = t.block->grid();
  const auto* dynamic = reinterpret_cast<const char*>(t.block->dynamic_shared());
  if (const auto offset = static_cast<std::size_t>(at - dynamic);
      dynamic != nullptr && offset < grid.shared_bytes) {
    if (offset + bytes > grid.shared_bytes)
      fail_access(p, bytes, caller, "memory past the end of dynamic shared memory");
    return visit_all(shared_cells->dynamic, offset, v);
  }
  const auto* parameters = reinterpret_cast<const char*>(grid.call);
  if (static_cast<std::size_t>(at - parameters) < grid.call->size()) return;
  if (in_program(p) || is_pinned(p, bytes)) return;
  fail_access(p, bytes, caller, "host memory");
}

}  // namespace

std::uint32_t first_serial(std::uint32_t blocks) {
  if (blocks >= kSerials) fail("more blocks than the race check can count; make the case smaller");
  if (kSeesAccesses && next_serial + blocks >= kSerials) {
    // The numbers begin again; nobody may be taken for one of the old blocks.
    madvise(device_cells(), DeviceMemory::instance().bytes() / kGrain * sizeof(Cell),
            MADV_DONTNEED);
    next_serial = 1;
  }
  launch_serial = next_serial;
  next_serial += blocks;
  return launch_serial;
}

void check_access(const void* p, std::size_t bytes, Access access, const void* caller) {
  check(p, bytes, access, false, caller);
}

void check_atomic(const void* p, std::size_t bytes, const void* caller) {
  if (current_thread == nullptr) leave_kernel();  // with a message
  if (kSeesAccesses)
    check(p, bytes, Access::write, true, caller);
  else if (DeviceMemory::instance().contains(p))
    check_device_memory(*current_thread, p, bytes, caller);
}

}  // namespace cuda_emulator
