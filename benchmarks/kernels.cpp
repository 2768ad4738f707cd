// Times the CPU kernels on the shapes of a BERT-base step (batch 8, 128 tokens, 160 masked places)
// and sets each against the machine's own peaks: kernels [SECONDS_PER_KERNEL]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>

#include <omp.h>

#include "core/backend/backend.hpp"

namespace {

using namespace weft;

constexpr std::int64_t kBatch = 8, kTokens = 128, kHidden = 768, kInner = 3072, kHeads = 12,
                       kVocabulary = 30522, kMasked = 160, kRows = kBatch * kTokens;
double seconds_per_kernel = 0.5;

// One thread is timed by the processor time it took, so that a busy machine counts little.
double now() {
  timespec t{};
  clock_gettime(omp_get_max_threads() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Seconds of the fastest call: what the others took longer is somebody else's.
double best_time(const std::function<void()>& call) {
  call();
  double best = 1e30;
  const double start = now();
  for (double before = start; before - start < seconds_per_kernel; before = now()) {
    call();
    best = std::min(best, now() - before);
  }
  return best;
}

Tensor filled(const Shape& shape, DType dtype) {
  Tensor x(shape, dtype);
  backend(x).fill(x, 0.01F);
  return x;
}

// What is reachable: arithmetic by a product whose operands fit the caches, memory by a long sum
// y += a, which moves no more than it counts.
struct Peaks {
  double flops_f32 = 0, flops_bf16 = 0, bytes = 0;

  double flops(DType dtype) const { return dtype == DType::f32 ? flops_f32 : flops_bf16; }
};

double peak_flops(DType dtype) {
  constexpr std::int64_t n = 512;
  const Tensor a = filled({n, n}, dtype), b = filled({n, n}, dtype);
  Tensor c({n, n}, dtype);
  return 2.0 * n * n * n / best_time([&] { backend(c).matmul(c, a, b, {}); });
}

double peak_bytes() {
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
  for (const Layer& l :
       {Layer{"attention out", kRows, kHidden, kHidden},
        Layer{"attention qkv", kRows, kHidden, 3 * kHidden},
        Layer{"mlp up", kRows, kHidden, kInner}, Layer{"mlp down", kRows, kInner, kHidden},
        Layer{"vocabulary head", kMasked, kHidden, kVocabulary}}) {
    Tensor x = filled({l.rows, l.inputs}, dtype), dx = filled({l.rows, l.inputs}, dtype);
    Tensor w = filled({l.outputs, l.inputs}, dtype), dw({l.outputs, l.inputs}, DType::f32);
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
  const Tensor qkv = filled({kBatch, kTokens, 3 * kHidden}, dtype);
  const Tensor dout = filled({kBatch, kTokens, kHidden}, dtype);
  Tensor out = filled({kBatch, kTokens, kHidden}, dtype), dqkv = filled(qkv.shape(), dtype);
  Tensor lse({kBatch, kHeads, kTokens}, DType::f32);
  const double product = 2.0 * static_cast<double>(kBatch * kHeads * kTokens * kTokens * d);
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
  const Shape wide{kRows, kInner}, narrow{kRows, kHidden};
  const double element = static_cast<double>(size_of(dtype));
  const double wide_bytes = static_cast<double>(wide.numel()) * element;
  const double narrow_bytes = static_cast<double>(narrow.numel()) * element;
  const Dropout drop{.p = 0.1F};
  Tensor x = filled(wide, dtype), y = filled(wide, dtype), dx = filled(wide, dtype);
  const Tensor bias = filled({kInner}, dtype), short_bias = filled({kHidden}, dtype);
  Tensor dbias({kInner}, DType::f32), dshort_bias({kHidden}, DType::f32);
  Backend& cpu = backend(x);
  report.bytes("bias + gelu", dtype, 2 * wide_bytes,
               [&] { cpu.bias_activation_forward(y, x, bias, Activation::gelu); });
  report.bytes("bias + gelu backward", dtype, 3 * wide_bytes,
               [&] { cpu.bias_activation_backward(dx, dbias, y, x, bias, Activation::gelu); });

  const Tensor gamma = filled({kHidden}, dtype), beta = filled({kHidden}, dtype);
  Tensor dgamma({kHidden}, DType::f32), dbeta({kHidden}, DType::f32);
  Tensor mean({kRows}, DType::f32), rstd({kRows}, DType::f32);
  Tensor residual = filled(narrow, dtype), sum = filled(narrow, dtype), h = filled(narrow, dtype);
  Tensor dh = filled(narrow, dtype), dresidual = filled(narrow, dtype);
  report.bytes("dropout", dtype, 2 * narrow_bytes, [&] { cpu.dropout(h, residual, drop); });
  report.bytes("layer norm", dtype, 2 * narrow_bytes,
               [&] { cpu.layer_norm_forward(h, mean, rstd, residual, gamma, beta, 1e-12F); });
  report.bytes("layer norm backward", dtype, 3 * narrow_bytes,
               [&] { cpu.layer_norm_backward(dh, dgamma, dbeta, h, residual, mean, rstd, gamma); });
  report.bytes("bias + dropout + residual + norm", dtype, 4 * narrow_bytes, [&] {
    cpu.residual_norm_forward(h, sum, mean, rstd,
                              {.x = dh,
                               .bias = short_bias,
                               .residual = residual,
                               .gamma = gamma,
                               .beta = beta,
                               .dropout = drop});
  });
  report.bytes("the same, backward", dtype, 4 * narrow_bytes, [&] {
    cpu.residual_norm_backward(dh, dresidual, dshort_bias, dgamma, dbeta, h, sum, mean, rstd, gamma,
                               drop);
  });
}

void head_and_rows(Report& report, DType dtype) {
  const double element = static_cast<double>(size_of(dtype));
  Tensor table = filled({kVocabulary, kHidden}, dtype), dtable(table.shape(), DType::f32);
  Tensor tokens({kRows}, DType::i32), targets({kMasked}, DType::i32);
  for (std::int64_t i = 0; i < kRows; ++i)
    tokens.data<std::int32_t>()[i] = static_cast<std::int32_t>(i * 29 % kVocabulary);
  std::copy_n(tokens.data<std::int32_t>(), kMasked, targets.data<std::int32_t>());
  Tensor h = filled({kRows, kHidden}, dtype);
  Backend& cpu = backend(h);
  const double rows_bytes = static_cast<double>(h.numel()) * element;
  report.bytes("embedding", dtype, 2 * rows_bytes, [&] { cpu.gather_rows(h, table, tokens, 0); });
  report.bytes("embedding backward", dtype, static_cast<double>(dtable.bytes()) + 3 * rows_bytes,
               [&] { cpu.scatter_add_rows(dtable, h, tokens, 0); });

  Tensor logits = filled({kMasked, kVocabulary}, dtype), dlogits = filled(logits.shape(), dtype);
  Tensor parts({1, kMasked, 3}, DType::f32), sums({2}, DType::f32), lse({kMasked}, DType::f32);
  const Tensor one = filled({1}, DType::f32);
  const double logits_bytes = static_cast<double>(logits.bytes());
  report.bytes("cross entropy", dtype, logits_bytes, [&] {
    cpu.cross_entropy_parts(parts, logits, targets, 0);
    cpu.cross_entropy_join(sums, lse, parts, targets);
  });
  report.bytes("cross entropy backward", dtype, 2 * logits_bytes,
               [&] { cpu.cross_entropy_backward(dlogits, logits, targets, lse, one, 0); });
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
  Tensor sum({1}, DType::f64);
  report.bytes("squared norm, 16.8M", dtype, n * sizeof(float), [&] {
    backend(g).squared_norms(sum, {&g, 1});
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) seconds_per_kernel = std::atof(argv[1]);
  const Peaks peaks{peak_flops(DType::f32), peak_flops(DType::bf16), peak_bytes()};
  std::printf(
      "%d threads; measured peaks: f32 %.0f, bf16 %.0f GFLOP/s (matmul 512^3), memory %.1f GB/s\n",
      omp_get_max_threads(), peaks.flops_f32 / 1e9, peaks.flops_bf16 / 1e9, peaks.bytes / 1e9);
  Report report(peaks);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    products(report, dtype);
    attention(report, dtype);
    elementwise(report, dtype);
    head_and_rows(report, dtype);
    optimizer(report, dtype);
  }
}
