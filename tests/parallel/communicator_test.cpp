// What every communicator must do: one suite for the self communicator, MPI (with and without
// memory that ranks share, on one host and on several pretended ones) and NCCL, with host and GPU
// tensors, on as many ranks as the program was started with.
#include "parallel/communicator.hpp"

#include <cmath>
#include <csignal>
#include <cstring>
#include <optional>
#include <thread>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "core/backend/transfer.hpp"
#include "core/base/error.hpp"
#include "core/base/philox.hpp"
#include "parallel/mesh.hpp"
#include "tests/parallel/parallel_helpers.hpp"

namespace weft {
namespace {

// Small integers, exact in every dtype and in every order of summation.
std::int64_t value(int rank, std::int64_t i) { return (i * 7 + rank * 5) % 11 + 1; }

double expected(ReduceOp op, int ranks, std::int64_t i) {
  auto result = static_cast<double>(value(0, i));
  for (int r = 1; r < ranks; ++r) {
    const auto v = static_cast<double>(value(r, i));
    if (op == ReduceOp::sum) result += v;
    if (op == ReduceOp::max) result = std::max(result, v);
    if (op == ReduceOp::min) result = std::min(result, v);
  }
  return result;
}

// Beyond 2^20 elements a reduction takes several pieces: tried with one type of each width.
std::vector<std::int64_t> sizes_for(DType dtype, bool large_too = true) {
  std::vector<std::int64_t> sizes = {0, 1, 3, 17, 4096, 5003};
  if (large_too && (dtype == DType::f32 || dtype == DType::bf16)) sizes.push_back((1 << 20) + 7);
  return sizes;
}

enum class Via { self, mpi, nccl };

// Which ranks share memory.
enum class Hosts { one, no_sharing, two, two_unequal };

struct Variant {
  std::string name;
  Via via;
  bool gpu_tensors;
  Hosts hosts = Hosts::one;
};

std::unique_ptr<Communicator> connect(Hosts hosts) {
  if (hosts == Hosts::one) return mpi_communicator();
  if (hosts == Hosts::no_sharing) return mpi_communicator({.share_memory = false});
  const int rank = mpi_communicator()->rank();
  const int host = hosts == Hosts::two ? rank % 2 : rank == 1;
  // Chunks as small as pages, so that the same sizes take many.
  return mpi_communicator({.chunk_bytes = 4096, .host = std::to_string(host)});
}

// Where there is a GPU under test, several ranks share one through MPI, and have one each for NCCL.
std::vector<Variant> variants() {
  if (on_cpu()) {
    return {{"self", Via::self, false},
            {"mpi", Via::mpi, false},
            {"mpi_without_shared_memory", Via::mpi, false, Hosts::no_sharing},
            {"mpi_two_hosts", Via::mpi, false, Hosts::two},
            {"mpi_two_unequal_hosts", Via::mpi, false, Hosts::two_unequal}};
  }
  return {{"self_gpu", Via::self, true},
          {"mpi", Via::mpi, false},
          {"mpi_gpu", Via::mpi, true},
          {"nccl", Via::nccl, false},
          {"nccl_gpu", Via::nccl, true}};
}

class CommunicatorTest : public testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    c = GetParam().via == Via::self ? self_communicator() : connect(GetParam().hosts);
    if (GetParam().gpu_tensors) device = {DeviceType::cuda, 0};
    if (GetParam().via != Via::nccl) return;
    if (!a_gpu_for_each_rank(*c)) GTEST_SKIP() << "needs a GPU for each rank";
    c = nccl_communicator(std::move(c), test_device(), {.even_alone = true});
    if (GetParam().gpu_tensors) device = test_device();
  }
  bool sums_are_rounded() const { return GetParam().via == Via::nccl && GetParam().gpu_tensors; }

  Tensor empty(const Shape& shape, DType dtype = DType::f32) const {
    return Tensor(shape, dtype, device);
  }
  Tensor put(const Tensor& x) const { return to_device(to_host(x), device); }
  // What `rank` gives.
  Tensor filled(std::int64_t n, int rank, DType dtype = DType::f32) const {
    std::vector<double> values;
    for (std::int64_t i = 0; i < n; ++i) values.push_back(static_cast<double>(value(rank, i)));
    return put(to_tensor(values, {n}, dtype));
  }

