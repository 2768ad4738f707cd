// layer_norm and residual_norm kernels: what the ops' own tests do not reach.
#include "core/backend/backend.hpp"
#include "tests/core/backend/repeatable.hpp"

namespace weft {
namespace {

struct Inputs {
  explicit Inputs(DType dtype, std::int64_t rows = 301, std::int64_t columns = 401)
      : x(make_random({rows, columns}, 1, dtype)),
        residual(make_random({rows, columns}, 2, dtype)),
        dy(make_random({rows, columns}, 3, dtype)),
        bias(make_random({columns}, 4, dtype)),
        gamma(make_random({columns}, 5, dtype)),
        beta(make_random({columns}, 6, dtype)) {}
  Tensor x, residual, dy, bias, gamma, beta;

  Backend::ResidualNorm args() const {
    return {.x = x,
            .bias = bias,
            .residual = residual,
            .gamma = gamma,
            .beta = beta,
            .eps = 1e-12F,
            .dropout = {.p = 0.1F, .key = {.seed = 9}, .first_element = 5}};
  }
};

struct Forward {
  Tensor y, sum, mean, rstd;

  explicit Forward(const Inputs& in)
      : y(empty_like(in.x)),
        sum(empty_like(in.x)),
        mean(make_empty({in.x.shape().rows()})),
        rstd(empty_like(mean)) {
    test_backend().residual_norm_forward(y, sum, mean, rstd, in.args());
  }
};

TEST(LayerNorm, GivesTheSameBitsEveryTime) {
  for (const DType dtype : test_dtypes()) {
    const Inputs in(dtype);
    EXPECT_TRUE(repeatable([&]() -> std::vector<Tensor> {
      Tensor y = empty_like(in.x), dx = empty_like(in.x);
      Tensor mean = make_empty({301}), rstd = make_empty({301});
      Tensor dgamma = make_empty({401}), dbeta = make_empty({401});
      test_backend().layer_norm_forward(y, mean, rstd, in.x, in.gamma, in.beta, 1e-12F);
      test_backend().layer_norm_backward(dx, dgamma, dbeta, in.dy, in.x, mean, rstd, in.gamma);
      return {y, mean, rstd, dx, dgamma, dbeta};
    }));
  }
}

TEST(ResidualNorm, GivesTheSameBitsEveryTime) {
  for (const DType dtype : test_dtypes()) {
    const Inputs in(dtype);
    EXPECT_TRUE(repeatable([&]() -> std::vector<Tensor> {
      const Forward f(in);
      Tensor dx = empty_like(in.x), dresidual = empty_like(in.x), dbias = make_empty({401});
      Tensor dgamma = empty_like(dbias), dbeta = empty_like(dbias);
      test_backend().residual_norm_backward(dx, dresidual, dbias, dgamma, dbeta, in.dy, f.sum,
                                            f.mean, f.rstd, in.gamma, in.args().dropout);
      return {f.y, f.sum, f.mean, f.rstd, dx, dresidual, dbias, dgamma, dbeta};
    }));
  }
}

TEST(ResidualNorm, IsTheNormOfTheSumItStores) {
  for (const DType dtype : test_dtypes()) {
    const Inputs in(dtype, 5, 33);
    const Forward f(in);
    Tensor y = empty_like(in.x), mean = empty_like(f.mean), rstd = empty_like(f.rstd);
    test_backend().layer_norm_forward(y, mean, rstd, f.sum, in.gamma, in.beta, 1e-12F);
    EXPECT_TRUE(same_result(y, f.y));
    EXPECT_TRUE(same_result(mean, f.mean));
    EXPECT_TRUE(same_result(rstd, f.rstd));
  }
}

// As the op does when nothing is dropped: the gradients of x and of the residual are one.
TEST(ResidualNorm, BackwardMayWriteBothGradientsToOnePlace) {
  for (const DType dtype : test_dtypes()) {
    const Inputs in(dtype, 5, 33);
    const Forward f(in);
    Tensor dx = empty_like(in.x), dresidual = empty_like(in.x), both = empty_like(in.x);
    Tensor dbias = make_empty({33}), dgamma = empty_like(dbias), dbeta = empty_like(dbias);
    test_backend().residual_norm_backward(dx, dresidual, dbias, dgamma, dbeta, in.dy, f.sum, f.mean,
                                          f.rstd, in.gamma, {});
    EXPECT_TRUE(same_bits(dx, dresidual));
    test_backend().residual_norm_backward(both, both, dbias, dgamma, dbeta, in.dy, f.sum, f.mean,
                                          f.rstd, in.gamma, {});
    EXPECT_TRUE(same_bits(both, dresidual));
  }
}

TEST(LayerNorm, NanStaysInItsRow) {
  Inputs in(DType::f32, 3, 20);
  in.x = with_element(in.x, 25, NAN);
  Tensor y = empty_like(in.x), mean = make_empty({3}), rstd = make_empty({3});
  test_backend().layer_norm_forward(y, mean, rstd, in.x, in.gamma, in.beta, 1e-5F);
  const std::vector<float> values = to_vector(y);
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(std::isnan(values[i]), i / 20 == 1) << i;
}

}  // namespace
}  // namespace weft
