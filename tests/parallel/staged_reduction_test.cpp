// The reduction through shared memory, with threads in the place of processes: every element type,
// chunks and parts of all sizes, ranks out of step, and the memory itself between processes.
#include "parallel/staged_reduction.hpp"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "parallel/shared_counter.hpp"
#include "parallel/shared_memory.hpp"
#include "tests/core/tensor_helpers.hpp"
#include "tests/parallel/threads_as_ranks.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

// The ranks of one host; `owners` as in the options.
class Ranks {
 public:
  explicit Ranks(int ranks, std::size_t chunk_bytes, int owners = 0)
      : options_{.ranks = ranks, .owners = owners, .chunk_bytes = chunk_bytes},
        memory_(SharedMemory::create(StagedReduction::memory_for(options_))) {
    for (int r = 0; r < ranks; ++r) {
      options_.rank = r;
      reductions_.push_back(std::make_unique<StagedReduction>(memory_.data(), options_));
    }
  }
  StagedReduction& operator[](int rank) { return *reductions_[static_cast<std::size_t>(rank)]; }

 private:
  StagedReductionOptions options_;
  SharedMemory memory_;
  std::vector<std::unique_ptr<StagedReduction>> reductions_;
};

// Of rank r, rounded to the dtype.
Tensor random_input(std::int64_t n, int r, DType dtype = DType::f32) {
  const Tensor x = make_random({n}, static_cast<std::uint64_t>(r) + 10);
  return to_tensor(to_vector<double>(x), {n}, dtype);
}

// Sums in rank order in the type T.
template <class T>
std::vector<double> sum_in_order(std::int64_t n, int ranks, DType dtype) {
  std::vector<T> sums(static_cast<std::size_t>(n), T{0});
  for (int r = 0; r < ranks; ++r) {
    const std::vector<double> x = to_vector<double>(random_input(n, r, dtype));
    for (std::size_t i = 0; i < sums.size(); ++i) {
      sums[i] = r == 0 ? static_cast<T>(x[i]) : sums[i] + static_cast<T>(x[i]);
    }
  }
  return {sums.begin(), sums.end()};
}

void skip_but_on_one_rank() {
  if (mpi_communicator()->size() > 1) GTEST_SKIP() << "one process is enough";
}

class StagedReductionOnCpu : public testing::Test {
 protected:
  void SetUp() override { skip_but_on_one_rank(); }
};
using SharedMemoryOnCpu = StagedReductionOnCpu;

class EveryNumberOfRanksOnCpu : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { skip_but_on_one_rank(); }
};

TEST_P(EveryNumberOfRanksOnCpu, SumsAreThoseInRankOrderHoweverTheTensorIsCut) {
  const int ranks = GetParam();
  for (const std::size_t chunk : {64UL, 4096UL, 262144UL}) {
    for (int owners = 1; owners <= ranks; owners += ranks > 1 ? ranks - 1 : 1) {
      Ranks group(ranks, chunk, owners);
      for (const std::int64_t n : {1, 15, 17, 1000, 5003}) {
        const std::vector<double> want = sum_in_order<float>(n, ranks, DType::f32);
        on_ranks(ranks, [&](int r) {
          Tensor x = random_input(n, r);
          group[r].all_reduce(x, ReduceOp::sum);
          EXPECT_EQ(to_vector<double>(x), want) << n << " in chunks of " << chunk;
        });
      }
    }
  }
}

TEST_P(EveryNumberOfRanksOnCpu, NarrowFloatsAreSummedInF32AndRoundedOnce) {
  const int ranks = GetParam();
  Ranks group(ranks, 1024);
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const std::vector<double> wide = sum_in_order<float>(3001, ranks, dtype);
    const std::vector<double> want = to_vector<double>(to_tensor(wide, {3001}, dtype));
    on_ranks(ranks, [&](int r) {
      Tensor x = random_input(3001, r, dtype);
      group[r].all_reduce(x, ReduceOp::sum);
      EXPECT_EQ(to_vector<double>(x), want);
    });
  }
}

TEST_P(EveryNumberOfRanksOnCpu, ManyCallsInARowWithRanksOutOfStep) {
  const int ranks = GetParam();
  Ranks group(ranks, 256);
  on_ranks(ranks, [&](int r) {
    for (int call = 0; call < 300; ++call) {
      if (call % 50 == r) std::this_thread::sleep_for(2ms);
      const std::int64_t n = 1 + call * 7 % 400;
      Tensor x({n}, DType::i32);
      for (std::int64_t i = 0; i < n; ++i)
        x.data<std::int32_t>()[i] = static_cast<std::int32_t>(call + r * i);
      group[r].all_reduce(x, ReduceOp::sum);
      for (std::int64_t i = 0; i < n; ++i) {
        ASSERT_EQ(x.data<std::int32_t>()[i], call * ranks + i * ranks * (ranks - 1) / 2);
      }
    }
  });
}