  void check_all_reduce(DType dtype) {
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::max, ReduceOp::min}) {
      for (const std::int64_t n : sizes_for(dtype, op == ReduceOp::sum)) {
        Tensor x = filled(n, c->rank(), dtype);
        c->all_reduce(x, op);
        const std::vector<double> got = to_vector<double>(x);
        for (std::int64_t i = 0; i < n; ++i) {
          ASSERT_EQ(got[static_cast<std::size_t>(i)], expected(op, c->size(), i))
              << "element " << i << " of " << n;
        }
      }
    }
  }

  void check_all_gather(DType dtype) {
    for (const std::int64_t n : sizes_for(dtype)) {
      Tensor out = empty({c->size(), n}, dtype);
      c->all_gather(out, filled(n, c->rank(), dtype));
      const std::vector<double> got = to_vector<double>(out);
      for (std::int64_t i = 0; i < n * c->size(); ++i) {
        ASSERT_EQ(got[static_cast<std::size_t>(i)],
                  static_cast<double>(value(static_cast<int>(i / n), i % n)));
      }
    }
  }

  void check_reduce_scatter(DType dtype) {
    for (const std::int64_t n : sizes_for(dtype)) {
      const Tensor x = filled(n * c->size(), c->rank(), dtype);
      Tensor out = empty({n}, dtype);
      c->reduce_scatter(out, x);
      const std::vector<double> got = to_vector<double>(out);
      for (std::int64_t i = 0; i < n; ++i) {
        ASSERT_EQ(got[static_cast<std::size_t>(i)],
                  expected(ReduceOp::sum, c->size(), c->rank() * n + i));
      }
    }
  }

  std::unique_ptr<Communicator> c;
  Device device;
};

TEST_P(CommunicatorTest, ReducesF32) { check_all_reduce(DType::f32); }
TEST_P(CommunicatorTest, ReducesF64) { check_all_reduce(DType::f64); }
TEST_P(CommunicatorTest, ReducesI32) { check_all_reduce(DType::i32); }
TEST_P(CommunicatorTest, ReducesBf16) { check_all_reduce(DType::bf16); }
TEST_P(CommunicatorTest, ReducesF16) { check_all_reduce(DType::f16); }

TEST_P(CommunicatorTest, SumsBf16InF32) {
  // In bf16 256 + 1 is 256 again: partial sums in bf16 would lose every one of them.
  Tensor x = put(to_tensor({c->rank() == 0 ? 256.0F : 1.0F}, {1}, DType::bf16));
  c->all_reduce(x, ReduceOp::sum);
  const float exact = 255.0F + static_cast<float>(c->size());
  if (sums_are_rounded()) {
    EXPECT_NEAR(to_vector(x)[0], exact, c->size());  // half of the last place for each sum
  } else {
    EXPECT_EQ(to_vector(x)[0], static_cast<float>(bfloat16(exact)));
  }
}

TEST_P(CommunicatorTest, GathersInRankOrder) {
  check_all_gather(DType::f32);
  check_all_gather(DType::bf16);
  check_all_gather(DType::i32);
  check_all_gather(DType::u8);
}

TEST_P(CommunicatorTest, ReducesAndScatters) {
  check_reduce_scatter(DType::f32);
  check_reduce_scatter(DType::i32);
  check_reduce_scatter(DType::bf16);
}

TEST_P(CommunicatorTest, BroadcastsFromEveryRoot) {
  for (int root = 0; root < c->size(); ++root) {
    for (const std::int64_t n : sizes_for(DType::f32, root == 0)) {
      Tensor x = filled(n, c->rank());
      c->broadcast(x, root);
      EXPECT_TRUE(same_bits(x, filled(n, root))) << n;
    }
    const std::string sent = root % 2 ? "" : std::string(70000, static_cast<char>('a' + root));
    EXPECT_EQ(c->broadcast(c->rank() == root ? sent : "other", root), sent);
  }
}

