// Initial values of parameters.
#include "core/nn/init.hpp"

#include <cmath>
#include <numbers>

#include "core/backend/backend.hpp"
#include "core/backend/transfer.hpp"

namespace weft {

namespace {

// FNV-1a: a stable number for a parameter's name.
std::uint32_t hash_of(std::string_view name) {
  std::uint32_t h = 2166136261U;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 16777619U;
  return h;
}

// Initial values take the steps from the top of the range; training counts from zero.
constexpr std::uint32_t kInitStep = 0xFFFFFFFFU;
constexpr int kMaxAttempts = 64;

// A standard normal number for one element (Box and Muller, 1958).
float normal(const PhiloxKey& key, std::uint64_t element) {
  const Philox4 r = philox(key, element / 2);
  const std::uint32_t a = r.v[element % 2 * 2];
  const std::uint32_t b = r.v[element % 2 * 2 + 1];
  const double u = (static_cast<double>(a) + 1.0) * 0x1.0p-32;  // (0, 1]
  const double angle = 2.0 * std::numbers::pi * static_cast<double>(b) * 0x1.0p-32;
  return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(angle));
}

// Cut at two standard deviations by drawing again from the stream below.
float truncated_normal(PhiloxKey key, std::uint64_t element) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt, --key.step) {
    const float z = normal(key, element);
    if (std::fabs(z) <= 2.0F) return z;
  }
  return 0.0F;
}

void fill_run(float* values, const ShardRun& run, const Init& init, std::int64_t row_size,
              const PhiloxKey& key) {
  const bool truncated = init.kind == Init::Kind::truncated_normal;
#pragma omp parallel for schedule(static) if (run.count > 4096)
  for (std::int64_t i = 0; i < run.count; ++i) {
    const std::int64_t position = run.full + i;
    const bool zero = init.zero_row >= 0 && position / row_size == init.zero_row;
    const auto element = static_cast<std::uint64_t>(position);
    values[run.local + i] =
        zero ? 0.0F
             : init.std * (truncated ? truncated_normal(key, element) : normal(key, element));
  }
}

}  // namespace

void initialize(const NamedParameter& named, std::uint64_t seed, const TensorRank& at) {
  const Parameter& p = *named.parameter;
  Tensor value = p.var.value();
  Backend& device = backend(value);
  if (p.init.kind == Init::Kind::zeros || p.init.kind == Init::Kind::ones) {
    device.fill(value, p.init.kind == Init::Kind::ones ? 1.0F : 0.0F);
  } else {
    Tensor host(value.shape(), DType::f32);
    backend(host).fill(host, 0.0F);
    const std::int64_t row_size = p.full.numel() / p.full[0];
    const PhiloxKey key{.seed = seed, .step = kInitStep, .place = hash_of(named.name)};
    for (const ShardRun& run : shard_runs(p.full, p.shard, at)) {
      fill_run(host.data<float>(), run, p.init, row_size, key);
    }
    device.copy(value, to_device(host, value.device()));
  }
  value.storage().bump_version();
}

void initialize(Module& m, std::uint64_t seed, const TensorRank& at) {
  for (const NamedParameter& p : parameters(m)) initialize(p, seed, at);
}

}  // namespace weft
