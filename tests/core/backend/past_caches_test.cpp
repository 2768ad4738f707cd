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

// Rows of which a pass over two tensors is beyond the caches: whole lines of memory, or such that
// begin and end anywhere.
struct Rows {
  std::int64_t columns;
  DType dtype;
  std::int64_t misaligned_by;

  std::int64_t count() const {
    return (std::int64_t{40} << 20) / (columns * static_cast<std::int64_t>(size_of(dtype)));
  }
  Tensor empty() const {
    return Tensor({count() * columns + misaligned_by}, dtype)
        .slice_flat(misaligned_by, {count(), columns});
  }
  Tensor noise(int seed) const {
    Tensor x = empty(), values({count(), columns}, DType::f32);
    for (std::int64_t i = 0; i < x.numel(); ++i)
      values.data<float>()[i] = static_cast<float>((i + seed) * 2654435761 % 10007) * 1e-3F - 5;
    backend(x).copy(x, values);
    return x;
  }
  Tensor row(float scale) const {
    return to_tensor(to_vector(make_random({columns}, 5, DType::f32, scale)), {columns}, dtype);
  }
};

// Expects compute(first, count), which fills rows [first, first + count) of `outputs`, to give the
// same bits for all rows at once and for some at a time.
template <class F>
void expect_same_by_parts(const Rows& rows, std::vector<Tensor> outputs, const F& compute) {
  compute(std::int64_t{0}, rows.count());
  std::vector<Tensor> whole;
  for (Tensor& y : outputs) {
    whole.push_back(rows.empty());
    backend(y).copy(whole.back(), y);
    backend(y).fill(y, 0);
  }
  // A multiple of the rows that kernels take at once.
  constexpr std::int64_t kPart = 1024;
  for (std::int64_t first = 0; first < rows.count(); first += kPart)
    compute(first, std::min(kPart, rows.count() - first));
  for (std::size_t i = 0; i < outputs.size(); ++i)
    EXPECT_TRUE(same_bits(whole[i], outputs[i])) << "output " << i;
}

class PastCachesByRows : public testing::TestWithParam<Rows> {
 protected:
  void SetUp() override {
    if (!on_cpu()) GTEST_SKIP() << "these are the CPU's";
  }
  const Rows rows_ = GetParam();
  Backend& b_ = test_backend();
};

INSTANTIATE_TEST_SUITE_P(All, PastCachesByRows,
                         testing::Values(Rows{768, DType::f32, 0}, Rows{768, DType::bf16, 0},
                                         Rows{768, DType::f32, 3}, Rows{765, DType::f32, 0},
                                         Rows{765, DType::bf16, 1}));

TEST_P(PastCachesByRows, Activations) {
  const Tensor x = rows_.noise(1), dy = rows_.noise(2), bias = rows_.row(1);
  const Tensor y = rows_.empty(), dx = rows_.empty(), plain_y = rows_.empty();
  const Tensor plain_dx = rows_.empty();
  expect_same_by_parts(rows_, {y, dx, plain_y, plain_dx}, [&](std::int64_t first, std::int64_t n) {
    const auto part = [=](const Tensor& t) { return t.narrow(first, n); };
    Tensor to_y = part(y), to_dx = part(dx), to_plain_y = part(plain_y);
    Tensor to_plain_dx = part(plain_dx), dbias({rows_.columns}, DType::f32);
    b_.bias_activation_forward(to_y, part(x), bias, Activation::gelu);
    b_.bias_activation_backward(to_dx, dbias, part(dy), part(x), bias, Activation::gelu);
    b_.activation_forward(to_plain_y, part(x), Activation::gelu);
    b_.activation_backward(to_plain_dx, part(dy), part(x), Activation::gelu);
  });
}

TEST_P(PastCachesByRows, Norms) {
  const Tensor x = rows_.noise(1), dy = rows_.noise(2), gamma = rows_.row(1), beta = rows_.row(2);
  const Tensor y = rows_.empty(), dx = rows_.empty();
  const Tensor mean({rows_.count()}, DType::f32), rstd({rows_.count()}, DType::f32);
  expect_same_by_parts(rows_, {y, dx}, [&](std::int64_t first, std::int64_t n) {
    const auto part = [=](const Tensor& t) { return t.narrow(first, n); };
    Tensor to_y = part(y), to_mean = part(mean), to_rstd = part(rstd), to_dx = part(dx);
    Tensor dgamma({rows_.columns}, DType::f32), dbeta({rows_.columns}, DType::f32);
    b_.layer_norm_forward(to_y, to_mean, to_rstd, part(x), gamma, beta, 1e-5F);
    b_.layer_norm_backward(to_dx, dgamma, dbeta, part(dy), part(x), to_mean, to_rstd, gamma);
  });
}

TEST_P(PastCachesByRows, ResidualNormsAndDropout) {
  const Tensor x = rows_.noise(1), residual = rows_.noise(2), dy = rows_.noise(3);
  const Tensor gamma = rows_.row(1), beta = rows_.row(2), bias = rows_.row(3);
  const Tensor y = rows_.empty(), sum = rows_.empty(), dx = rows_.empty(), dsum = rows_.empty();
  const Tensor dropped = rows_.empty();
  const Tensor mean({rows_.count()}, DType::f32), rstd({rows_.count()}, DType::f32);
  expect_same_by_parts(rows_, {y, sum, dx, dsum, dropped}, [&](std::int64_t first, std::int64_t n) {
    const auto part = [=](const Tensor& t) { return t.narrow(first, n); };
    const Dropout dropout{.p = 0.3F,
                          .key = {.seed = 8, .step = 2},
                          .first_element = 3 + static_cast<std::uint64_t>(first * rows_.columns)};
    Tensor to_y = part(y), to_sum = part(sum), to_mean = part(mean), to_rstd = part(rstd);
    Tensor to_dx = part(dx), to_dsum = part(dsum), to_dropped = part(dropped);
    Tensor dgamma({rows_.columns}, DType::f32);
    Tensor dbeta = empty_like(dgamma), dbias = empty_like(dgamma);
    b_.residual_norm_forward(to_y, to_sum, to_mean, to_rstd,
                             {.x = part(x),
                              .bias = bias,
                              .residual = part(residual),
                              .gamma = gamma,
                              .beta = beta,
                              .dropout = dropout});
    b_.residual_norm_backward(to_dx, to_dsum, dbias, dgamma, dbeta, part(dy), to_sum, to_mean,
                              to_rstd, gamma, dropout);
    b_.dropout(to_dropped, part(x), dropout);
  });
}

TEST_P(PastCachesByRows, CrossEntropies) {
  const Tensor logits = rows_.noise(1), dlogits = rows_.empty();
  std::vector<std::int32_t> ids;
  for (std::int64_t n = 0; n < rows_.count(); ++n)
    ids.push_back(static_cast<std::int32_t>(n % 4 == 3 ? -1 : n * 7 % rows_.columns));
  const Tensor targets = make_indices(ids);
  Tensor lse({rows_.count()}, DType::f32);
  b_.fill(lse, 9);
  expect_same_by_parts(rows_, {dlogits}, [&](std::int64_t first, std::int64_t n) {
    Tensor part = dlogits.narrow(first, n);
    b_.cross_entropy_backward(part, logits.narrow(first, n), targets.narrow(first, n),
                              lse.narrow(first, n), to_tensor({0.5F}, {1}), 0);
  });
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