TEST_P(CommunicatorTest, SendsAroundTheRing) {
  if (c->size() == 1) {
    Tensor x = filled(3, 0);
    EXPECT_THROW(c->send(x, 0), Error);
    EXPECT_THROW(c->receive(x, 0), Error);
    return;
  }
  const int next = (c->rank() + 1) % c->size();
  const int previous = (c->rank() + c->size() - 1) % c->size();
  for (const std::int64_t n : {1, 4097}) {
    const Tensor mine = filled(n, c->rank());
    Tensor other = empty({n});
    if (c->rank() % 2 == 0) {
      c->send(mine, next, 5);
      c->receive(other, previous, 5);
    } else {
      c->receive(other, previous, 5);
      c->send(mine, next, 5);
    }
    EXPECT_TRUE(same_bits(other, filled(n, previous))) << n;
  }
}

TEST_P(CommunicatorTest, DoesAGroupOfOperations) {
  std::vector<Tensor> sums;
  for (const std::int64_t n : {3, 0, 17}) sums.push_back(filled(n, c->rank()));
  Tensor most = filled(5, c->rank(), DType::i32);
  Tensor sent = filled(4, c->rank());
  Tensor all = empty({c->size() * 7});
  c->grouped([&] {
    for (Tensor& x : sums) c->all_reduce(x, ReduceOp::sum);
    c->all_gather(all, filled(7, c->rank()));
    c->grouped([&] { c->all_reduce(most, ReduceOp::max); });
    c->broadcast(sent, c->size() - 1);
  });
  for (const Tensor& x : sums) {
    const std::vector<float> values = to_vector(x);
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(values[i], expected(ReduceOp::sum, c->size(), static_cast<std::int64_t>(i)));
    }
  }
  const Tensor greatest = to_host(most);
  for (std::int64_t i = 0; i < 5; ++i) {
    EXPECT_EQ(greatest.data<std::int32_t>()[i], expected(ReduceOp::max, c->size(), i));
  }
  EXPECT_TRUE(same_bits(sent, filled(4, c->size() - 1)));
  for (int r = 0; r < c->size(); ++r) {
    EXPECT_TRUE(same_bits(all.narrow(r * 7, 7), filled(7, r))) << r;
  }
}

TEST_P(CommunicatorTest, AGroupThatIsNotFinishedLeavesNothingBehind) {
  if (!sums_are_rounded()) GTEST_SKIP() << "not of NCCL";
  Tensor x = filled(3, c->rank());
  EXPECT_THROW(c->grouped([&] {
    c->all_reduce(x, ReduceOp::sum);
    throw Error("planted");
  }),
               Error);
  EXPECT_TRUE(same_bits(x, filled(3, c->rank())));
  c->all_reduce(x, ReduceOp::sum);
  EXPECT_EQ(to_vector(x)[1], expected(ReduceOp::sum, c->size(), 1));
}

TEST_P(CommunicatorTest, ReducesSmallValues) {
  const int n = c->size();
  EXPECT_EQ(c->all_reduce(0.5 * c->rank(), ReduceOp::sum), 0.25 * n * (n - 1));
  EXPECT_EQ(c->all_reduce(std::int64_t{1} << (40 + c->rank()), ReduceOp::max),
            std::int64_t{1} << (39 + n));
  EXPECT_EQ(c->all_reduce(std::int64_t{c->rank() + 3}, ReduceOp::min), 3);
  EXPECT_TRUE(std::isnan(c->all_reduce(c->rank() == n - 1 ? std::nan("") : 1.0, ReduceOp::sum)));
  std::vector<std::int64_t> both = {std::int64_t{1} << 40, c->rank()};
  c->all_reduce(both, ReduceOp::sum);
  EXPECT_EQ(both, (std::vector<std::int64_t>{n * (std::int64_t{1} << 40), n * (n - 1) / 2}));
  c->barrier();
}

TEST_P(CommunicatorTest, EveryRankGetsTheSameBits) {
  constexpr std::int64_t n = 300001;
  Tensor x = put(make_random({n}, static_cast<std::uint64_t>(c->rank()) + 3));
  c->all_reduce(x, ReduceOp::sum);
  Tensor all = empty({c->size(), n});
  c->all_gather(all, x);
  for (int r = 0; r < c->size(); ++r) {
    ASSERT_TRUE(same_bits(all.narrow(r, 1).reshape({n}), x)) << "rank " << r;
  }
}

