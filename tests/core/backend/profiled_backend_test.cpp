// A recording has every call of a device's backend once, in order, with its work.
#include "core/backend/profiled_backend.hpp"

#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

TEST(ProfiledBackend, RecordsCallsInTheirOrder) {
  const Tensor a = make_random({32, 16}, 1), b = make_random({16, 24}, 2);
  Tensor c = make_empty({32, 24});
  backend(c).matmul(c, a, b, {});  // on its own: what a library does at its first call takes time
  for (int run = 0; run < 2; ++run) {
    const double before = timeline::now();
    start_recording();
    backend(c).fill(c, 3);
    backend(c).matmul(c, a, b, {.accumulate = true});
    backend(c).scale(c, c, 0.5F);
    backend(c).synchronize();
    backend(c).fill(c, 1);
    backend(c).synchronize();
    const std::vector<Span> spans = stop_recording().spans;
    const double after = timeline::now();

    const char* const names[] = {"fill", "matmul A B", "scale", "fill"};
    ASSERT_EQ(spans.size(), std::size(names));
    for (std::size_t i = 0; i < spans.size(); ++i) {
      EXPECT_STREQ(spans[i].name, names[i]);
      EXPECT_TRUE(spans[i].is_call);
      EXPECT_GT(spans[i].work.bytes, 0) << spans[i].name;
      EXPECT_GE(spans[i].begin, i == 0 ? before : spans[i - 1].end) << spans[i].name;
      EXPECT_GE(spans[i].end, spans[i].begin) << spans[i].name;
    }
    EXPECT_LE(spans.back().end, after);
    EXPECT_EQ(spans[1].size, "32 x 24 x 16");
    EXPECT_EQ(spans[1].work.flops, 2.0 * 32 * 24 * 16);
  }
  EXPECT_EQ(to_vector(c), std::vector<float>(32 * 24, 1));
}

// A copy to the host that converts does so on the device first.
TEST(ProfiledBackend, TellsACallThatMakesOthersAsOne) {
  const Tensor x = make_random({5}, 1, DType::bf16);
  Tensor y({5}, DType::f32);
  start_recording();
  backend(x).copy(y, x);
  backend(x).synchronize();
  const std::vector<Span> spans = stop_recording().spans;
  ASSERT_EQ(spans.size(), 1U);
  EXPECT_STREQ(spans[0].name, "copy");
  EXPECT_EQ(to_vector(y), to_vector(x));
}

// Neither when it is captured, as it is not done then, nor when it is replayed.
TEST(ProfiledBackend, LeavesOutWhatIsCaptured) {
  if (on_cpu()) GTEST_SKIP() << "the CPU captures nothing";
  Tensor x = make_empty({5});
  start_recording();
  const auto graph = backend(x).capture([&] { backend(x).fill(x, 2); });
  graph->replay();
  backend(x).synchronize();
  backend(x).scale(x, x, 3);
  backend(x).synchronize();
  const std::vector<Span> spans = stop_recording().spans;
  ASSERT_EQ(spans.size(), 1U);
  EXPECT_STREQ(spans[0].name, "scale");
  EXPECT_EQ(to_vector(x), std::vector<float>(5, 6));
}

}  // namespace
}  // namespace weft
