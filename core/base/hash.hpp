// XXH3 checksums: they find damage, they do not stop an attacker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace weft {

// Fed piece by piece: the digest does not depend on where the pieces were cut.
class Xxh3 {
 public:
  Xxh3();
  ~Xxh3();
  Xxh3(Xxh3&&) noexcept;
  Xxh3& operator=(Xxh3&&) noexcept;

  void update(std::span<const std::byte> bytes);
  std::string hex128() const;  // 32 digits, most significant first, as `xxhsum -H2` prints it

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::uint64_t xxh3_64(std::span<const std::byte> bytes);
std::string xxh3_64_hex(std::span<const std::byte> bytes);  // 16 digits, as `xxhsum -H3` prints it
std::string xxh3_128_hex(std::span<const std::byte> bytes);
// Of a file's content. Throws InputError as read_blocks() does.
std::string xxh3_128_hex_file(const std::filesystem::path& path);

}  // namespace weft