TEST_P(CommunicatorTest, FollowsTheWorkIssuedBeforeAndIsFollowedByWhatComesLater) {
  const auto rank = static_cast<float>(c->rank());
  const auto sum = static_cast<float>(c->size() * (c->size() + 1) / 2);
  Tensor x = empty({5000}), y = empty({5000});
  for (int repeat = 0; repeat < 3; ++repeat) {
    backend(x).fill(x, rank + 1);
    c->all_reduce(x, ReduceOp::sum);
    backend(y).scale(y, x, 2);
    backend(x).fill(x, -1);
    EXPECT_EQ(to_vector(y), std::vector<float>(5000, 2 * sum));
  }
}

TEST_P(CommunicatorTest, SumsInTheBackgroundInOrder) {
  const auto reducer = c->background_reducer(device);
  for (int repeat = 0; repeat < 2; ++repeat) {
    std::vector<Tensor> tensors;
    for (std::int64_t n = 1; n < 2000; n *= 3) {
      tensors.push_back(filled(n, c->rank()));
      backend(tensors.back()).scale(tensors.back(), tensors.back(), 2);
      reducer->all_reduce(tensors.back());
    }
    reducer->wait();
    for (Tensor& x : tensors) backend(x).scale(x, x, 0.5F);
    for (const Tensor& x : tensors) {
      std::vector<double> want;
      for (std::int64_t i = 0; i < x.numel(); ++i)
        want.push_back(expected(ReduceOp::sum, c->size(), i));
      EXPECT_EQ(to_vector<double>(x), want);
    }
  }
  reducer->wait();  // nothing to do
}

TEST_P(CommunicatorTest, SplitsByColorAndOrdersByKey) {
  const auto half = c->split(c->rank() % 2, -c->rank());  // the last rank comes first
  const int members = c->size() == 1 ? 1 : c->size() / 2;
  EXPECT_EQ(half->size(), members);
  EXPECT_EQ(half->rank(), members - 1 - c->rank() / 2);
  std::int64_t sum = 0;
  for (int r = c->rank() % 2; r < c->size(); r += 2) sum += r;
  EXPECT_EQ(half->all_reduce(std::int64_t{c->rank()}, ReduceOp::sum), sum);
  Tensor x = put(to_tensor({static_cast<float>(c->rank())}, {1}));
  half->all_reduce(x, ReduceOp::sum);
  EXPECT_EQ(to_vector(x)[0], static_cast<float>(sum));
  const auto again = half->split(0, half->rank());
  EXPECT_EQ(again->size(), members);
}

TEST_P(CommunicatorTest, TwoThreadsCommunicateAtOnce) {
  const auto other = c->duplicate();
  double wrong = 0;
  std::thread second([&] {
    for (int i = 0; i < 50; ++i) {
      Tensor x = to_host(filled(2000, other->rank()));
      other->all_reduce(x, ReduceOp::sum);
      wrong += std::fabs(to_vector<double>(x)[static_cast<std::size_t>(i)] -
                         expected(ReduceOp::sum, other->size(), i));
    }
  });
  for (int i = 0; i < 50; ++i) {
    Tensor x = filled(1500, c->rank());
    c->all_reduce(x, ReduceOp::max);
    EXPECT_EQ(to_vector<double>(x)[static_cast<std::size_t>(i)],
              expected(ReduceOp::max, c->size(), i));
  }
  second.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(CommunicatorTest, ARollCallHearsAllThatCall) {
  const auto all = c->duplicate();
  const std::vector<std::string> words =
      all->roll_call("rank " + std::to_string(c->rank()), std::chrono::seconds(20));
  ASSERT_EQ(words.size(), static_cast<std::size_t>(c->size()));
  for (int r = 0; r < c->size(); ++r) {
    EXPECT_EQ(words[static_cast<std::size_t>(r)], "rank " + std::to_string(r));
  }
  const auto without_last = c->duplicate();
  if (c->rank() < c->size() - 1) {
    const auto heard = without_last->roll_call("here", std::chrono::milliseconds(200));
    EXPECT_EQ(heard[static_cast<std::size_t>(c->rank())], "here");
    EXPECT_EQ(heard.back(), "");
  }
  c->barrier();
}

TEST_P(CommunicatorTest, RefusesBlocksThatDoNotFit) {
  Tensor x = empty({3});
  Tensor out = empty({3 * c->size() + 1});
  Tensor other_type = empty({3 * c->size()}, DType::i32);
  EXPECT_THROW(c->all_gather(out, x), Error);
  EXPECT_THROW(c->all_gather(other_type, x), Error);
  EXPECT_THROW(c->reduce_scatter(x, out), Error);
}

TEST_P(CommunicatorTest, AnErrorNamesOperationRankShapeAndType) {
  if (c->size() == 1) GTEST_SKIP() << "needs two ranks";
  Tensor x = empty({3});
  try {
    c->broadcast(x, c->size());  // there is no such rank
    FAIL() << "accepted";
  } catch (const Error& e) {
    const std::string message = e.what();
    EXPECT_EQ(message.rfind("broadcast of f32 [3] failed on rank " + std::to_string(c->rank()) +
                                " of " + std::to_string(c->size()) + ": ",
                            0),
              0U)
        << message;
  }
  Tensor bytes = empty({3}, DType::u8);
  EXPECT_THROW(c->all_reduce(bytes, ReduceOp::sum), Error);
}

INSTANTIATE_TEST_SUITE_P(All, CommunicatorTest, testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name; });

