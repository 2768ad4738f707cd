// Products by our own tiles at the borders of their blocking, whatever kernel this CPU prefers.
#include "core/backend/cpu/tiles/product.hpp"
#include "core/backend/cpu/tiles/tiles.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

struct Layout {
  bool transpose_a = false, transpose_b = false;
};
constexpr Layout kLayouts[] = {{false, false}, {false, true}, {true, false}, {true, true}};

ProductShape shape_of(DType dtype, std::int64_t m, std::int64_t n, std::int64_t k,
                      const Layout& layout) {
  return {.m = m,
          .n = n,
          .k = k,
          .a_row = layout.transpose_a ? 1 : k,
          .a_column = layout.transpose_a ? m : 1,
          .b_row = layout.transpose_b ? 1 : n,
          .b_column = layout.transpose_b ? k : 1,
          .c_row = n,
          .dtype = dtype};
}

std::string describe(const ProductShape& s) {
  return std::string(name_of(s.dtype)) + " " + std::to_string(s.m) + "x" + std::to_string(s.n) +
         "x" + std::to_string(s.k) + (s.a_column == 1 ? "" : " ta") +
         (s.b_column == 1 ? "" : " tb") + (s.accumulate ? " acc" : "") + (s.bias ? " bias " : " ") +
         std::string(name_of(s.c_dtype)) + " threads " + std::to_string(s.threads);
}

class TiledProductOnCpu : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (tile_kernels(GetParam()) == nullptr) GTEST_SKIP() << "this CPU has not the instructions";
  }
  static ProductShape shape_of(std::int64_t m, std::int64_t n, std::int64_t k,
                               const Layout& layout) {
    return weft::shape_of(GetParam(), m, n, k, layout);
  }
};

