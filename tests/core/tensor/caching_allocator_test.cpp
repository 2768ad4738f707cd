// The caching allocator: reuse, statistics, alignment, threads, and what it says when memory is
// out.
#include "core/tensor/caching_allocator.hpp"

#include <cstring>
#include <fstream>
#include <numeric>
#include <optional>
#include <thread>

#include <sys/resource.h>
#include <unistd.h>

#include "core/tensor/memory_check.hpp"
#include "tests/core/expect_error.hpp"

namespace weft {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(CpuAllocator, HandsFreedBlocksOutAgain) {
  CpuAllocator a;
  void* p = a.allocate(1000);
  a.deallocate(p, 1000);
  EXPECT_EQ(a.allocate(1000), p);
  void* q = a.allocate(1000);
  EXPECT_NE(q, p);
  a.deallocate(p, 1000);
  a.deallocate(q, 1000);
}

TEST(PrivatePool, KeepsItsBlocksFromOthers) {
  CpuAllocator a;
  void* common = a.allocate(1000);
  a.deallocate(common, 1000);
  std::optional<PrivatePool> pool(a);
  void* p = a.allocate(1000);
  EXPECT_NE(p, common) << "a pool begins without blocks";
  a.deallocate(p, 1000);
  EXPECT_EQ(a.allocate(1000), p) << "within the pool blocks are used again";
  void* kept = a.allocate(1000);
  pool->close();
  a.deallocate(p, 1000);
  EXPECT_EQ(a.allocate(1000), common);
  void* other = a.allocate(1000);
  EXPECT_NE(other, p) << "p belongs to the pool, though it is free";
  a.release_cached();
  allow_access(p, 1000);
  std::memset(p, 1, 1000);  // whoever replays work on it may still do so
  pool.reset();
  EXPECT_EQ(a.allocate(1000), p);
  a.deallocate(kept, 1000);
  EXPECT_EQ(a.allocate(1000), kept) << "what outlives the pool becomes common";
  for (void* block : {common, other, p, kept}) a.deallocate(block, 1000);
  EXPECT_EQ(a.stats().in_use, 0U);
}

TEST(CpuAllocator, CountsBytes) {
  CpuAllocator a;
  void* small = a.allocate(4096);
  void* large = a.allocate(4 * kMiB);
  EXPECT_EQ(a.stats().in_use, 4096 + 4 * kMiB);
  EXPECT_EQ(a.stats().peak, 4096 + 4 * kMiB);
  a.deallocate(large, 4 * kMiB);
  EXPECT_EQ(a.stats().in_use, 4096U);
  EXPECT_EQ(a.stats().peak, 4096 + 4 * kMiB);
  EXPECT_GE(a.stats().reserved, 4096 + 4 * kMiB) << "the free block is kept";
  a.release_cached();
  EXPECT_LT(a.stats().reserved, 4 * kMiB);
  a.deallocate(small, 4096);
  EXPECT_EQ(a.stats().in_use, 0U);
  a.release_cached();
  EXPECT_EQ(a.stats().reserved, 0U);
}

std::size_t sum_of(const BytesByUse& by_use) {
  return std::accumulate(by_use.begin(), by_use.end(), std::size_t{0});
}

TEST(CpuAllocator, CountsBytesByUse) {
  CpuAllocator a;
  const auto in_use = [&](MemoryUse use) {
    return a.bytes_by_use()[static_cast<std::size_t>(use)];
  };
  void* scratch = a.allocate(1024);
  void* weights = nullptr;
  void* inner = nullptr;
  {
    const MemoryScope scope(MemoryUse::weights);
    weights = a.allocate(4096);
    const MemoryScope nested(MemoryUse::activations);
    inner = a.allocate(2048);
  }
  EXPECT_EQ(in_use(MemoryUse::workspace), 1024U);
  EXPECT_EQ(in_use(MemoryUse::weights), 4096U);
  EXPECT_EQ(in_use(MemoryUse::activations), 2048U);
  EXPECT_EQ(sum_of(a.bytes_by_use()), a.stats().in_use);
  a.deallocate(inner, 2048);
  a.deallocate(scratch, 1024);
  EXPECT_EQ(in_use(MemoryUse::activations), 0U);
  EXPECT_EQ(sum_of(a.bytes_by_use()), a.stats().in_use);
  EXPECT_EQ(sum_of(a.peaks_by_use()), 1024U + 4096U + 2048U);
  void* again = a.allocate(2048);  // the block that was an activation
  EXPECT_EQ(in_use(MemoryUse::workspace), 2048U);
  a.deallocate(again, 2048);
  a.deallocate(weights, 4096);
  EXPECT_EQ(sum_of(a.bytes_by_use()), 0U);
}

TEST(CpuAllocator, MemoryMayBecomeSomethingElse) {
  const auto counted = [](MemoryUse use) {
    return caching_allocator({}).bytes_by_use()[static_cast<std::size_t>(use)];
  };
  const std::size_t before = counted(MemoryUse::gradients);
  const std::size_t others = counted(MemoryUse::workspace);
  {
    const Tensor x({256}, DType::f32);
    EXPECT_EQ(counted(MemoryUse::workspace), others + 1024);
    count_as(x, MemoryUse::gradients);
    count_as(x.narrow(0, 4), MemoryUse::gradients);  // its memory is that already
    EXPECT_EQ(counted(MemoryUse::gradients), before + 1024);
    EXPECT_EQ(counted(MemoryUse::workspace), others);
  }
  EXPECT_EQ(counted(MemoryUse::gradients), before);
}

TEST(CpuAllocator, WastesLittleAndAligns) {
  CpuAllocator a;
  for (std::size_t bytes = 0; bytes < 3 * kMiB; bytes = bytes * 9 / 8 + 1) {
    void* p = a.allocate(bytes);
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 64, 0U);
    EXPECT_GE(a.stats().in_use, bytes);
    EXPECT_LE(a.stats().in_use, std::max(bytes + 64, bytes + bytes / 8));
    std::memset(p, 1, bytes);  // the sanitizer watches
    a.deallocate(p, bytes);
  }
}

