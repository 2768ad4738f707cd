// Products of bf16 tiles by AMX: from registers, and with every tile loaded from the second-level
// cache.
#include <cstddef>
#include <cstdint>
#include <vector>

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/backend/cpu/peak_bursts.hpp"

namespace weft {

namespace {

constexpr int kTileRows = 16, kTileBytes = 64;  // of a row

// Numbers between 1 and 2 that differ: units take less power, and so run faster, on zeros.
struct alignas(kTileBytes) Tile {  // no row crosses a cache line
  std::uint16_t rows[kTileRows][kTileBytes / 2];

  Tile() {
    constexpr std::uint16_t kOne = 0x3F80;  // bf16, with seven bits of mantissa
    unsigned bits = 1;
    for (auto& row : rows) {
      for (std::uint16_t& x : row) {
        bits = bits * 1664525 + 1013904223;
        x = static_cast<std::uint16_t>(kOne | bits >> 25);
      }
    }
  }
};
// 16 x 32 times 32 x 16 multiply-adds.
constexpr double kFlopsOfProduct = 2.0 * kTileRows * 16 * 32;
// Four tiles a step, beyond every first-level cache and within the second-level ones of CPUs with
// AMX (2 MiB).
constexpr std::size_t kSteps = 128;

// What ldtilecfg reads: all eight tiles of full size.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t bytes_of_row[16] = {};
  std::uint8_t rows[16] = {};

  TileShapes() {
    for (int i = 0; i < 8; ++i) {
      bytes_of_row[i] = kTileBytes;
      rows[i] = kTileRows;
    }
  }
};

// Linux gives a process the tiles when it asks for them.
bool permitted() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kBf16 = 1U << 22, kTiles = 1U << 24;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  return (d & kBf16) != 0 && (d & kTiles) != 0 && permitted();
}

// Four sums of two tiles of each factor: as many as the eight registers hold.
__attribute__((target("amx-tile,amx-bf16"))) double from_registers(long rounds) {
  static const Tile tile;
  const TileShapes shapes;
  _tile_loadconfig(&shapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, &tile, kTileBytes);
  _tile_loadd(5, &tile, kTileBytes);
  _tile_loadd(6, &tile, kTileBytes);
  _tile_loadd(7, &tile, kTileBytes);
  for (long r = 0; r < rounds; ++r) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return 4 * kFlopsOfProduct * static_cast<double>(rounds);
}

// The same, after loading the four tiles: one kilobyte a product.
__attribute__((target("amx-tile,amx-bf16"))) double from_l2(long rounds) {
  static thread_local const std::vector<Tile> tiles(kSteps * 4);
  const TileShapes shapes;
  _tile_loadconfig(&shapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (long r = 0; r < rounds; ++r) {
    const Tile* const at = &tiles[static_cast<std::size_t>(r) % kSteps * 4];
    _tile_loadd(4, at, kTileBytes);
    _tile_loadd(5, at + 1, kTileBytes);
    _tile_loadd(6, at + 2, kTileBytes);
    _tile_loadd(7, at + 3, kTileBytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return 4 * kFlopsOfProduct * static_cast<double>(rounds);
}

}  // namespace

Burst amx_burst() { return has_amx() ? from_registers : nullptr; }
Burst amx_from_l2_burst() { return has_amx() ? from_l2 : nullptr; }

}  // namespace weft
