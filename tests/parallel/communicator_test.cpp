// What every communicator must do, run on the self communicator and over MPI with 1, 2 and 4 ranks.
#include "parallel/communicator.hpp"

#include <cmath>
#include <cstring>
#include <thread>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/philox.hpp"
#include "parallel/mesh.hpp"

namespace weft {
namespace {

// Small integers, exact in every dtype and in every order of summation.
std::int64_t value(int rank, std::int64_t i) { return (i * 7 + rank * 5) % 11 + 1; }

template <class T>
Tensor filled(std::int64_t n, int rank) {
  Tensor x({n}, dtype_of<T>::value);
  for (std::int64_t i = 0; i < n; ++i)
    x.data<T>()[i] = static_cast<T>(static_cast<float>(value(rank, i)));
  return x;
}

template <class T>
double at(const Tensor& x, std::int64_t i) {
  return static_cast<double>(static_cast<float>(x.data<T>()[i]));
}

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

// Beyond 2^20 a reduction takes several pieces.
const std::vector<std::int64_t> kSizes = {0, 1, 3, 17, 4096, 5003, (1 << 20) + 7};

class CommunicatorTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    c = std::string(GetParam()) == "self" ? self_communicator() : mpi_communicator();
  }

  template <class T>
  void check_all_reduce() {
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::max, ReduceOp::min}) {
      for (const std::int64_t n : kSizes) {
        Tensor x = filled<T>(n, c->rank());
        c->all_reduce(x, op);
        for (std::int64_t i = 0; i < n; ++i) {
          ASSERT_EQ(at<T>(x, i), expected(op, c->size(), i)) << "element " << i << " of " << n;
        }
      }
    }
  }

  template <class T>
  void check_all_gather() {
    for (const std::int64_t n : kSizes) {
      Tensor out({c->size(), n}, dtype_of<T>::value);
      c->all_gather(out, filled<T>(n, c->rank()));
      for (int r = 0; r < c->size(); ++r) {
        for (std::int64_t i = 0; i < n; ++i) {
          ASSERT_EQ(at<T>(out, r * n + i), static_cast<double>(value(r, i)));
        }
      }
    }
  }

  template <class T>
  void check_reduce_scatter() {
    for (const std::int64_t n : kSizes) {
      const Tensor x = filled<T>(n * c->size(), c->rank());
      Tensor out({n}, dtype_of<T>::value);
      c->reduce_scatter(out, x);
      for (std::int64_t i = 0; i < n; ++i) {
        ASSERT_EQ(at<T>(out, i), expected(ReduceOp::sum, c->size(), c->rank() * n + i));
      }
    }
  }

  std::unique_ptr<Communicator> c;
};

TEST_P(CommunicatorTest, ReducesF32) { check_all_reduce<float>(); }
TEST_P(CommunicatorTest, ReducesI32) { check_all_reduce<std::int32_t>(); }
TEST_P(CommunicatorTest, ReducesBf16) { check_all_reduce<bfloat16>(); }
TEST_P(CommunicatorTest, ReducesF16) { check_all_reduce<float16>(); }

TEST_P(CommunicatorTest, SumsBf16InF32) {
  // In bf16 256 + 1 is 256 again: partial sums in bf16 would lose every one of them.
  Tensor x({1}, DType::bf16);
  x.data<bfloat16>()[0] = bfloat16(c->rank() == 0 ? 256.0F : 1.0F);
  c->all_reduce(x, ReduceOp::sum);
  EXPECT_EQ(
      at<bfloat16>(x, 0),
      static_cast<double>(static_cast<float>(bfloat16(255.0F + static_cast<float>(c->size())))));
}

TEST_P(CommunicatorTest, GathersInRankOrder) {
  check_all_gather<float>();
  check_all_gather<bfloat16>();
  check_all_gather<std::int32_t>();
  check_all_gather<std::uint8_t>();
}

TEST_P(CommunicatorTest, ReducesAndScatters) {
  check_reduce_scatter<float>();
  check_reduce_scatter<std::int32_t>();
  check_reduce_scatter<bfloat16>();
}

TEST_P(CommunicatorTest, BroadcastsFromEveryRoot) {
  for (int root = 0; root < c->size(); ++root) {
    for (const std::int64_t n : kSizes) {
      Tensor x = filled<float>(n, c->rank());
      c->broadcast(x, root);
      for (std::int64_t i = 0; i < n; ++i) {
        ASSERT_EQ(at<float>(x, i), static_cast<double>(value(root, i)));
      }
    }
    const std::string sent = root % 2 ? "" : std::string(70000, static_cast<char>('a' + root));
    EXPECT_EQ(c->broadcast(c->rank() == root ? sent : "other", root), sent);
  }
}