TEST_P(EveryNumberOfRanksOnCpu, WhatIsReducedOutsideIsTheSumOfTheHostBeforeItIsRounded) {
  const int ranks = GetParam();
  StagedReductionOptions options{.ranks = ranks, .owners = 1, .chunk_bytes = 64};
  const SharedMemory memory = SharedMemory::create(StagedReduction::memory_for(options));
  on_ranks(ranks, [&](int r) {
    StagedReductionOptions own = options;
    own.rank = r;
    own.reduce_outside = [&](Tensor& x, ReduceOp op) {
      EXPECT_EQ(r, 0);
      EXPECT_EQ(op, ReduceOp::sum);
      EXPECT_EQ(x.dtype(), DType::f32);
      for (std::int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] += 256.0F;
    };
    StagedReduction reduction(memory.data(), own);
    Tensor x = to_tensor(std::vector<float>(100, 0.5F), {100}, DType::bf16);
    reduction.all_reduce(x, ReduceOp::sum);
    const bfloat16 want(256.0F + 0.5F * static_cast<float>(ranks));
    EXPECT_EQ(to_vector(x), std::vector<float>(100, static_cast<float>(want)));
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, EveryNumberOfRanksOnCpu, testing::Values(1, 2, 3, 4, 8));

TEST_F(StagedReductionOnCpu, NumbersOfChunksMayOverflow) {
  // 2^32 chunks do not fit a test: a counter that was there before stands for them.
  SharedCounter counter;
  counter.set(0xFFFFFFFEU);
  EXPECT_TRUE(counter.wait(0xFFFFFFFEU, 0, 0ms));
  EXPECT_FALSE(counter.wait(1, 0, 1ms));
  std::thread other([&] {
    std::this_thread::sleep_for(2ms);
    counter.set(1);
  });
  EXPECT_TRUE(counter.wait(1, 10, 20s));
  other.join();
}

TEST_F(SharedMemoryOnCpu, AnotherProcessWakesTheOneThatSleeps) {
  SharedMemory memory = SharedMemory::create(1 << 16);
  auto* counters = reinterpret_cast<SharedCounter*>(memory.data());
  const std::string offer = memory.offer();
  const pid_t child = fork();
  if (child == 0) {
    try {
      const SharedMemory same = SharedMemory::open(offer);
      auto* own = reinterpret_cast<SharedCounter*>(same.data());
      if (same.data() == memory.data() || !own[0].wait(7, 0, 20s)) _exit(1);
      same.data()[60000] = std::byte{42};
      own[1].set(8);
      _exit(0);
    } catch (...) {
      _exit(2);
    }
  }
  std::this_thread::sleep_for(5ms);
  counters[0].set(7);
  EXPECT_TRUE(counters[1].wait(8, 0, 20s));
  EXPECT_EQ(memory.data()[60000], std::byte{42});
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(SharedMemoryOnCpu, WhatIsNotOfferedIsNotOpened) {
  SharedMemory memory = SharedMemory::create(4096);
  SharedMemory other = SharedMemory::create(4096);
  const std::string offer = memory.offer(), others = other.offer();
  EXPECT_NO_THROW(SharedMemory::open(offer));
  memory.withdraw();
  EXPECT_THROW(SharedMemory::open(offer), Error);
  const std::string process = others.substr(0, others.find(' '));
  EXPECT_THROW(SharedMemory::open(process + " 0 4096 1"), Error);
  EXPECT_THROW(SharedMemory::open(""), Error);
}

TEST_F(StagedReductionOnCpu, ARankWhoseProcessHasEndedIsAnError) {
  const StagedReductionOptions options{.ranks = 2, .chunk_bytes = 4096};
  const SharedMemory memory = SharedMemory::create(StagedReduction::memory_for(options));
  const pid_t child = fork();
  if (child == 0) {
    StagedReductionOptions own = options;
    own.rank = 1;
    const StagedReduction reduction(memory.data(), own);
    _exit(0);  // before its part is done
  }
  waitpid(child, nullptr, 0);
  StagedReduction reduction(memory.data(), options);
  Tensor x = random_input(10, 0);
  try {
    reduction.all_reduce(x, ReduceOp::sum);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("of rank 1 has ended"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace weft
