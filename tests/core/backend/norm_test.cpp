// layer_norm and residual_norm kernels: against fp64, and what the ops' own tests do not reach.
#include "core/backend/backend.hpp"
#include "tests/core/backend/dropout_reference.hpp"
#include "tests/core/backend/norm_reference.hpp"
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

constexpr float kEps = 1e-5F;
// What is left of gradients that are 0, as those of rows of one column, after a factor 1 /
// sqrt(eps).
constexpr double kRounding = 1e-5;

// Fewer columns than a warp has lanes, odd numbers of them, packs of 16 bytes of every number that
// a kernel keeps in registers, and rows longer than that; one row, few, and more than a column sum
// takes at once.
const Shape kShapes[] = {{3, 1},    {1, 31},   {7, 33},   {70, 40},  {300, 64}, {5, 400},
                         {41, 768}, {2, 1023}, {5, 1024}, {9, 1032}, {2, 5000}, {2, 8200}};

// The same inputs once as they were allocated and once where no access of 16 bytes fits.
std::vector<Inputs> inputs(DType dtype, const Shape& shape) {
  const Inputs in(dtype, shape[0], shape[1]);
  Inputs shifted = in;
  for (Tensor* t :
       {&shifted.x, &shifted.residual, &shifted.dy, &shifted.bias, &shifted.gamma, &shifted.beta})
    *t = unaligned(*t);
  return {in, shifted};
}

std::string name(DType dtype, const Shape& shape) {
  return std::string(name_of(dtype)) + " " + shape.str();
}

TEST(LayerNorm, AgreesWithFp64) {
  for (const DType dtype : test_dtypes()) {
    for (const Shape& shape : kShapes) {
      for (const Inputs& in : inputs(dtype, shape)) {
        const NormReference want =
            norm_reference(to_vector<double>(in.x), to_vector<double>(in.gamma),
                           to_vector<double>(in.beta), double{kEps});
        Tensor y = empty_like(in.x), mean = make_empty({shape[0]}), rstd = empty_like(mean);
        test_backend().layer_norm_forward(y, mean, rstd, in.x, in.gamma, in.beta, kEps);
        EXPECT_TRUE(close(y, want.y, tolerance_of(dtype, 5e-6))) << name(dtype, shape);
        EXPECT_TRUE(close(mean, want.mean, 5e-6)) << name(dtype, shape);
        EXPECT_TRUE(close(rstd, want.rstd, 5e-6)) << name(dtype, shape);

        const NormGradients gradients = norm_gradients(
            to_vector<double>(in.dy), to_vector<double>(in.x), want, to_vector<double>(in.gamma));
        Tensor dx = empty_like(in.x), dgamma = make_empty({shape[1]}), dbeta = empty_like(dgamma);
        test_backend().layer_norm_backward(dx, dgamma, dbeta, in.dy, in.x, mean, rstd, in.gamma);
        EXPECT_TRUE(close(dx, gradients.dx, tolerance_of(dtype, 1e-5), kRounding))
            << name(dtype, shape);
        EXPECT_TRUE(close(dgamma, gradients.dgamma, 1e-5)) << name(dtype, shape);
        EXPECT_TRUE(close(dbeta, gradients.dbeta, 1e-5)) << name(dtype, shape);
      }
    }
  }
}