TEST(MpiCommunicator, AMessageOfAnotherLengthIsAnError) {
  const auto c = mpi_communicator();
  if (c->size() == 1) GTEST_SKIP() << "needs two ranks";
  Tensor x({5}, DType::f32);
  for (const std::int64_t sent : {4, 6}) {
    if (c->rank() == 0) c->send(Tensor({sent}, DType::f32), 1);
    if (c->rank() == 1) {
      EXPECT_THROW(c->receive(x, 0), Error) << sent;
    }
  }
}

// While one lives, memory that ranks share has at most so many bytes.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limited = before_;
    limited.rlim_cur = bytes;
    std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limited);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, SIG_DFL);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_ = {};
};

TEST(MpiCommunicatorOnCpu, HasNoCommonMemoryWhereThereIsNotSoMuch) {
  std::vector<std::string> told;
  const auto c = mpi_communicator(
      {.on_no_shared_memory = [&](const std::string& reason) { told.push_back(reason); }});
  if (c->size() == 1) GTEST_SKIP() << "needs two ranks";
  const FileSizeLimit limit(8192);
  EXPECT_TRUE(c->common_memory(8192));
  EXPECT_TRUE(told.empty());
  EXPECT_FALSE(c->common_memory(8193));
  ASSERT_EQ(told.size(), c->rank() == 0 ? 1U : 0U);
  if (c->rank() == 0) {
    EXPECT_EQ(told[0], "shared memory: no 8193 bytes of it: File too large");
  }
}

TEST(MpiCommunicatorOnCpu, ReducesThroughMpiWhereThereIsTooLittleMemory) {
  std::vector<std::string> told;
  const auto c = mpi_communicator(
      {.on_no_shared_memory = [&](const std::string& reason) { told.push_back(reason); }});
  if (c->size() == 1) GTEST_SKIP() << "needs two ranks";
  const FileSizeLimit limit(8192);
  Tensor x = to_tensor(std::vector<float>(5000, 2.0F), {5000});
  for (int i = 0; i < 2; ++i) c->all_reduce(x, ReduceOp::sum);
  const auto all = static_cast<float>(c->size());
  EXPECT_EQ(to_vector(x), std::vector<float>(5000, 2.0F * all * all));
  EXPECT_EQ(told.size(), c->rank() == 0 ? 1U : 0U);
}

TEST(MpiCommunicatorOnCpu, GoesThroughMpiWhereMemoryCannotBeShared) {
  const auto all = mpi_communicator();
  if (all->size() == 1) GTEST_SKIP() << "needs two ranks";
  std::vector<std::string> told;
  std::optional<FileSizeLimit> limit;
  if (all->rank() == 0) limit.emplace(0);  // the first rank makes the memory
  const auto c = mpi_communicator(
      {.on_no_shared_memory = [&](const std::string& reason) { told.push_back(reason); }});
  limit.reset();
  ASSERT_EQ(told.size(), all->rank() == 0 ? 1U : 0U);
  if (all->rank() == 0) {
    EXPECT_EQ(told[0], "shared memory: no 4096 bytes of it: File too large");
  }
  Tensor x = to_tensor(std::vector<float>(5000, 2.0F), {5000});
  c->duplicate()->all_reduce(x, ReduceOp::sum);
  EXPECT_EQ(to_vector(x), std::vector<float>(5000, 2.0F * static_cast<float>(all->size())));
}

}  // namespace
}  // namespace weft
