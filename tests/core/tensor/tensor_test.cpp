// Tensors share and free their storage; views see parts of it.
#include "core/tensor/tensor.hpp"

#include "tests/core/expect_error.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {
namespace {

std::size_t in_use() { return allocator({}).stats().in_use; }

TEST(Tensor, CopiesShareOneStorage) {
  const std::size_t before = in_use();
  {
    const Tensor x = make_random({4, 6}, 1);
    const std::size_t one = in_use();
    const Tensor y = x, z = x.reshape({2, 12});
    EXPECT_EQ(in_use(), one);
    EXPECT_EQ(y.raw(), x.raw());
    EXPECT_EQ(z.shape(), (Shape{2, 12}));
  }
  EXPECT_EQ(in_use(), before);
}

TEST(Tensor, ViewsKeepTheStorageAlive) {
  Tensor view;
  {
    const Tensor x = to_tensor({0, 1, 2, 3, 4, 5}, {3, 2});
    view = x.narrow(1, 2);
  }
  EXPECT_EQ(to_vector(view), (std::vector<float>{2, 3, 4, 5}));
  EXPECT_EQ(to_vector(view.narrow(1, 1)), (std::vector<float>{4, 5}));
  EXPECT_EQ(to_vector(view.slice_flat(1, {1, 3})), (std::vector<float>{3, 4, 5}));
  EXPECT_EQ(view.byte_offset(), 2 * sizeof(float));
}

TEST(Tensor, AWeakHandleDoesNotKeepIt) {
  std::weak_ptr<const Storage> handle;
  {
    const Tensor x({8}, DType::f32);
    handle = x.weak_storage();
    EXPECT_FALSE(handle.expired());
  }
  EXPECT_TRUE(handle.expired());
}

TEST(Tensor, StorageIdsAreNeverReused) {
  const std::uint64_t first = Tensor({8}, DType::f32).storage().id();
  const std::uint64_t second = Tensor({8}, DType::f32).storage().id();
  EXPECT_LT(first, second);
}

TEST(Tensor, VersionsCountWrites) {
  const Tensor x({8}, DType::f32), view = x.narrow(2, 3);
  const std::uint64_t version = x.storage().version();
  view.storage().bump_version();
  EXPECT_EQ(x.storage().version(), version + 1);
}

TEST(Tensor, EmptyOnesWork) {
  const Tensor none;
  EXPECT_FALSE(none);
  EXPECT_EQ(none.raw(), nullptr);
  const Tensor x({0, 5}, DType::bf16);
  EXPECT_TRUE(x);
  EXPECT_EQ(x.numel(), 0);
  EXPECT_EQ(x.bytes(), 0U);
  EXPECT_EQ(x.shape().rows(), 0);
  EXPECT_EQ(x.narrow(0, 0).numel(), 0);
}

TEST(Shape, RowsAndText) {
  const Shape s{2, 3, 4};
  EXPECT_EQ(s.rows(), 6);
  EXPECT_EQ(s.last(), 4);
  EXPECT_EQ(s[-2], 3);
  EXPECT_EQ(s.with_last(9), (Shape{2, 3, 9}));
  EXPECT_EQ(s.str(), "[2, 3, 4]");
  EXPECT_EQ(Shape{}.numel(), 1);
  EXPECT_FALSE(s == (Shape{2, 12}));
}

TEST(Bfloat16, RoundsToNearestEven) {
  EXPECT_EQ(static_cast<float>(bfloat16(1.0F)), 1.0F);
  EXPECT_EQ(static_cast<float>(bfloat16(1.0F + 0x1p-8F)), 1.0F);              // a tie, to even
  EXPECT_EQ(static_cast<float>(bfloat16(1.0F + 0x1.8p-7F)), 1.0F + 0x1p-6F);  // a tie, to even
  EXPECT_EQ(static_cast<float>(bfloat16(1.0F + 0x1.1p-8F)), 1.0F + 0x1p-7F);
  EXPECT_EQ(static_cast<float>(bfloat16(INFINITY)), INFINITY);
  EXPECT_EQ(static_cast<float>(bfloat16(3.4e38F)), INFINITY);  // rounds beyond the largest
  EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(std::bit_cast<float>(0x7F800001U)))));
}

TEST(Float16, EveryValueSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    float16 h;
    h.bits = static_cast<std::uint16_t>(bits);
    const auto x = static_cast<float>(h);
    if (std::isnan(x)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(float16(x))));
    } else {
      ASSERT_EQ(float16(x).bits, bits) << x;
    }
  }
}

TEST(Float16, RoundsToNearestEven) {
  EXPECT_EQ(static_cast<float>(float16(1.0F + 0x1p-11F)), 1.0F);  // a tie
  EXPECT_EQ(static_cast<float>(float16(1.0F + 0x1.8p-10F)), 1.0F + 0x1p-9F);
  EXPECT_EQ(static_cast<float>(float16(65519.0F)), 65504.0F);
  EXPECT_EQ(static_cast<float>(float16(65520.0F)), INFINITY);
  EXPECT_EQ(static_cast<float>(float16(0x1p-24F)), 0x1p-24F);  // the smallest subnormal
  EXPECT_EQ(static_cast<float>(float16(0x1p-25F)), 0.0F);      // a tie, to even
  EXPECT_EQ(static_cast<float>(float16(-0x1.8p-25F)), -0x1p-24F);
}

TEST(Shape, RefusesSizesThatOverflow) {
  const std::int64_t big = std::int64_t{1} << 62;
  expect_error([&] { Shape{big, 2, 0}; }, {"[4611686018427387904, 2, 0]"});
  expect_error([] { Shape{std::int64_t{1} << 30, std::int64_t{1} << 30}; }, {"shape"});
  expect_error([] { Shape{2, -1}; }, {"[2, -1]"});
  expect_error([&] { (Shape{8, 8}.with_last(big)); }, {"[8, 4611686018427387904]"});
  EXPECT_EQ((Shape{0, Shape::kMaxElements}.numel()), 0);
}

}  // namespace
}  // namespace weft