// The gradient of x is the dropped gradient of the sum, which may have been rounded before.
void expect_exact_residual_norm(const Inputs& in, const Backend::ResidualNorm& args) {
  const DType dtype = in.x.dtype();
  const Shape& shape = in.x.shape();
  const std::string what = name(dtype, shape) + " p " + std::to_string(args.dropout.p) + " bias " +
                           std::to_string(static_cast<bool>(args.bias));
  const std::vector<double> x = to_vector<double>(in.x), bias = to_vector<double>(in.bias),
                            gamma = to_vector<double>(in.gamma);
  std::vector<double> sums = to_vector<double>(in.residual);
  for (std::size_t i = 0; i < x.size(); ++i) {
    sums[i] += dropout_factor(args.dropout, i) * (x[i] + (args.bias ? bias[i % bias.size()] : 0.0));
  }
  Tensor y = empty_like(in.x), sum = empty_like(in.x), mean = make_empty({shape[0]}),
         rstd = empty_like(mean);
  test_backend().residual_norm_forward(y, sum, mean, rstd, args);
  EXPECT_TRUE(close(sum, sums, tolerance_of(dtype, 1e-6))) << what;
  const NormReference want =
      norm_reference(to_vector<double>(sum), gamma, to_vector<double>(in.beta), double{args.eps});
  EXPECT_TRUE(close(y, want.y, tolerance_of(dtype, 5e-6))) << what;
  EXPECT_TRUE(close(mean, want.mean, 5e-6)) << what;
  EXPECT_TRUE(close(rstd, want.rstd, 5e-6)) << what;

  const NormGradients gradients =
      norm_gradients(to_vector<double>(in.dy), to_vector<double>(sum), want, gamma);
  std::vector<double> dropped = gradients.dx, columns(gamma.size());
  for (std::size_t i = 0; i < dropped.size(); ++i) {
    dropped[i] *= dropout_factor(args.dropout, i);
    columns[i % columns.size()] += dropped[i];
  }
  Tensor dx = empty_like(in.x), dresidual = empty_like(in.x), dgamma = make_empty({shape[1]}),
         dbeta = empty_like(dgamma), dbias = args.bias ? empty_like(dgamma) : Tensor{};
  test_backend().residual_norm_backward(dx, dresidual, dbias, dgamma, dbeta, in.dy, sum, mean, rstd,
                                        in.gamma, args.dropout);
  EXPECT_TRUE(close(dresidual, gradients.dx, tolerance_of(dtype, 1e-5), kRounding)) << what;
  EXPECT_TRUE(close(dx, dropped, 2 * tolerance_of(dtype, 1e-5), kRounding)) << what;
  EXPECT_TRUE(close(dgamma, gradients.dgamma, 1e-5)) << what;
  EXPECT_TRUE(close(dbeta, gradients.dbeta, 1e-5)) << what;
  if (dbias) {
    EXPECT_TRUE(close(dbias, columns, tolerance_of(dtype, 1e-5), kRounding)) << what;
  }
}

TEST(ResidualNorm, AgreesWithFp64) {
  for (const DType dtype : test_dtypes()) {
    for (const Shape& shape : kShapes) {
      for (const Inputs& in : inputs(dtype, shape)) {
        Backend::ResidualNorm args = in.args();
        args.eps = kEps;
        expect_exact_residual_norm(in, args);
        args.bias = {};
        args.dropout.first_element = 1024;  // groups of Philox and packs begin together
        expect_exact_residual_norm(in, args);
        args.bias = in.bias;
        args.dropout = {};
        expect_exact_residual_norm(in, args);
      }
    }
  }
}

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
  for (const std::int64_t columns : {20, 21, 1032}) {
    Inputs in(DType::f32, 3, columns);
    in.x = with_element(in.x, columns + 5, NAN);
    Tensor y = empty_like(in.x), mean = make_empty({3}), rstd = make_empty({3});
    test_backend().layer_norm_forward(y, mean, rstd, in.x, in.gamma, in.beta, 1e-5F);
    const std::vector<float> values = to_vector(y);
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(std::isnan(values[i]), static_cast<std::int64_t>(i) / columns == 1) << i;
  }
}

TEST(ResidualNorm, TheGradientsOfNoRowsAreZero) {
  for (const std::int64_t columns : {8, 9}) {
    const Inputs in(DType::f32, 0, columns);
    const Forward f(in);
    Tensor dx = empty_like(in.x), dresidual = empty_like(in.x), dbias = make_random({columns}, 1);
    Tensor dgamma = make_random({columns}, 2), dbeta = make_random({columns}, 3);
    test_backend().residual_norm_backward(dx, dresidual, dbias, dgamma, dbeta, in.dy, f.sum, f.mean,
                                          f.rstd, in.gamma, in.args().dropout);
    const std::vector<float> zeros(static_cast<std::size_t>(columns));
    for (const Tensor& sum : {dbias, dgamma, dbeta}) EXPECT_EQ(to_vector(sum), zeros);
  }
}

}  // namespace
}  // namespace weft
