// How fast a device computes and copies.
#include "launch/doctor/rates.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "core/backend/cpu_peaks.hpp"
#include "core/backend/cuda.hpp"
#include "core/backend/gpu_peaks.hpp"
#include "core/backend/timing.hpp"
#include "core/backend/transfer.hpp"

namespace weft {

namespace {

constexpr double kTurn = 0.02;  // seconds that a turn takes at least
constexpr int kTurns = 5;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_gpu(Device device) { return device.type == DeviceType::cuda; }

// Of a GPU what its maker says, of the CPU what its units and its memory reach here.
GpuPeaks peaks_of(Device device) {
  if (!is_gpu(device)) {
    return {.half = cpu_peak_flops(DType::bf16),
            .f32 = cpu_peak_flops(DType::f32),
            .bytes = cpu_peak_bytes()};
  }
  return gpu_peaks(cuda_report().gpus.at(static_cast<std::size_t>(device.index)).name)
      .value_or(GpuPeaks{});
}

void add_copies(std::vector<Rate>& rates, Device device) {
  const Tensor host = noise({std::int64_t{1} << 24}, {});
  Tensor there = to_device(host, device);
  const std::string size = fmt::format("{} MB", host.bytes() >> 20);
  const auto bytes = static_cast<double>(host.bytes());
  Backend& b = backend(device);
  rates.push_back({.name = "copy host to device",
                   .size = size,
                   .value = bytes / seconds_of(device, [&] { b.upload(there, host); }),
                   .unit = "B"});
  rates.push_back({.name = "copy device to host",
                   .size = size,
                   .value = bytes / seconds_of(device, [&] { to_host(there); }),
                   .unit = "B"});
}

void add_attention(std::vector<Rate>& rates, DType dtype, Device device) {
  const std::int64_t B = is_gpu(device) ? 16 : 1, T = 512, h = 16, d = 64;
  const Tensor qkv = noise({B, T, 3 * h * d}, {dtype, device});
  const Tensor dout = noise({B, T, h * d}, {dtype, device});
  Tensor out = empty_like(dout), dqkv = empty_like(qkv);
  Tensor lse({B, h, T}, DType::f32, device);
  const AttentionArgs args{.heads = h, .scale = 0.125F, .total_heads = h};
  Backend& b = backend(device);
  const double product =
      2.0 * static_cast<double>(B * h * T * T * d);  // one of two, five in backward
  const std::string size = fmt::format("{} x {} tokens, {} heads of {}", B, T, h, d);
  const double peak = peaks_of(device).flops(dtype);
  const auto add = [&](const std::string& name, double flops, const std::function<void()>& call) {
    rates.push_back({.name = fmt::format("attention {}", name),
                     .size = size,
                     .value = flops / seconds_of(device, call),
                     .unit = "FLOP",
                     .peak = peak});
  };
  add("forward", 2 * product, [&] { b.attention_forward(out, lse, qkv, args); });
  add("backward", 5 * product, [&] { b.attention_backward(dqkv, dout, qkv, out, lse, args); });
}

}  // namespace

double seconds_of(Device device, const std::function<void()>& call) {
  const auto turn = [&](int calls) {
    const double start = now();
    for (int i = 0; i < calls; ++i) call();
    backend(device).synchronize();
    return now() - start;
  };
  turn(1);  // what is met for the first time
  int calls = 1;
  double best = turn(calls);
  while (best < kTurn && calls < 1 << 16) best = turn(calls *= 2);
  for (int i = 1; i < kTurns; ++i) best = std::min(best, turn(calls));
  return best / calls;
}

Rate matmul_rate(DType dtype, Device device) {
  constexpr std::int64_t kSmallest = 256, kLargest = 8192;
  constexpr double kLongEnough = 0.004;  // a product of this many seconds fills the device
  double seconds = 0;
  std::int64_t n = kSmallest / 2;
  while (n < kLargest && seconds < kLongEnough) {
    n *= 2;
    const Tensor a = noise({n, n}, {dtype, device}), b = noise({n, n}, {dtype, device});
    Tensor c = empty_like(a);
    seconds = seconds_of(device, [&] { backend(device).matmul(c, a, b, {}); });
  }
  const auto size = static_cast<double>(n);
  return {.name = fmt::format("matmul {}", dtype == DType::f32 ? "fp32" : "bf16"),
          .size = fmt::format("{0} x {0} x {0}", n),
          .value = 2 * size * size * size / seconds,
          .unit = "FLOP",
          .peak = peaks_of(device).flops(dtype)};
}

Rate memory_rate(Device device) {
  const std::int64_t n = std::int64_t{1} << (is_gpu(device) ? 26 : 24);
  const Tensor a = noise({n}, {DType::f32, device}), b = noise({n}, {DType::f32, device});
  Tensor sum = empty_like(a);
  const double seconds = seconds_of(device, [&] { backend(device).add(sum, a, b); });
  return {.name = "memory",
          .size = fmt::format("3 x {} MB", a.bytes() >> 20),
          .value = 3 * static_cast<double>(a.bytes()) / seconds,
          .unit = "B",
          .peak = peaks_of(device).bytes};
}

std::vector<Rate> device_rates(Device device) {
  std::vector<Rate> rates = {matmul_rate(DType::bf16, device), matmul_rate(DType::f32, device),
                             memory_rate(device)};
  if (is_gpu(device)) {
    set_cuda_options({.tf32 = true});
    Rate tf32 = matmul_rate(DType::f32, device);
    set_cuda_options({});
    tf32.name = "matmul tf32";
    tf32.peak = peaks_of(device).tf32;
    rates.insert(rates.begin() + 1, tf32);
    add_copies(rates, device);
  }
  add_attention(rates, DType::bf16, device);
  return rates;
}

}  // namespace weft
