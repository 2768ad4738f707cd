// Times the products and the attention of a device on the shapes of a BERT-base step (128 tokens,
// 15% of them masked) and sets each against the device's own peaks (the passes over memory are
// timed by passes): kernels --help
#include <cstdio>
#include <exception>
#include <functional>
#include <string>

#include <omp.h>

#include "benchmarks/arguments.hpp"
#include "benchmarks/device_timing.hpp"
#include "benchmarks/usage.hpp"
#include "core/backend/cpu_peaks.hpp"
#include "core/base/plural.hpp"
#include "launch/failure.hpp"
#include "launch/process.hpp"

namespace {

using namespace weft;

constexpr std::int64_t kTokens = 128, kHidden = 768, kInner = 3072, kHeads = 12,
                       kVocabulary = 30522;

struct Options {
  Device device;
  std::int64_t batch = 8;
  double seconds = 0.5;  // for each kernel

  std::int64_t rows() const { return batch * kTokens; }
  std::int64_t masked() const { return rows() * 5 / 32; }
};
Options options;

Tensor empty(const Shape& shape, DType dtype) { return Tensor(shape, dtype, options.device); }
Tensor noise(const Shape& shape, DType dtype) {
  return weft::noise(shape, {dtype, options.device});
}

// What is reachable: on a CPU its units' own rates, on a GPU those of a product that fills it.
double peak_flops(DType dtype) {
  if (on_cpu(options.device)) return cpu_peak_flops(dtype);
  const std::int64_t n = 8192;
  const Tensor a = noise({n, n}, dtype), b = noise({n, n}, dtype);
  Tensor c = empty({n, n}, dtype);
  return 2.0 * static_cast<double>(n * n * n) /
         best_time(options.device, options.seconds, [&] { backend(c).matmul(c, a, b, {}); });
}

class Report {
 public:
  Report(DType dtype, double peak) : dtype_(dtype), peak_(peak) {}

  // `flops` of a call.
  void operator()(const std::string& name, double flops, const std::function<void()>& call) const {
    const double seconds = best_time(options.device, options.seconds, call);
    const double rate = flops / seconds;
    std::printf("%-34s %-4s %9.3f ms %8.1f GFLOP/s %4.0f%%\n", name.c_str(), name_of(dtype_).data(),
                seconds * 1e3, rate / 1e9, 100 * rate / peak_);
    std::fflush(stdout);
  }

 private:
  DType dtype_;
  double peak_;
};

void products(const Report& report, DType dtype) {
  struct Layer {
    const char* name;
    std::int64_t rows, inputs, outputs;
  };
  for (const Layer& l : {Layer{"attention out", options.rows(), kHidden, kHidden},
                         Layer{"attention qkv", options.rows(), kHidden, 3 * kHidden},
                         Layer{"mlp up", options.rows(), kHidden, kInner},
                         Layer{"mlp down", options.rows(), kInner, kHidden},
                         Layer{"vocabulary head", options.masked(), kHidden, kVocabulary}}) {
    Tensor x = noise({l.rows, l.inputs}, dtype), dx = noise({l.rows, l.inputs}, dtype);
    Tensor w = noise({l.outputs, l.inputs}, dtype), dw = empty({l.outputs, l.inputs}, DType::f32);
    Tensor y = noise({l.rows, l.outputs}, dtype);
    const double work = 2.0 * static_cast<double>(l.rows * l.inputs * l.outputs);
    const std::string name = std::string("matmul ") + l.name;
    report(name, work,
           [&] { backend(y).matmul(y, x, w, {.transpose_b = true, .b_is_weight = true}); });
    report(name + " dx", work, [&] { backend(y).matmul(dx, y, w, {.b_is_weight = true}); });
    report(name + " dw", work, [&] { backend(y).matmul(dw, y, x, {.transpose_a = true}); });
  }
}

void attention(const Report& report, DType dtype) {
  const std::int64_t d = kHidden / kHeads;
  const Tensor qkv = noise({options.batch, kTokens, 3 * kHidden}, dtype);
  const Tensor dout = noise({options.batch, kTokens, kHidden}, dtype);
  Tensor out = noise({options.batch, kTokens, kHidden}, dtype), dqkv = noise(qkv.shape(), dtype);
  Tensor lse = empty({options.batch, kHeads, kTokens}, DType::f32);
  const double product = 2.0 * static_cast<double>(options.batch * kHeads * kTokens * kTokens * d);
  for (const float p : {0.0F, 0.1F}) {
    const AttentionArgs args{
        .heads = kHeads, .scale = 0.125F, .dropout_p = p, .total_heads = kHeads};
    const std::string name = p > 0 ? "attention, dropout" : "attention";
    report(name, 2 * product, [&] { backend(out).attention_forward(out, lse, qkv, args); });
    report(name + " backward", 5 * product,
           [&] { backend(out).attention_backward(dqkv, dout, qkv, out, lse, args); });
  }
}

constexpr const char* kUsage =
    "kernels [--device cpu|cuda] [--batch B (8)] [--seconds S (0.5): of each]";

Options parse(int argc, char** argv) {
  Options o;
  Words words("kernels", argc, argv);
  while (words.next()) {
    const std::string& name = words.word();
    if (name == "--device") {
      o.device.type = words.device_type();
    } else if (name == "--batch") {
      o.batch = words.whole(1, 1 << 14);
    } else if (name == "--seconds") {
      o.seconds = words.positive();
    } else {
      words.refuse();
    }
  }
  return o;
}

void run() {
  const double peak_f32 = peak_flops(DType::f32), peak_bf16 = peak_flops(DType::bf16);
  const std::string device =
      on_cpu(options.device) ? counted(omp_get_max_threads(), "thread") : options.device.str();
  std::printf("%s, batch %lld; measured peaks: f32 %.0f, bf16 %.0f GFLOP/s\n", device.c_str(),
              static_cast<long long>(options.batch), peak_f32 / 1e9, peak_bf16 / 1e9);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Report report(dtype, dtype == DType::f32 ? peak_f32 : peak_bf16);
    products(report, dtype);
    attention(report, dtype);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (asks_for_help(argc, argv, kUsage)) return 0;
  limit_spinning(argv);
  try {
    options = parse(argc, argv);
    run();
    return 0;
  } catch (const std::exception& e) {
    return end_ranks(e, exit_status_of(e));
  }
}