TEST(CpuAllocator, BlocksOfOneClassAreShared) {
  CpuAllocator a;
  void* p = a.allocate(8000);
  a.deallocate(p, 8000);
  EXPECT_EQ(a.allocate(8100), p) << "8000 and 8100 bytes round up to the same class";
  a.deallocate(p, 8100);
  EXPECT_EQ(a.stats().in_use, 0U);
}

TEST(CpuAllocator, ServesSeveralThreads) {
  CpuAllocator a;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&a, t] {
      for (std::size_t i = 0; i < 2000; ++i) {
        const std::size_t bytes = 64 + i % 7 * 100;
        auto* p = static_cast<unsigned char*>(a.allocate(bytes));
        std::memset(p, t, bytes);
        for (std::size_t k = 0; k < bytes; ++k) ASSERT_EQ(p[k], t);  // nobody else has it
        a.deallocate(p, bytes);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(a.stats().in_use, 0U);
}

TEST(CpuAllocator, SaysHowMuchWasWanted) {
  CpuAllocator a;
  expect_error([&] { a.allocate(std::size_t{1} << 60); },
               {"out of memory", "1152921504606846976 bytes"});
  expect_error([&] { a.allocate(~std::size_t{0}); }, {"out of memory", "18446744073709551615"});
  EXPECT_EQ(a.stats().in_use, 0U);
}

// Not under the address sanitizer, which takes more address space than it may have here.
#ifndef __SANITIZE_ADDRESS__
// Of this process, in bytes.
std::size_t address_space() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(getpagesize());
}

TEST(CpuAllocator, GivesFreeBlocksBackBeforeItGivesUp) {
  CpuAllocator a;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  a.deallocate(a.allocate(512 * kMiB), 512 * kMiB);
  rlimit tight = before;
  tight.rlim_cur = address_space() + 64 * kMiB;
  ASSERT_EQ(setrlimit(RLIMIT_AS, &tight), 0);
  void* p = nullptr;
  EXPECT_NO_THROW(p = a.allocate(400 * kMiB));
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  if (p != nullptr) a.deallocate(p, 400 * kMiB);
}
#endif

}  // namespace
}  // namespace weft
