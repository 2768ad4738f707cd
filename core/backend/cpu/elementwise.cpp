// Filling, copying with conversion, sums and multiples.
#include <cstring>

#include "core/backend/cpu/cpu_backend.hpp"
#include "core/backend/cpu/loops.hpp"
#include "core/backend/device_check.hpp"

namespace weft {

namespace {

// with_compute_type, and f16 as well: gradients and checkpoints may hold it.
template <class F>
void with_floating_type(DType dtype, std::string_view kernel, F&& f) {
  if (dtype == DType::f16) return f(float16{});
  with_compute_type(dtype, kernel, f);
}

// Every element of x becomes `bits`, an integer of the element's size.
template <class Bits>
void fill_bits(Tensor& x, Bits bits) {
  Bits* const px = static_cast<Bits*>(x.raw());
  parallel_ranges(x.numel(), 1, [=](std::int64_t first, std::int64_t last) {
    std::fill(px + first, px + last, bits);
  });
}

// y = f(x) elementwise in fp32; y may be x.
template <class Y, class X, class F>
void map(Tensor& y, const Tensor& x, F f) {
  Y* const py = y.data<Y>();
  const X* const px = x.data<X>();
  parallel_ranges(x.numel(), 1, [=](std::int64_t first, std::int64_t last) {
#pragma omp simd
    for (std::int64_t i = first; i < last; ++i) store(py[i], f(static_cast<float>(px[i])));
  });
}

void require_on_host(std::string_view call, const Tensor& y, const Tensor& x) {
  for (const Tensor* t : {&y, &x}) require_on({}, call, *t);
}

void copy_bytes(Tensor& y, const Tensor& x) {
  auto* const to = static_cast<std::byte*>(y.raw());
  const auto* const from = static_cast<const std::byte*>(x.raw());
  const auto bytes = static_cast<std::int64_t>(x.bytes());
  parallel_ranges(bytes, 1, [=](std::int64_t first, std::int64_t last) {
    std::memcpy(to + first, from + first, static_cast<std::size_t>(last - first));
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
  with_floating_type(y.dtype(), "copy", [&]<class Y>(Y) {
    with_floating_type(x.dtype(), "copy",
                       [&]<class X>(X) { map<Y, X>(y, x, [](float v) { return v; }); });
  });
}

void CpuBackend::add(Tensor& y, const Tensor& a, const Tensor& b) {
  with_floating_type(y.dtype(), "add", [&]<class Y>(Y) {
    with_floating_type(a.dtype(), "add", [&]<class A>(A) {
      with_floating_type(b.dtype(), "add", [&]<class B>(B) {
        Y* const py = y.data<Y>();
        const A* const pa = a.data<A>();
        const B* const pb = b.data<B>();
        parallel_ranges(y.numel(), 1, [=](std::int64_t first, std::int64_t last) {
#pragma omp simd
          for (std::int64_t i = first; i < last; ++i)
            store(py[i], static_cast<float>(pa[i]) + static_cast<float>(pb[i]));
        });
      });
    });
  });
}

void CpuBackend::scale(Tensor& y, const Tensor& x, float alpha) {
  with_floating_type(x.dtype(), "scale",
                     [&]<class T>(T) { map<T, T>(y, x, [alpha](float v) { return alpha * v; }); });
}

}  // namespace weft
