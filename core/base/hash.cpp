// XXH3 checksums by libxxhash.
#include "core/base/hash.hpp"

#include <new>

#include <fmt/format.h>
#include <xxhash.h>

#include "core/base/files.hpp"

namespace weft {

struct Xxh3::State {
  XXH3_state_t* xxh = XXH3_createState();

  State() {
    if (xxh == nullptr) throw std::bad_alloc();
    XXH3_128bits_reset(xxh);
  }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Xxh3::Xxh3() : state_(std::make_unique<State>()) {}
Xxh3::~Xxh3() = default;
Xxh3::Xxh3(Xxh3&&) noexcept = default;
Xxh3& Xxh3::operator=(Xxh3&&) noexcept = default;

void Xxh3::update(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

std::string Xxh3::hex128() const {
  const XXH128_hash_t h = XXH3_128bits_digest(state_->xxh);
  return fmt::format("{:016x}{:016x}", h.high64, h.low64);
}

std::uint64_t xxh3_64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string xxh3_64_hex(std::span<const std::byte> bytes) {
  return fmt::format("{:016x}", xxh3_64(bytes));
}

std::string xxh3_128_hex(std::span<const std::byte> bytes) {
  const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
  return fmt::format("{:016x}{:016x}", h.high64, h.low64);
}

std::string xxh3_128_hex_file(const std::filesystem::path& path) {
  Xxh3 hash;
  read_blocks(path, [&](std::span<const std::byte> block) { hash.update(block); });
  return hash.hex128();
}

}  // namespace weft
