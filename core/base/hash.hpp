// XXH3 checksums, as hexadecimal text: they find damage, they do not stop an attacker.
#pragma once

#include <cstddef>
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
  std::string hex64() const;   // 16 digits, most significant first, as `xxhsum -H3` prints it
  std::string hex128() const;  // 32 digits, as `xxhsum -H2` prints it

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string xxh3_64_hex(std::span<const std::byte> bytes);
std::string xxh3_128_hex(std::span<const std::byte> bytes);
// Of a file's content, read once through a map. Throws InputError as MappedFile does.
std::string xxh3_64_hex_file(const std::filesystem::path& path);
std::string xxh3_128_hex_file(const std::filesystem::path& path);

}  // namespace weft
