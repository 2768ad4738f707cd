// Timing products by turns.
#include "core/backend/cpu/product_timing.hpp"

#include <algorithm>
#include <cmath>

#include "core/backend/backend.hpp"
#include "core/backend/timing.hpp"

namespace weft {

namespace {

constexpr double kTurn = 0.003;  // seconds at least that a kernel is called for in a turn
constexpr int kLeastTurns = 3;

double now() { return timing_clock({}); }

template <class Work>
double seconds_of(const Work& work) {
  const double start = now();
  work();
  return now() - start;
}

// The call's tensors.
class Problem {
 public:
  explicit Problem(const ProductCall& call) : product_(class_of(call)) {
    const ProductShape& s = call.shape;
    args_.transpose_a = call.transpose_a();
    args_.transpose_b = call.transpose_b();
    args_.accumulate = s.accumulate;
    args_.b_is_weight = call.b_is_weight;
    if (s.bias) args_.bias = noise({s.n}, s.dtype);
    if (call.a_sums) args_.a_sums = Tensor({s.m}, DType::f32);
    a_ = noise(args_.transpose_a ? Shape{s.k, s.m} : Shape{s.m, s.k}, s.dtype);
    b_ = noise(args_.transpose_b ? Shape{s.n, s.k} : Shape{s.k, s.n}, s.dtype);
    c_ = noise({s.m, s.n}, s.c_dtype);
  }

  // Of one of `calls` calls.
  double seconds(ProductKernel kernel, int calls) {
    set_product_table({{product_, kernel}});
    return seconds_of([&] {
             for (int i = 0; i < calls; ++i) backend(c_).matmul(c_, a_, b_, args_);
           }) /
           calls;
  }

  // The first call after a change of the weight takes so much longer.
  double seconds_of_packing() {
    constexpr int kTries = 3;
    double least = HUGE_VAL;
    for (int i = 0; i < kTries; ++i) {
      b_.storage().bump_version();
      const double with_packing = seconds(ProductKernel::onednn_packed, 1);
      least = std::min(least, with_packing - seconds(ProductKernel::onednn_packed, 1));
    }
    return std::max(least, 0.0);
  }

 private:
  ProductClass product_;
  MatmulArgs args_;
  Tensor a_, b_, c_;
};

// The value below which this share of them is.
double quantile(std::vector<double> values, double share) {
  const auto place = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size()));
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return values[static_cast<std::size_t>(place)];
}

// Whether `other` needs less than 1 / gain of the usual kernel's time in three turns of four.
bool beats(const KernelTimes& other, const KernelTimes& usual, double gain) {
  std::vector<double> ratios(other.seconds.size());
  std::transform(usual.seconds.begin(), usual.seconds.end(), other.seconds.begin(), ratios.begin(),
                 std::divides<>());
  return quantile(ratios, 0.25) > gain;
}

}  // namespace

double KernelTimes::least() const { return *std::min_element(seconds.begin(), seconds.end()); }
double KernelTimes::median() const { return quantile(seconds, 0.5); }

std::vector<KernelTimes> time_product(const ProductCall& call, const ProductTiming& timing) {
  ProductTable installed = set_product_table({});
  Problem problem(call);
  std::vector<KernelTimes> times;
  std::vector<int> calls;
  std::vector<double> packing;
  for (const ProductKernel kernel : product_kernels(class_of(call))) {
    times.push_back({.kernel = kernel, .seconds = {}});
    problem.seconds(kernel, 1);  // compiles, packs, and brings memory near
    calls.push_back(1 + static_cast<int>(kTurn / problem.seconds(kernel, 1)));
    packing.push_back(kernel == ProductKernel::onednn_packed
                          ? problem.seconds_of_packing() / static_cast<double>(timing.weight_uses)
                          : 0);
  }
  const double start = now();
  for (int turn = 0; turn < kLeastTurns || now() - start < timing.seconds; ++turn) {
    for (std::size_t i = 0; i < times.size(); ++i) {
      times[i].seconds.push_back(problem.seconds(times[i].kernel, calls[i]) + packing[i]);
    }
  }
  set_product_table(std::move(installed));
  return times;
}

ProductKernel faster_kernel(std::span<const KernelTimes> times, ProductKernel usual) {
  constexpr double kGain = 1.02, kGainOfPacking = 1.05;
  const auto of_usual =
      std::find_if(times.begin(), times.end(), [&](const auto& t) { return t.kernel == usual; });
  const KernelTimes* fastest = &*of_usual;
  for (const KernelTimes& t : times) {
    const double gain = t.kernel == ProductKernel::onednn_packed ? kGainOfPacking : kGain;
    if (t.median() < fastest->median() && beats(t, *of_usual, gain)) fastest = &t;
  }
  return fastest->kernel;
}

}  // namespace weft
