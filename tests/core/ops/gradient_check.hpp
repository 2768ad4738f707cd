// The check every op goes through: forward against fp64, gradients against central differences,
// 16-bit types against fp32.
//
//   check_op({.inputs = {make_random({3, 5}, 1), make_random({3, 5}, 2)},
//             .op = [](const auto& in) { return add(in[0], in[1]); },
//             .reference = [](const auto& in) { ... the same in double ... }});
#pragma once

#include <functional>
#include <limits>

#include "core/autograd/backward.hpp"
#include "tests/core/tensor_helpers.hpp"

namespace weft {

struct OpCase {
  std::vector<Tensor> inputs;  // f32; a gradient is checked for each. Integers: capture them
  // The op: the same function of its inputs each time (make the Pass of a dropout inside). It may
  // overwrite its inputs in backward; each run gets fresh copies.
  std::function<Var(const std::vector<Var>&)> op;
  // The op in fp64, from the inputs' elements; optional.
  std::function<std::vector<double>(const std::vector<std::vector<double>>&)> reference = {};
  double forward_tolerance = 1e-5;
  double gradient_tolerance = 1e-3;
  double half_tolerance = 2e-2;  // of bf16 and f16
  bool half = true;              // false: the op takes f32 alone
  float step = 0.02F;            // of the central differences; no kink of the op within 2 steps
};

namespace gradient_check {

struct Run {
  Var y;
  std::vector<Var> inputs;
};

// The op on fresh copies of the inputs, rounded to `dtype`.
inline Run run(const OpCase& c, const std::vector<Tensor>& inputs, DType dtype) {
  Run r;
  for (const Tensor& x : inputs) r.inputs.emplace_back(to_dtype(x, dtype), true);
  r.y = c.op(r.inputs);
  return r;
}

// The random direction the output is projected on.
inline Tensor projection(const Var& y) { return make_random(y.shape(), 4711, y.dtype()); }

inline std::vector<Tensor> gradients(const Run& r) {
  const GradMap map = backward(r.y, projection(r.y));
  std::vector<Tensor> grads;
  for (const Var& x : r.inputs) grads.push_back(map[x]);
  return grads;
}

// d(projection . y) / d(element i of input k) by the five-point central difference: its error is
// of order step^4, so that a step large enough to drown the rounding of fp32 is small enough.
inline double difference(const OpCase& c, std::size_t k, std::size_t i) {
  const std::vector<float> values = to_vector(c.inputs[k]);
  const auto slope = [&](float step) {
    std::vector<float> y[2];
    float x[2];
    std::vector<float> direction;
    for (const int side : {0, 1}) {
      x[side] = side == 0 ? values[i] - step : values[i] + step;
      std::vector<Tensor> inputs = c.inputs;
      inputs[k] = with_element(inputs[k], static_cast<std::int64_t>(i), x[side]);
      const Run r = run(c, inputs, DType::f32);
      y[side] = to_vector(r.y.value());
      direction = to_vector(projection(r.y));
    }
    // Differences before the sum: outputs that do not depend on this element add no rounding.
    double sum = 0;
    for (std::size_t j = 0; j < direction.size(); ++j)
      sum += double{direction[j]} * (double{y[1][j]} - double{y[0][j]});
    return sum / (double{x[1]} - double{x[0]});
  };
  return (4 * slope(c.step) - slope(2 * c.step)) / 3;
}

}  // namespace gradient_check

inline testing::AssertionResult forward_agrees(const OpCase& c) {
  std::vector<std::vector<double>> in;
  for (const Tensor& x : c.inputs) in.push_back(to_vector<double>(x));
  return close(gradient_check::run(c, c.inputs, DType::f32).y.value(), c.reference(in),
               c.forward_tolerance);
}

inline testing::AssertionResult gradients_agree(const OpCase& c) {
  const std::vector<Tensor> grads =
      gradient_check::gradients(gradient_check::run(c, c.inputs, DType::f32));
  for (std::size_t k = 0; k < c.inputs.size(); ++k) {
    if (!grads[k]) return testing::AssertionFailure() << "input " << k << " got no gradient";
    if (!(grads[k].shape() == c.inputs[k].shape()))
      return testing::AssertionFailure()
             << "gradient " << k << " has shape " << grads[k].shape().str();
    // Four runs of the op per element: a device has less time than the CPU, whose results the
    // same differences confirm in full.
    const std::vector<float> grad = to_vector(grads[k]);
    const std::size_t step = on_cpu() ? 1 : grad.size() / 12 + 1;
    std::vector<double> got, expected;
    for (std::size_t i = 0; i < grad.size(); i += step) {
      got.push_back(double{grad[i]});
      expected.push_back(gradient_check::difference(c, k, i));
    }
    // The absolute part is the rounding noise left in a difference whose true value is 0.
    const auto result = close(got, expected, c.gradient_tolerance, 1e-4);
    if (!result) return testing::AssertionFailure() << "gradient " << k << ": " << result.message();
  }
  return testing::AssertionSuccess();
}

// The op in a 16-bit type against the op in fp32 on the same, rounded inputs: outputs and
// gradients.
inline testing::AssertionResult half_agrees(const OpCase& c, DType dtype) {
  std::vector<Tensor> rounded;
  for (const Tensor& x : c.inputs) rounded.push_back(to_dtype(x, dtype));
  const auto full = gradient_check::run(c, rounded, DType::f32);
  const auto half = gradient_check::run(c, rounded, dtype);
  const auto y = close(half.y.value(), full.y.value(), c.half_tolerance);
  if (!y) return testing::AssertionFailure() << name_of(dtype) << " output: " << y.message();
  const std::vector<Tensor> expected = gradient_check::gradients(full);
  const std::vector<Tensor> grads = gradient_check::gradients(half);
  for (std::size_t k = 0; k < grads.size(); ++k) {
    if (!grads[k]) return testing::AssertionFailure() << "input " << k << " got no gradient";
    const auto result = close(grads[k], expected[k], c.half_tolerance);
    if (!result)
      return testing::AssertionFailure()
             << name_of(dtype) << " gradient " << k << ": " << result.message();
  }
  return testing::AssertionSuccess();
}

inline void check_op(const OpCase& c) {
  if (c.reference) {
    EXPECT_TRUE(forward_agrees(c));
  }
  EXPECT_TRUE(gradients_agree(c));
  for (const DType dtype : test_dtypes()) {
    if (!c.half || dtype == DType::f32) continue;
    EXPECT_TRUE(half_agrees(c, dtype));
  }
}

}  // namespace weft