TEST_P(CommunicatorTest, SendsAroundTheRing) {
  if (c->size() == 1) {
    Tensor x = filled<float>(3, 0);
    EXPECT_THROW(c->send(x, 0), Error);
    EXPECT_THROW(c->receive(x, 0), Error);
    return;
  }
  const int next = (c->rank() + 1) % c->size();
  const int previous = (c->rank() + c->size() - 1) % c->size();
  for (const std::int64_t n : {1, 4097}) {
    const Tensor mine = filled<float>(n, c->rank());
    Tensor other({n}, DType::f32);
    if (c->rank() % 2 == 0) {
      c->send(mine, next, 5);
      c->receive(other, previous, 5);
    } else {
      c->receive(other, previous, 5);
      c->send(mine, next, 5);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      ASSERT_EQ(at<float>(other, i), static_cast<double>(value(previous, i)));
    }
  }
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
  Tensor x({n}, DType::f32);
  for (std::int64_t i = 0; i < n; ++i) {
    const PhiloxKey key{.seed = 3, .step = 0, .place = static_cast<std::uint32_t>(c->rank())};
    x.data<float>()[i] = uniform_from(philox_u32(key, static_cast<std::uint64_t>(i))) - 0.5F;
  }
  c->all_reduce(x, ReduceOp::sum);
  Tensor all({c->size(), n}, DType::f32);
  c->all_gather(all, x);
  for (int r = 0; r < c->size(); ++r) {
    ASSERT_EQ(std::memcmp(all.data<float>() + r * n, x.raw(), x.bytes()), 0) << "rank " << r;
  }
}

TEST_P(CommunicatorTest, SplitsByColorAndOrdersByKey) {
  const auto half = c->split(c->rank() % 2, -c->rank());  // the last rank comes first
  const int members = c->size() == 1 ? 1 : c->size() / 2;
  EXPECT_EQ(half->size(), members);
  EXPECT_EQ(half->rank(), members - 1 - c->rank() / 2);
  std::int64_t sum = 0;
  for (int r = c->rank() % 2; r < c->size(); r += 2) sum += r;
  EXPECT_EQ(half->all_reduce(std::int64_t{c->rank()}, ReduceOp::sum), sum);
  const auto again = half->split(0, half->rank());
  EXPECT_EQ(again->size(), members);
}

TEST_P(CommunicatorTest, TwoThreadsCommunicateAtOnce) {
  const auto other = c->duplicate();
  double wrong = 0;
  std::thread second([&] {
    for (int i = 0; i < 50; ++i) {
      Tensor x = filled<float>(2000, other->rank());
      other->all_reduce(x, ReduceOp::sum);
      wrong += std::fabs(at<float>(x, i) - expected(ReduceOp::sum, other->size(), i));
    }
  });
  for (int i = 0; i < 50; ++i) {
    Tensor x = filled<float>(1500, c->rank());
    c->all_reduce(x, ReduceOp::max);
    EXPECT_EQ(at<float>(x, i), expected(ReduceOp::max, c->size(), i));
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
  Tensor x({3}, DType::f32);
  Tensor out({3 * c->size() + 1}, DType::f32);
  Tensor other_type({3 * c->size()}, DType::i32);
  EXPECT_THROW(c->all_gather(out, x), Error);
  EXPECT_THROW(c->all_gather(other_type, x), Error);
  EXPECT_THROW(c->reduce_scatter(x, out), Error);
}

INSTANTIATE_TEST_SUITE_P(All, CommunicatorTest, testing::Values("self", "mpi"),
                         [](const auto& info) { return std::string(info.param); });

TEST(MpiCommunicator, AnErrorNamesOperationRankShapeAndType) {
  const auto c = mpi_communicator();
  if (c->size() == 1) GTEST_SKIP() << "needs two ranks";
  Tensor x({3}, DType::f32);
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
  Tensor bytes({3}, DType::u8);
  EXPECT_THROW(c->all_reduce(bytes, ReduceOp::sum), Error);
}

TEST(MpiCommunicator, AMessageOfAnotherLengthIsAnError) {
  const auto c = mpi_communicator();
  if (c->size() == 1) GTEST_SKIP() << "needs two ranks";
  Tensor x({5}, DType::f32);
  for (const std::int64_t sent : {4, 6}) {
    if (c->rank() == 0) c->send(filled<float>(sent, 0), 1);
    if (c->rank() == 1) {
      EXPECT_THROW(c->receive(x, 0), Error) << sent;
    }
  }
}

}  // namespace
}  // namespace weft
