// Filling, copying with conversion, sums and multiples.
#include <cstring>

#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/loops.hpp"
#include "core/backend/cpu/past_caches.hpp"
#include "core/backend/device_check.hpp"

namespace weft {

namespace {

// with_compute_type, and f16 as well: gradients and checkpoints may hold it.
template <class F>
void with_floating_type(DType dtype, std::string_view kernel, F&& f) {
  if (dtype == DType::f16) return f(float16{});
  with_compute_type(dtype, kernel, f);
}

}  // namespace

}  // namespace weft

#define WEFT_KERNELS "core/backend/cpu/elementwise.inc"
#include "core/backend/cpu/simd/for_each_level.inc"

namespace weft {

namespace {

// Every element of x becomes `bits`, an integer of the element's size. The C library's memset has
// ways to write zeros that are several times as fast.
template <class Bits>
void fill_bits(Tensor& x, Bits bits) {
  Bits* const px = static_cast<Bits*>(x.raw());
  parallel_ranges(x.numel(), 1, [=](std::int64_t first, std::int64_t last) {
    if (bits == 0)
      std::memset(px + first, 0, static_cast<std::size_t>(last - first) * sizeof(Bits));
    else
      std::fill(px + first, px + last, bits);
  });
}

void require_on_host(std::string_view call, const Tensor& y, const Tensor& x) {
  for (const Tensor* t : {&y, &x}) require_on({}, call, *t);
}

void copy_bytes(Tensor& y, const Tensor& x) {
  auto* const to = static_cast<std::byte*>(y.raw());
  const auto* const from = static_cast<const std::byte*>(x.raw());
  const auto bytes = static_cast<std::int64_t>(x.bytes());
  const bool streams = is_beyond_caches(2 * x.bytes());
  parallel_ranges(bytes, 1, [=](std::int64_t first, std::int64_t last) {
    const auto count = static_cast<std::size_t>(last - first);
    if (!streams) {
      std::memcpy(to + first, from + first, count);
      return;
    }
    stream(to + first, from + first, count);
    _mm_sfence();
  });
}

}  // namespace

void CpuBackend::upload(Tensor& device, const Tensor& host) {
  require_on_host("upload", device, host);
  copy_bytes(device, host);
}

void CpuBackend::download(std::span<Tensor> hosts, std::span<const Tensor> devices) {
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    require_on_host("download", hosts[i], devices[i]);
    copy_bytes(hosts[i], devices[i]);
  }
}

std::unique_ptr<DeviceGraph> CpuBackend::capture(const std::function<void()>& issue) {
  static_cast<void>(issue);
  throw Error("work on the CPU is done at once: it cannot be captured");
}

void CpuBackend::fill(Tensor& x, float value) {
  switch (x.dtype()) {
    case DType::f32:
      return fill_bits(x, std::bit_cast<std::uint32_t>(value));
    case DType::bf16:
      return fill_bits(x, bfloat16(value).bits);
    case DType::f16:
      return fill_bits(x, float16(value).bits);
    case DType::i32:
      return fill_bits(x, static_cast<std::int32_t>(value));
    case DType::u8:
      return fill_bits(x, static_cast<std::uint8_t>(value));
    case DType::f64:
      return fill_bits(x, std::bit_cast<std::uint64_t>(static_cast<double>(value)));
  }
}

void CpuBackend::copy(Tensor& y, const Tensor& x) {
  require_on_host("copy", y, x);
  if (y.dtype() == x.dtype()) return copy_bytes(y, x);
  for_this_cpu(baseline::convert, avx512::convert)(y, x);
}

void CpuBackend::add(Tensor& y, const Tensor& a, const Tensor& b) {
  for_this_cpu(baseline::add, avx512::add)(y, a, b);
}

void CpuBackend::scale(Tensor& y, const Tensor& x, float alpha) {
  for_this_cpu(baseline::scale, avx512::scale)(y, x, alpha);
}

}  // namespace weft
