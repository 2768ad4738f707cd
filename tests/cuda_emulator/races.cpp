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

// Who accessed and when; 0 is nobody.
struct Stamp {
  std::uint64_t serial : 24;  // of the block
  std::uint64_t thread : 10;
  std::uint64_t block_epoch : 14;
  std::uint64_t warp_epoch : 13;
  std::uint64_t bytes : 2;   // which of the grain's two
  std::uint64_t atomic : 1;  // atomic accesses are ordered among themselves
};

struct Cell {
  Stamp writer, reader, other_reader;
  const void* written_by;  // instructions
  const void* read_by;
};

constexpr std::uint32_t kSerials = 1U << 24, kEpochs = 1U << 13;

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
bool unordered(const Stamp& earlier, const Visit& v) {
  if ((earlier.bytes & v.me.bytes) == 0 || (earlier.atomic != 0 && v.me.atomic != 0)) return false;
  if (earlier.serial != v.me.serial)
    return !v.shared && earlier.serial >= launch_serial && !v.t.block->grid().fenced;
  if (earlier.thread == v.me.thread || earlier.block_epoch != v.me.block_epoch) return false;
  return earlier.thread / kWarp != v.me.thread / kWarp || earlier.warp_epoch == v.me.warp_epoch;
}

std::string who(const Stamp& stamp, const Visit& v) {
  const dim3& b = v.t.block->grid().block;
  const auto i = static_cast<unsigned>(stamp.thread);
  std::string name = "thread " + str(uint3{i % b.x, i / b.x % b.y, i / b.x / b.y});
  if (stamp.serial != v.me.serial)
    name += " of block number " + std::to_string(stamp.serial - launch_serial);
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

bool in_use(const Stamp& s, const Visit& v) {
  return v.shared ? s.serial == v.me.serial : s.serial >= launch_serial;
}

void visit(Cell& cell, const Visit& v) {
  if (unordered(cell.writer, v)) fail_race(v, cell.writer, true, cell.written_by);
  if (v.access == Access::write) {
    if (unordered(cell.reader, v)) fail_race(v, cell.reader, false, cell.read_by);
    if (unordered(cell.other_reader, v)) fail_race(v, cell.other_reader, false, cell.read_by);
    if (v.fixed && !in_use(cell.writer, v)) v.t.block->static_shared_bytes += kGrain;
    // Of a grain that one thread writes byte by byte, both bytes count.
    const Stamp& w = cell.writer;
    const bool again = w.serial == v.me.serial && w.thread == v.me.thread &&
                       w.block_epoch == v.me.block_epoch && w.warp_epoch == v.me.warp_epoch;
    const unsigned bytes = (again ? w.bytes : 0U) | v.me.bytes;
    cell.writer = v.me;
    cell.writer.bytes = bytes & 3;
    cell.written_by = v.caller;
    return;
  }
  if (v.shared && !in_use(cell.writer, v)) {
    leave_kernel();
    fail_in_kernel(v.t, "reads shared memory that no thread of the block has written, at " +
                            source_line(v.caller));
  }
  // Two readers are kept, of different warps where there are such.
  const Stamp& r = cell.reader;
  const bool same_thread = r.serial == v.me.serial && r.thread == v.me.thread;
  if (!same_thread && in_use(r, v)) {
    const Stamp& o = cell.other_reader;
    const bool same_warp = r.serial == v.me.serial && r.thread / kWarp == v.me.thread / kWarp;
    const bool other_is_older = !in_use(o, v) || o.serial != v.me.serial ||
                                o.block_epoch != v.me.block_epoch ||
                                o.thread / kWarp == v.me.thread / kWarp;
    if (!same_warp || other_is_older) cell.other_reader = r;
  }
  cell.reader = v.me;
  cell.read_by = v.caller;
}

void visit_all(Cell* cells, std::size_t offset, Visit& v) {
  const std::size_t end = offset + v.bytes;
  for (std::size_t grain = offset / kGrain; grain * kGrain < end; ++grain) {
    const std::size_t first = grain * kGrain;
    v.me.bytes = (offset <= first ? 1U : 0U) | (end >= first + kGrain ? 2U : 0U);
    visit(cells[grain], v);
  }
}

// Whether `p` belongs to the program's code and constants.
bool in_program(const void* p) {
  extern const char begin __asm__("__executable_start");
  extern const char end __asm__("_end");
  return p >= static_cast<const void*>(&begin) && p < static_cast<const void*>(&end);
}

[[noreturn]] void fail_access(const void* p, std::size_t bytes, const void* caller,
                              const char* what) {
  const Thread& t = leave_kernel();
  char address[32];
  std::snprintf(address, sizeof address, "%p", p);
  fail_in_kernel(t, "accesses " + std::to_string(bytes) + " bytes of " + what + " (" + address +
                        ") at " + source_line(caller));
}

void check_device_memory(const Thread& t, const void* p, std::size_t bytes, const void* caller) {
  DeviceMemory& memory = DeviceMemory::instance();
  if (!memory.allocated(p, bytes))
    fail_access(p, bytes, caller, "device memory outside of every allocation");
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
  if (t.block_epoch >= kEpochs || t.warp_epoch >= kEpochs)
    fail_in_kernel(leave_kernel(), "more barriers than the race check counts; take a smaller case");
  Visit v{.t = t,
          .me = {.serial = t.block->serial() % kSerials,
                 .thread = t.linear % kMaxThreads,
                 .block_epoch = t.block_epoch % kEpochs,
                 .warp_epoch = t.warp_epoch % kEpochs,
                 .bytes = 0,
                 .atomic = atomic ? 1U : 0U},
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