INSTANTIATE_TEST_SUITE_P(, TiledProductOnCpu, testing::Values(DType::f32, DType::bf16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

// Operands of a product and what is to come out, in fp64.
struct Problem {
  explicit Problem(const ProductShape& s, bool sums = false) : shape(s) {
    a = make_random({s.m * s.k}, 1, s.dtype);
    b = make_random({s.k * s.n}, 2, s.dtype);
    old_c = make_random({s.m, s.n}, 3, s.c_dtype);
    if (s.bias) bias = make_random({s.n}, 4, s.dtype);
    if (sums) a_sums = make_empty({s.m});
  }

  Tensor run() const {
    Tensor c = to_dtype(old_c, shape.c_dtype);
    run_into(c, a, b);
    return c;
  }

  void run_into(Tensor& c, const Tensor& from_a, const Tensor& from_b) const {
    tiled_product(shape, {.c = c.raw(),
                          .a = from_a.raw(),
                          .b = from_b.raw(),
                          .bias = bias.raw(),
                          .a_sums = a_sums ? a_sums.data<float>() : nullptr});
  }

  std::vector<double> expected() const {
    const ProductShape& s = shape;
    const std::vector<float> va = to_vector(a), vb = to_vector(b), vc = to_vector(old_c);
    const std::vector<float> vbias = bias ? to_vector(bias) : std::vector<float>();
    std::vector<double> row(static_cast<std::size_t>(s.n)), out;
    for (std::int64_t i = 0; i < s.m; ++i) {
      for (std::size_t j = 0; j < row.size(); ++j)
        row[j] = (bias ? vbias[j] : 0.0) + (s.accumulate ? vc[out.size() + j] : 0.0);
      for (std::int64_t l = 0; l < s.k; ++l) {
        const double x = va[static_cast<std::size_t>(i * s.a_row + l * s.a_column)];
        for (std::int64_t j = 0; j < s.n; ++j)
          row[static_cast<std::size_t>(j)] +=
              x * double{vb[static_cast<std::size_t>(l * s.b_row + j * s.b_column)]};
      }
      out.insert(out.end(), row.begin(), row.end());
    }
    return out;
  }

  ProductShape shape;
  Tensor a, b, old_c, bias, a_sums;
};

// fp32 sums of many terms lose some digits.
double tolerance(const ProductShape& s) {
  return tolerance_of(s.c_dtype, s.k > 1000 ? 1e-5 : 2e-6);
}

TEST_P(TiledProductOnCpu, AgreesWithFp64AroundTiles) {
  for (const std::int64_t m : {1, 5, 6, 7, 13}) {
    for (const std::int64_t n : {1, 16, 63, 64, 65}) {
      for (const std::int64_t k : {1, 2, 31, 32, 33, 65}) {
        for (const Layout& layout : kLayouts) {
          const Problem p(shape_of(m, n, k, layout));
          EXPECT_TRUE(close(p.run(), p.expected(), tolerance(p.shape))) << describe(p.shape);
        }
      }
    }
  }
}

TEST_P(TiledProductOnCpu, AgreesWithFp64AroundBlocks) {
  struct Sizes {
    std::int64_t m, n, k;
  };
  for (const Sizes& sizes :
       {Sizes{95, 65, 40}, Sizes{96, 64, 40}, Sizes{97, 130, 40}, Sizes{1023, 16, 9},
        Sizes{1024, 16, 9}, Sizes{1031, 70, 9}, Sizes{7, 65, 3071}, Sizes{7, 64, 3072},
        Sizes{101, 66, 3073}, Sizes{7, 3, 6145}}) {
    for (const Layout& layout : kLayouts) {
      const Problem p(shape_of(sizes.m, sizes.n, sizes.k, layout));
      EXPECT_TRUE(close(p.run(), p.expected(), tolerance(p.shape))) << describe(p.shape);
    }
  }
}

TEST_P(TiledProductOnCpu, AddsBiasAndWhatWasThere) {
  for (const std::int64_t n : {20, 64, 150}) {
    for (const std::int64_t k : {64, 3100}) {
      for (const Layout& layout : kLayouts) {
        for (int flags = 0; flags < 8; ++flags) {
          ProductShape shape = shape_of(9, n, k, layout);
          shape.bias = flags & 1;
          shape.accumulate = flags & 2;
          shape.c_dtype = flags & 4 ? GetParam() : DType::f32;
          const Problem p(shape);
          EXPECT_TRUE(close(p.run(), p.expected(), tolerance(shape))) << describe(shape);
        }
      }
    }
  }
}

TEST_P(TiledProductOnCpu, SumsOfACome) {
  for (const std::int64_t m : {1, 17, 96, 200}) {
    for (const std::int64_t k : {1, 127, 128, 129, 700}) {
      for (const int threads : {1, 3}) {  // and as of a later micro-batch, with what was there
        ProductShape shape = shape_of(m, 200, k, {.transpose_a = true});
        shape.threads = threads;
        shape.accumulate = threads == 3;
        shape.c_dtype = DType::f32;
        const Problem p(shape, true);
        EXPECT_TRUE(close(p.run(), p.expected(), tolerance(shape))) << describe(shape);
        const std::vector<float> a = to_vector(p.a);
        std::vector<double> sums(static_cast<std::size_t>(m));
        for (std::size_t i = 0; i < a.size(); ++i) sums[i % sums.size()] += double{a[i]};
        EXPECT_TRUE(close(p.a_sums, sums, 2e-6)) << describe(shape);
      }
    }
  }
}

TEST_P(TiledProductOnCpu, BitsDoNotDependOnThreadsNorOnTheOtherRows) {
  for (const Layout& layout : kLayouts) {
    ProductShape shape = shape_of(210, 330, 3105, layout);
    const Problem alone(shape, layout.transpose_a);
    const Tensor expected = alone.run();
    const Tensor sums = alone.a_sums ? to_dtype(alone.a_sums, DType::f32) : Tensor{};
    for (const int threads : {2, 3, 7, 40}) {
      shape.threads = threads;
      Problem p(shape, layout.transpose_a);
      EXPECT_TRUE(same_bits(p.run(), expected)) << describe(shape);
      if (sums) {
        EXPECT_TRUE(same_bits(p.a_sums, sums)) << describe(shape);
      }
    }
    if (layout.transpose_a) continue;
    ProductShape few = shape;
    few.m = 4;
    EXPECT_TRUE(same_bits(Problem(few).run(), expected.narrow(0, 4))) << describe(few);
  }
}

// Odd addresses, and neighbours that must neither be read nor written: NaN around a and b would
// come through even a product with zero.
TEST_P(TiledProductOnCpu, ViewsMayBeginAnywhereAndStayInTheirBounds) {
  for (const Layout& layout : kLayouts) {
    for (const DType c_dtype : {DType::f32, GetParam()}) {
      for (const std::int64_t k : {33, 64}) {
        ProductShape shape = shape_of(13, 71, k, layout);
        shape.c_dtype = c_dtype;
        const Problem p(shape);
        const auto among_nans = [](const Tensor& x) {
          std::vector<float> values(static_cast<std::size_t>(x.numel()) + 80, NAN);
          const std::vector<float> inside = to_vector(x);
          std::copy(inside.begin(), inside.end(), values.begin() + 3);
          return to_tensor(values, {static_cast<std::int64_t>(values.size())}, x.dtype());
        };
        const Tensor a = among_nans(p.a), b = among_nans(p.b), c = among_nans(p.old_c);
        Tensor view = c.slice_flat(3, p.old_c.shape());
        p.run_into(view, a.slice_flat(3, p.a.shape()), b.slice_flat(3, p.b.shape()));
        EXPECT_TRUE(close(view, p.expected(), tolerance(shape))) << describe(shape);
        const std::vector<float> all = to_vector(c);
        for (std::size_t i = 0; i < all.size(); ++i) {
          const bool inside = i >= 3 && i < all.size() - 77;
          ASSERT_EQ(std::isnan(all[i]), !inside) << i;
        }
      }
    }
  }
}

TEST_P(TiledProductOnCpu, InfinityAndNanComeThrough) {
  for (const Layout& layout : kLayouts) {
    const ProductShape shape = shape_of(8, 70, 5, layout);
    Problem p(shape);
    p.a = with_element(p.a, 2 * shape.a_row + 4 * shape.a_column, INFINITY);
    p.a = with_element(p.a, 3 * shape.a_row + 1 * shape.a_column, NAN);
    EXPECT_TRUE(close(p.run(), p.expected(), tolerance(shape))) << describe(shape);
  }
}

// A layer's three products through the backend, in sizes for which the tiles are chosen where they
// pay at all.
TEST_P(TiledProductOnCpu, BackendMultipliesLayers) {
  const std::int64_t m = 515, n = 520, k = 513;
  const auto check = [&](const Layout& layout, DType c_dtype, MatmulArgs args) {
    ProductShape shape = shape_of(m, n, k, layout);
    shape.c_dtype = c_dtype;
    shape.bias = layout.transpose_b;
    const Problem p(shape, layout.transpose_a);
    args.transpose_a = layout.transpose_a;
    args.transpose_b = layout.transpose_b;
    args.bias = p.bias;
    args.a_sums = p.a_sums;
    Tensor c = make_empty({m, n}, c_dtype);
    backend(c).matmul(c, p.a.slice_flat(0, layout.transpose_a ? Shape{k, m} : Shape{m, k}),
                      p.b.slice_flat(0, layout.transpose_b ? Shape{n, k} : Shape{k, n}), args);
    EXPECT_TRUE(close(c, p.expected(), tolerance(shape))) << describe(shape);
    if (!p.a_sums) return;
    std::vector<double> sums(static_cast<std::size_t>(m));
    const std::vector<float> a = to_vector(p.a);
    for (std::size_t i = 0; i < a.size(); ++i) sums[i % sums.size()] += double{a[i]};
    EXPECT_TRUE(close(p.a_sums, sums, 2e-6));
  };
  check({.transpose_b = true}, GetParam(), {.b_is_weight = true});
  check({}, GetParam(), {.b_is_weight = true});
  check({.transpose_a = true}, DType::f32, {});
}

}  // namespace
}  // namespace weft
