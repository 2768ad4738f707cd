// Passes that write past the caches, since their tensors are large: the same bits as by small
// parts, wherever the memory begins.
#include "core/backend/cpu/past_caches.hpp"

#include "core/backend/backend.hpp"
#include "tests/core/backend/repeatable.hpp"

namespace weft {
namespace {

TEST(Stream, CopiesWhatItIsGivenAndNothingElse) {
  std::vector<std::uint8_t> from(200), to;
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::uint8_t>(i + 1);
  for (std::size_t begin = 0; begin < 33; ++begin) {
    for (const std::size_t bytes : {0, 1, 31, 32, 33, 64, 150}) {
      to.assign(from.size(), 0);
      stream(to.data() + begin, from.data() + 3, bytes);
      _mm_sfence();
      for (std::size_t i = 0; i < to.size(); ++i) {
        const bool inside = i >= begin && i < begin + bytes;
        ASSERT_EQ(to[i], inside ? from[i - begin + 3] : 0) << begin << " " << bytes << " " << i;
      }
    }
  }
}

// So many elements that any pass over them is beyond the caches, and begins where no line does.
constexpr std::int64_t kCount = (std::int64_t{17} << 20) + 5;
constexpr std::int64_t kPart = std::int64_t{1} << 20;

Tensor misaligned(DType dtype) { return Tensor({kCount + 3}, dtype).slice_flat(3, {kCount}); }

Tensor noise(DType dtype) {
  Tensor x = misaligned(DType::f32), y = misaligned(dtype);
  for (std::int64_t i = 0; i < kCount; ++i)
    x.data<float>()[i] = static_cast<float>(i * 2654435761 % 1000003) * 1e-3F - 500;
  backend(x).copy(y, x);
  return y;
}

// Calls f(first, count) for small parts.
template <class F>
void by_parts(const F& f) {
  for (std::int64_t first = 0; first < kCount; first += kPart)
    f(first, std::min(kPart, kCount - first));
}

TEST(PastCaches, ConvertsAddsAndScales) {
  if (!on_cpu()) GTEST_SKIP() << "these are the CPU's";
  Backend& b = test_backend();
  for (const DType from : {DType::f32, DType::bf16}) {
    const Tensor x = noise(from);
    for (const DType to : {DType::f32, DType::bf16}) {
      Tensor y = misaligned(to), expected = misaligned(to);
      b.copy(y, x);
      by_parts([&](std::int64_t first, std::int64_t n) {
        Tensor part = expected.narrow(first, n);
        b.copy(part, x.narrow(first, n));
      });
      EXPECT_TRUE(same_bits(y, expected)) << name_of(from) << " to " << name_of(to);
      b.add(y, x, x);
      by_parts([&](std::int64_t first, std::int64_t n) {
        Tensor part = expected.narrow(first, n);
        b.add(part, x.narrow(first, n), x.narrow(first, n));
      });
      EXPECT_TRUE(same_bits(y, expected)) << name_of(from) << " to " << name_of(to);
    }
    Tensor y = misaligned(from), in_place = misaligned(from);
    b.copy(in_place, x);
    b.scale(y, x, 0.3F);
    b.scale(in_place, in_place, 0.3F);
    EXPECT_TRUE(same_bits(y, in_place)) << name_of(from);
  }
}

// What an optimizer changes, and the gradient.
struct Weights {
  Tensor w = noise(DType::f32), m = noise(DType::f32), v = misaligned(DType::f32),
         copy = misaligned(DType::bf16), g = noise(DType::f32);

  Weights() { backend(v).fill(v, 0.1F); }
  AdamTensors from(std::int64_t first, std::int64_t n) const {
    return {.w = w.narrow(first, n),
            .m = m.narrow(first, n),
            .v = v.narrow(first, n),
            .copy = copy.narrow(first, n),
            .g = g.narrow(first, n)};
  }
};

TEST(PastCaches, UpdatesWeightsAndTheirCopies) {
  if (!on_cpu()) GTEST_SKIP() << "these are the CPU's";
  const Weights whole, parts;
  Backend& b = test_backend();
  const auto expect_same = [&] {
    EXPECT_TRUE(same_bits(whole.w, parts.w));
    EXPECT_TRUE(same_bits(whole.m, parts.m));
    EXPECT_TRUE(same_bits(whole.v, parts.v));
    EXPECT_TRUE(same_bits(whole.copy, parts.copy));
  };
  const auto update = [&](const Weights& x, std::int64_t first, std::int64_t n) {
    const AdamTensors p = x.from(first, n);
    b.adamw({&p, 1}, {.lr = 0.1F});
  };
  update(whole, 0, kCount);
  by_parts([&](std::int64_t first, std::int64_t n) { update(parts, first, n); });
  expect_same();

  Tensor squares = make_empty({1, 2}, DType::f64);
  b.fill(squares, 1);
  const auto apply = [&](const Weights& x, std::int64_t first, std::int64_t n) {
    const AdamTensors p = x.from(first, n);
    b.lamb_apply({&p, 1}, squares, {.lr = 0.1F});
  };
  apply(whole, 0, kCount);
  by_parts([&](std::int64_t first, std::int64_t n) { apply(parts, first, n); });
  expect_same();
}

}  // namespace
}  // namespace weft
