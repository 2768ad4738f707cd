// Times the kernels of a device on the shapes of a BERT-base step (128 tokens, 15% of them masked)
// and sets each against the device's own peaks: kernels --help
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include <omp.h>

#include "core/backend/cpu_peaks.hpp"
#include "core/backend/transfer.hpp"
#include "core/base/error.hpp"

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

bool on_cpu() { return options.device.type == DeviceType::cpu; }

// One thread is timed by the processor time it took, so that a busy machine counts little.
double now() {
  const bool processor_time = on_cpu() && omp_get_max_threads() == 1;
  timespec t{};
  clock_gettime(processor_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Seconds of one call, by the fastest of many turns: what the others took longer is somebody
// else's. A GPU gets several calls a turn, so that the wait at its end counts little.
double best_time(const std::function<void()>& call) {
  const int calls = on_cpu() ? 1 : 20;
  const auto turn = [&] {
    for (int i = 0; i < calls; ++i) call();
    backend(options.device).synchronize();
  };
  turn();
  double best = 1e30;
  const double start = now();
  for (double before = start; before - start < options.seconds; before = now()) {
    turn();
    best = std::min(best, (now() - before) / calls);
  }
  return best;
}

Tensor empty(const Shape& shape, DType dtype) { return Tensor(shape, dtype, options.device); }

// Noise in [-0.02, 0.02): a GPU draws less power, and runs faster, on numbers that are all the
// same.
Tensor filled(const Shape& shape, DType dtype) {
  Tensor host(shape, DType::f32);
  auto* const values = host.data<float>();
  constexpr std::int64_t kPeriod = 1 << 20;
  for (std::int64_t i = 0; i < host.numel(); ++i) {
    values[i] = i < kPeriod
                    ? 0.04F * (uniform_from(philox_u32({}, static_cast<std::uint64_t>(i))) - 0.5F)
                    : values[i - kPeriod];
  }
  Tensor x = empty(shape, dtype);
  backend(x).copy(x, host);
  return x;
}

Tensor indices(std::int64_t count) {
  Tensor host({count}, DType::i32);
  for (std::int64_t i = 0; i < count; ++i)
    host.data<std::int32_t>()[i] = static_cast<std::int32_t>(i * 29 % kVocabulary);
  return to_device(host, options.device);
}

// What is reachable: on a CPU its units' own rates, on a GPU those of a product that fills it and
// of a long sum y += a, which moves no more than it counts.
struct Peaks {
  double flops_f32 = 0, flops_bf16 = 0, bytes = 0;

  double flops(DType dtype) const { return dtype == DType::f32 ? flops_f32 : flops_bf16; }
};

double peak_flops(DType dtype) {
  if (on_cpu()) return cpu_peak_flops(dtype);
  const std::int64_t n = 8192;
  const Tensor a = filled({n, n}, dtype), b = filled({n, n}, dtype);
  Tensor c = empty({n, n}, dtype);
  return 2.0 * static_cast<double>(n * n * n) / best_time([&] { backend(c).matmul(c, a, b, {}); });
}

double peak_bytes() {
  if (on_cpu()) return cpu_peak_bytes();
  constexpr std::int64_t n = std::int64_t{64} << 20;
  const Tensor a = filled({n}, DType::f32);
  Tensor y = filled({n}, DType::f32);
  return 3.0 * n * sizeof(float) / best_time([&] { backend(y).add(y, y, a); });
}

class Report {
 public:
  explicit Report(const Peaks& peaks) : peaks_(peaks) {}

  // `work` is in floating-point operations or in bytes read and written.
  void flops(const std::string& name, DType dtype, double work, const std::function<void()>& call) {
    line(name, dtype, work, peaks_.flops(dtype), "GFLOP/s", call);
  }
  void bytes(const std::string& name, DType dtype, double work, const std::function<void()>& call) {
    line(name, dtype, work, peaks_.bytes, "GB/s", call);
  }

 private:
  static void line(const std::string& name, DType dtype, double work, double peak, const char* unit,
                   const std::function<void()>& call) {
    const double seconds = best_time(call);
    const double rate = work / seconds;
    std::printf("%-34s %-4s %9.3f ms %8.1f %-7s %4.0f%%\n", name.c_str(), name_of(dtype).data(),
                seconds * 1e3, rate / 1e9, unit, 100 * rate / peak);
    std::fflush(stdout);
  }
  Peaks peaks_;
};

void products(Report& report, DType dtype) {
  struct Layer {
    const char* name;
    std::int64_t rows, inputs, outputs;
  };
  for (const Layer& l : {Layer{"attention out", options.rows(), kHidden, kHidden},
                         Layer{"attention qkv", options.rows(), kHidden, 3 * kHidden},
                         Layer{"mlp up", options.rows(), kHidden, kInner},
                         Layer{"mlp down", options.rows(), kInner, kHidden},
                         Layer{"vocabulary head", options.masked(), kHidden, kVocabulary}}) {
    Tensor x = filled({l.rows, l.inputs}, dtype), dx = filled({l.rows, l.inputs}, dtype);
    Tensor w = filled({l.outputs, l.inputs}, dtype), dw = empty({l.outputs, l.inputs}, DType::f32);
    Tensor y = filled({l.rows, l.outputs}, dtype);
    const double work = 2.0 * static_cast<double>(l.rows * l.inputs * l.outputs);
    const std::string name = std::string("matmul ") + l.name;
    report.flops(name, dtype, work,
                 [&] { backend(y).matmul(y, x, w, {.transpose_b = true, .b_is_weight = true}); });
    report.flops(name + " dx", dtype, work,
                 [&] { backend(y).matmul(dx, y, w, {.b_is_weight = true}); });
    report.flops(name + " dw", dtype, work,
                 [&] { backend(y).matmul(dw, y, x, {.transpose_a = true}); });
  }
}

void attention(Report& report, DType dtype) {
  const std::int64_t d = kHidden / kHeads;
  const Tensor qkv = filled({options.batch, kTokens, 3 * kHidden}, dtype);
  const Tensor dout = filled({options.batch, kTokens, kHidden}, dtype);
  Tensor out = filled({options.batch, kTokens, kHidden}, dtype), dqkv = filled(qkv.shape(), dtype);
  Tensor lse = empty({options.batch, kHeads, kTokens}, DType::f32);
  const double product = 2.0 * static_cast<double>(options.batch * kHeads * kTokens * kTokens * d);
  for (const float p : {0.0F, 0.1F}) {
    const AttentionArgs args{
        .heads = kHeads, .scale = 0.125F, .dropout_p = p, .total_heads = kHeads};
    const std::string name = p > 0 ? "attention, dropout" : "attention";
    report.flops(name, dtype, 2 * product,
                 [&] { backend(out).attention_forward(out, lse, qkv, args); });
    report.flops(name + " backward", dtype, 5 * product,
                 [&] { backend(out).attention_backward(dqkv, dout, qkv, out, lse, args); });
  }
}

void elementwise(Report& report, DType dtype) {
  const Shape wide{options.rows(), kInner}, narrow{options.rows(), kHidden};
  const double element = static_cast<double>(size_of(dtype));
  const double wide_bytes = static_cast<double>(wide.numel()) * element;
  const double narrow_bytes = static_cast<double>(narrow.numel()) * element;
  const Dropout drop{.p = 0.1F};
  Tensor x = filled(wide, dtype), y = filled(wide, dtype), dx = filled(wide, dtype);
  const Tensor bias = filled({kInner}, dtype), short_bias = filled({kHidden}, dtype);
  Tensor dbias = empty({kInner}, DType::f32), dshort_bias = empty({kHidden}, DType::f32);
  Backend& device = backend(x);
  report.bytes("bias + gelu", dtype, 2 * wide_bytes,
               [&] { device.bias_activation_forward(y, x, bias, Activation::gelu); });
  report.bytes("bias + gelu backward", dtype, 3 * wide_bytes,
               [&] { device.bias_activation_backward(dx, dbias, y, x, bias, Activation::gelu); });

  const Tensor gamma = filled({kHidden}, dtype), beta = filled({kHidden}, dtype);
  Tensor dgamma = empty({kHidden}, DType::f32), dbeta = empty({kHidden}, DType::f32);
  Tensor mean = empty({options.rows()}, DType::f32), rstd = empty({options.rows()}, DType::f32);
  Tensor residual = filled(narrow, dtype), sum = filled(narrow, dtype), h = filled(narrow, dtype);
  Tensor dh = filled(narrow, dtype), dresidual = filled(narrow, dtype);
  report.bytes("dropout", dtype, 2 * narrow_bytes, [&] { device.dropout(h, residual, drop); });
  report.bytes("layer norm", dtype, 2 * narrow_bytes,
               [&] { device.layer_norm_forward(h, mean, rstd, residual, gamma, beta, 1e-12F); });
  report.bytes("layer norm backward", dtype, 3 * narrow_bytes, [&] {
    device.layer_norm_backward(dh, dgamma, dbeta, h, residual, mean, rstd, gamma);
  });
  report.bytes("bias + dropout + residual + norm", dtype, 4 * narrow_bytes, [&] {
    device.residual_norm_forward(h, sum, mean, rstd,
                                 {.x = dh,
                                  .bias = short_bias,
                                  .residual = residual,
                                  .gamma = gamma,
                                  .beta = beta,
                                  .dropout = drop});
  });
  report.bytes("the same, backward", dtype, 4 * narrow_bytes, [&] {
    device.residual_norm_backward(dh, dresidual, dshort_bias, dgamma, dbeta, h, sum, mean, rstd,
                                  gamma, drop);
  });
}

void head_and_rows(Report& report, DType dtype) {
  const double element = static_cast<double>(size_of(dtype));
  Tensor table = filled({kVocabulary, kHidden}, dtype), dtable = empty(table.shape(), DType::f32);
  const Tensor tokens = indices(options.rows()), targets = indices(options.masked());
  Tensor h = filled({options.rows(), kHidden}, dtype);
  Backend& device = backend(h);
  const double rows_bytes = static_cast<double>(h.numel()) * element;
  report.bytes("embedding", dtype, 2 * rows_bytes,
               [&] { device.gather_rows(h, table, tokens, 0); });
  report.bytes("embedding backward", dtype, static_cast<double>(dtable.bytes()) + 3 * rows_bytes,
               [&] { device.scatter_add_rows(dtable, h, tokens, 0); });

  Tensor logits = filled({options.masked(), kVocabulary}, dtype),
         dlogits = filled(logits.shape(), dtype);
  Tensor parts = empty({1, options.masked(), 3}, DType::f32), sums = empty({2}, DType::f32);
  Tensor lse = empty({options.masked()}, DType::f32);
  const Tensor one = filled({1}, DType::f32);
  const double logits_bytes = static_cast<double>(logits.bytes());
  report.bytes("cross entropy", dtype, logits_bytes, [&] {
    device.cross_entropy_parts(parts, logits, targets, 0);
    device.cross_entropy_join(sums, lse, parts, targets);
  });
  report.bytes("cross entropy backward", dtype, 2 * logits_bytes,
               [&] { device.cross_entropy_backward(dlogits, logits, targets, lse, one, 0); });
}

void optimizer(Report& report, DType dtype) {
  constexpr std::int64_t n = std::int64_t{16} << 20;
  Tensor w = filled({n}, DType::f32), m = filled({n}, DType::f32), v = filled({n}, DType::f32);
  const Tensor g = filled({n}, DType::f32);
  Tensor copy = dtype == DType::f32 ? Tensor{} : filled({n}, dtype);
  const AdamTensors all[] = {{.w = w, .m = m, .v = v, .copy = copy, .g = g}};
  const double bytes_each = 7 * sizeof(float) + (copy ? size_of(dtype) : 0);
  report.bytes("adamw, 16.8M parameters", dtype, n * bytes_each,
               [&] { backend(w).adamw(all, {.lr = 1e-4F}); });
  Tensor sum = empty({1}, DType::f64);
  report.bytes("squared norm, 16.8M", dtype, n * sizeof(float), [&] {
    backend(g).squared_norms(sum, {&g, 1});
  });
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--device" && (value == "cpu" || value == "cuda")) {
      o.device.type = value == "cuda" ? DeviceType::cuda : DeviceType::cpu;
    } else if (name == "--batch" && std::atoll(value.c_str()) > 0) {
      o.batch = std::atoll(value.c_str());
    } else if (name == "--seconds" && std::atof(value.c_str()) > 0) {
      o.seconds = std::atof(value.c_str());
    } else {
      throw InputError("cannot read the option " + name + " " + value,
                       "kernels [--device cpu|cuda] [--batch B (8)] [--seconds S (0.5): of each]");
    }
  }
  return o;
}

void run() {
  const Peaks peaks{peak_flops(DType::f32), peak_flops(DType::bf16), peak_bytes()};
  const std::string device =
      on_cpu() ? std::to_string(omp_get_max_threads()) + " threads" : options.device.str();
  std::printf("%s, batch %lld; measured peaks: f32 %.0f, bf16 %.0f GFLOP/s, memory %.1f GB/s\n",
              device.c_str(), static_cast<long long>(options.batch), peaks.flops_f32 / 1e9,
              peaks.flops_bf16 / 1e9, peaks.bytes / 1e9);
  Report report(peaks);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    products(report, dtype);
    attention(report, dtype);
    elementwise(report, dtype);
    head_and_rows(report, dtype);
    optimizer(report, dtype);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    options = parse(argc, argv);
    run();
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "error: %s\nhint: %s\n", e.what(), e.hint().c_str());
    return 1;
  }
}
