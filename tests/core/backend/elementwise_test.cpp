// fill, copy, add, scale.
#include "core/backend/backend.hpp"
#include "tests/core/backend/repeatable.hpp"
#include "tests/core/expect_error.hpp"

namespace weft {
namespace {

const float kInf = std::numeric_limits<float>::infinity();

TEST(Elementwise, FillsEveryType) {
  for (const DType dtype :
       {DType::f32, DType::bf16, DType::f16, DType::i32, DType::u8, DType::f64}) {
    Tensor x = make_empty({3, 7}, dtype);
    test_backend().fill(x, 5);
    EXPECT_TRUE(close(x, std::vector<double>(21, 5), 0)) << name_of(dtype);
  }
}

// Parts that begin and end anywhere, with packs of 16 bytes in them and without.
TEST(Elementwise, FillsAPartAlone) {
  for (const DType dtype :
       {DType::f32, DType::bf16, DType::f16, DType::i32, DType::u8, DType::f64}) {
    for (const std::int64_t first : {0, 1, 3, 9, 17}) {
      for (const std::int64_t count : {1, 2, 15, 16, 40, 9001}) {
        Tensor x = make_empty({first + count + 5}, dtype);
        test_backend().fill(x, 2);
        Tensor part = x.slice_flat(first, {count});
        test_backend().fill(part, 5);
        std::vector<double> expected(static_cast<std::size_t>(x.numel()), 2);
        std::fill_n(expected.begin() + first, count, 5);
        EXPECT_TRUE(close(x, expected, 0)) << name_of(dtype) << ": " << count << " at " << first;
      }
    }
  }
}

TEST(Elementwise, CopiesBetweenFloatingTypes) {
  const std::vector<float> values = {0.0F,  -0.0F,  1.0F,        -2.5F, 0.1F, 3.14159274F, 65504.0F,
                                     1e-8F, 1e-40F, 1.00390625F, 1e38F, kInf, -kInf};
  const Shape shape{static_cast<std::int64_t>(values.size())};
  for (const DType from : {DType::f32, DType::bf16, DType::f16}) {
    for (const DType to : {DType::f32, DType::bf16, DType::f16}) {
      const Tensor x = to_tensor(values, shape, from);
      Tensor y = make_empty(shape, to);
      test_backend().copy(y, x);
      EXPECT_TRUE(same_bits(y, to_dtype(x, to))) << name_of(from) << " to " << name_of(to);
      EXPECT_TRUE(close(y, to_vector<double>(to_dtype(x, to)), 0));
    }
  }
}

TEST(Elementwise, CopyRoundsToNearestEven) {
  // bf16 has 8 significant bits: 1 + 2^-8 lies halfway between 1 and 1 + 2^-7.
  const Tensor x = to_tensor({1.00390625F, 1.01171875F, 1.00390637F}, {3});
  Tensor y = make_empty({3}, DType::bf16);
  test_backend().copy(y, x);
  EXPECT_EQ(to_vector(y), (std::vector<float>{1.0F, 1.015625F, 1.0078125F}));
}

// Of a device and the host: the device's backend copies both ways, the CPU's refuses.
TEST(Elementwise, CopiesRefuseTensorsFromElsewhere) {
  if (on_cpu()) GTEST_SKIP() << "there is one device";
  Tensor host({3}, DType::f32), there = to_tensor({1, 2, 3}, {3});
  test_backend().copy(host, there);
  EXPECT_EQ(to_vector(host), (std::vector<float>{1, 2, 3}));
  Backend& cpu = backend(Device{});
  const std::string on = "[3] f32 is on " + test_device().str() + " and not on cpu";
  expect_error([&] { cpu.copy(host, there); }, {"copy: " + on});
  expect_error([&] { cpu.copy(there, host); }, {"copy: " + on});
  expect_error([&] { cpu.upload(there, host); }, {"upload: " + on});
  expect_error([&] { cpu.download({&host, 1}, {&there, 1}); }, {"download: " + on});
  Tensor other({3}, DType::bf16);
  expect_error([&] { cpu.copy(other, there); }, {"copy: " + on});
  expect_error([&] { test_backend().copy(host, other); }, {"copy: [3]", "is on cpu and not on"});
  expect_error([&] { test_backend().upload(host, other); }, {"upload: [3] f32 is on cpu"});
  expect_error([&] { test_backend().upload(there, there); }, {"upload: " + on});
  expect_error([&] { test_backend().download({&host, 1}, {&host, 1}); }, {"is on cpu and not on"});
}

TEST(Elementwise, CopyKeepsNan) {
  // A payload in the low bits alone must not become an infinity.
  const Tensor x = to_tensor({std::bit_cast<float>(0x7F800001U), std::nanf("")}, {2});
  for (const DType dtype : {DType::bf16, DType::f16}) {
    Tensor y = make_empty({2}, dtype);
    test_backend().copy(y, x);
    for (const float v : to_vector(y)) EXPECT_TRUE(std::isnan(v)) << name_of(dtype);
  }
}

TEST(Elementwise, CopiesIntegersAsTheyAre) {
  for (const DType dtype : {DType::i32, DType::u8}) {
    const Tensor x = to_tensor({0, 1, 2, 255, 7}, {5}, dtype);
    Tensor y = make_empty({5}, dtype);
    test_backend().copy(y, x);
    EXPECT_TRUE(same_bits(y, x));
  }
}

// Less than a pack of 16 bytes, packs and a rest, and more than one block.
constexpr std::int64_t kSizes[] = {1, 7, 65, 5000};

TEST(Elementwise, AddsAcrossTypesAndInPlace) {
  for (const DType da : {DType::f32, DType::bf16, DType::f16}) {
    for (const DType db : {DType::f32, DType::bf16, DType::f16}) {
      for (const std::int64_t n : kSizes) {
        const Tensor a = make_random({n}, 1, da), b = make_random({n}, 2, db);
        std::vector<double> expected = to_vector<double>(a);
        const std::vector<double> other = to_vector<double>(b);
        for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += other[i];
        const Tensor rounded = to_tensor(expected, {n});
        for (const Tensor& x : {a, unaligned(a)}) {
          Tensor y = make_empty({n});
          test_backend().add(y, x, b);
          EXPECT_TRUE(close(y, expected, tolerance_of(DType::f32, 1e-7)));
          EXPECT_TRUE(same_bits(y, rounded));
          Tensor in_place = x;
          test_backend().add(in_place, in_place, b);
          EXPECT_TRUE(close(in_place, expected, tolerance_of(da, 1e-7)));
          EXPECT_TRUE(same_bits(in_place, to_dtype(rounded, da)));
        }
      }
    }
  }
}

TEST(Elementwise, ScalesInPlace) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    for (const std::int64_t n : kSizes) {
      const Tensor x = make_random({n}, 3, dtype);
      std::vector<double> scaled = to_vector<double>(x);
      for (double& v : scaled) v *= -0.3125;
      for (Tensor y : {to_dtype(x, dtype), unaligned(x)}) {
        test_backend().scale(y, y, -0.3125F);
        EXPECT_TRUE(close(y, scaled, tolerance_of(dtype, 1e-7)));
        EXPECT_TRUE(same_bits(y, to_tensor(scaled, {n}, dtype)));
      }
    }
  }
}

TEST(Elementwise, TakesEmptyTensors) {
  Tensor none = make_empty({0, 4});
  test_backend().fill(none, 1);
  test_backend().copy(none, none);
  test_backend().add(none, none, none);
  test_backend().scale(none, none, 2);
}

TEST(Elementwise, GivesTheSameBitsEveryTime) {
  for (const DType dtype : test_dtypes()) {
    const Tensor a = make_random({100'003}, 5, dtype), b = make_random({100'003}, 6, dtype);
    EXPECT_TRUE(repeatable([&]() -> std::vector<Tensor> {
      Tensor sum = empty_like(a), scaled = empty_like(a), copied = empty_like(a, DType::f32);
      test_backend().add(sum, a, b);
      test_backend().scale(scaled, a, 0.7F);
      test_backend().copy(copied, a);
      return {sum, scaled, copied};
    }));
  }
}

}  // namespace
}  // namespace weft
