// Work that is captured as a graph and done again.
#include "core/backend/backend.hpp"
#include "tests/core/expect_error.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

using Values = std::vector<float>;

void upload(Tensor& x, const Values& values) {
  Tensor host(x.shape(), DType::f32);
  std::copy(values.begin(), values.end(), host.data<float>());
  test_backend().upload(x, host);
}

class Capture : public testing::Test {
 protected:
  void SetUp() override {
    if (on_cpu()) GTEST_SKIP() << "the CPU does its work at once";
  }

  // Issues y_ = 2 x_ + x_ with a temporary tensor on the way.
  void issue() {
    Tensor twice = empty_like(x_);
    test_backend().scale(twice, x_, 2);
    y_ = empty_like(x_);
    test_backend().add(y_, twice, x_);
  }

  Tensor x_ = to_tensor({1, 2, 3}, {3});
  Tensor y_;
};

TEST(CaptureOnTheCpu, IsRefused) {
  expect_error([] { backend(Device{}).capture([] {}); }, {"CPU", "captured"});
}

TEST_F(Capture, IssuesNothingBeforeAReplay) {
  Tensor before = to_tensor({7}, {1});
  const auto graph = test_backend().capture([&] { test_backend().fill(before, 8); });
  EXPECT_EQ(to_vector(before), Values{7});
  graph->replay();
  EXPECT_EQ(to_vector(before), Values{8});
}

TEST_F(Capture, ReplaysOnWhatWasUploaded) {
  const auto graph = test_backend().capture([&] { issue(); });
  for (const float first : {1.0F, 10.0F, 100.0F}) {
    upload(x_, {first, 2, 3});
    graph->replay();
    EXPECT_EQ(to_vector(y_), (Values{3 * first, 6, 9}));
  }
}

// What others allocate between replays is not what the graph's temporaries and results are in.
TEST_F(Capture, HasMemoryOfItsOwn) {
  const auto graph = test_backend().capture([&] { issue(); });
  graph->replay();
  std::vector<Tensor> others;
  for (int i = 0; i < 8; ++i) {
    others.push_back(empty_like(x_));
    test_backend().fill(others.back(), -1);
  }
  EXPECT_EQ(to_vector(y_), (Values{3, 6, 9}));
  graph->replay();
  EXPECT_EQ(to_vector(y_), (Values{3, 6, 9}));
  for (const Tensor& other : others) EXPECT_EQ(to_vector(other), (Values{-1, -1, -1}));
}

TEST_F(Capture, RefusesCopiesToAndFromTheHost) {
  Tensor host({3}, DType::f32);
  expect_error([&] { test_backend().capture([&] {
                       upload(x_, {4, 5, 6});
                     }); },
               {"upload", "captured"});
  expect_error([&] { test_backend().capture([&] { to_vector(x_); }); }, {"download", "captured"});
  expect_error([&] { test_backend().capture([&] { test_backend().synchronize(); }); },
               {"waiting", "captured"});
}

// After a failure the device goes on as if nothing had been captured.
TEST_F(Capture, GivesUpWithoutATrace) {
  EXPECT_THROW(test_backend().capture([&] {
    issue();
    throw std::runtime_error("enough");
  }),
               std::runtime_error);
  issue();
  EXPECT_EQ(to_vector(y_), (Values{3, 6, 9}));
  const auto graph = test_backend().capture([&] { issue(); });
  upload(x_, {2, 2, 2});
  graph->replay();
  EXPECT_EQ(to_vector(y_), (Values{6, 6, 6}));
}

TEST_F(Capture, LeavesItsResultsBehind) {
  auto graph = test_backend().capture([&] { issue(); });
  graph->replay();
  graph.reset();  // y_ is an ordinary tensor from here on
  EXPECT_EQ(to_vector(y_), (Values{3, 6, 9}));
}

}  // namespace
}  // namespace weft
