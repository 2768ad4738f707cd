// Sums in the memory of a host, with threads in the place of processes.
#include "parallel/shared_sum.hpp"

#include <chrono>
#include <thread>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/tensor/caching_allocator.hpp"
#include "tests/core/tensor_helpers.hpp"
#include "tests/parallel/threads_as_ranks.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<SharedMemory> memory_for(int ranks, std::int64_t n) {
  return std::make_shared<SharedMemory>(SharedMemory::create(SharedSum::memory_for(ranks, n)));
}

Tensor random_input(std::int64_t n, int rank, int round) {
  return make_random({n}, static_cast<std::uint64_t>(100 * round + rank));
}

// In the order of the ranks.
std::vector<float> sum_of_all(std::int64_t n, int ranks, int round) {
  std::vector<float> sum = to_vector(random_input(n, 0, round));
  for (int r = 1; r < ranks; ++r) {
    const std::vector<float> x = to_vector(random_input(n, r, round));
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += x[i];
  }
  return sum;
}

class SharedSumOnCpu : public testing::Test {
 protected:
  void SetUp() override {
    if (mpi_communicator()->size() > 1) GTEST_SKIP() << "one process is enough";
  }
};

TEST_F(SharedSumOnCpu, AllRanksReadTheSumsInRankOrderAlsoWhenTheyAreOutOfStep) {
  constexpr int kRounds = 20;
  for (const int ranks : {1, 2, 3, 5}) {
    for (const std::int64_t n : {1, 15, 100, 5003}) {
      const auto memory = memory_for(ranks, n);
      std::vector<std::vector<float>> want;
      for (int round = 0; round < kRounds; ++round) want.push_back(sum_of_all(n, ranks, round));
      on_ranks(ranks, [&](int r) {
        SharedSum sum(memory, r, ranks, n);
        for (int round = 0; round < kRounds; ++round) {
          sum.end();
          if (round % 5 == r) std::this_thread::sleep_for(1ms);
          sum.begin();
          overwrite(sum.own(), random_input(n, r, round));
          sum.add();
          if (round % 4 == r) std::this_thread::sleep_for(1ms);  // others must not write meanwhile
          EXPECT_EQ(to_vector(sum.sums()), want[static_cast<std::size_t>(round)])
              << n << " elements, rank " << r << " of " << ranks;
        }
      });
    }
  }
}

// So many elements that three arrays are added in several pieces.
TEST_F(SharedSumOnCpu, LargeArraysAreAddedInPieces) {
  constexpr std::int64_t kElements = 2'000'003;
  const auto memory = memory_for(3, kElements);
  on_ranks(3, [&](int r) {
    SharedSum sum(memory, r, 3, kElements);
    sum.end();
    sum.begin();
    overwrite(sum.own(), random_input(kElements, r, 0));
    sum.add();
    EXPECT_TRUE(same_bits(sum.sums(), to_tensor(sum_of_all(kElements, 3, 0), {kElements})));
  });
}

TEST_F(SharedSumOnCpu, PartsCoverAllElementsOnce) {
  for (const std::int64_t n : {1, 16, 17, 1000}) {
    std::int64_t covered = 0;
    const auto memory = memory_for(3, n);
    for (int r = 0; r < 3; ++r) {
      const Part part = SharedSum(memory, r, 3, n).part();
      EXPECT_EQ(part.first, covered);
      covered = part.last;
    }
    EXPECT_EQ(covered, n);
  }
}

TEST_F(SharedSumOnCpu, EachRankCountsItsOwnArray) {
  const auto counted = [] { return caching_allocator({}).bytes_by_use()[1]; };
  const std::size_t before = counted();
  {
    const SharedSum sum(memory_for(3, 1024), 1, 3, 1024);
    EXPECT_EQ(counted(), before + 4096);
  }
  EXPECT_EQ(counted(), before);
}

TEST_F(SharedSumOnCpu, ARankWhoseProcessHasEndedIsAnError) {
  const auto memory = memory_for(2, 10);
  const pid_t child = fork();
  if (child == 0) {
    SharedSum(memory, 1, 2, 10).end();
    _exit(0);  // before it brings anything
  }
  waitpid(child, nullptr, 0);
  SharedSum sum(memory, 0, 2, 10);
  sum.end();
  sum.begin();
  try {
    sum.add();
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("of rank 1 has ended"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace weft
