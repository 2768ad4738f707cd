// What a kernel calls: its place in the grid, barriers, warp primitives, intrinsics.
//
// Barriers and warp primitives know where they are called from, to name it when threads diverge.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>

#include "tests/cuda_emulator/types.hpp"

namespace cuda_emulator {

// [[gnu::const]]: for a thread they never change, and a function runs on one thread only.
[[gnu::const]] uint3 thread_index();
[[gnu::const]] uint3 block_index();
[[gnu::const]] dim3 block_dim();
[[gnu::const]] dim3 grid_dim();
[[gnu::const]] unsigned lane_index();

using Site = std::source_location;

enum class WarpPrimitive { shuffle, vote, barrier };

// Gives `value` to the lanes of the warp and takes that of lane `from`, once all of `mask` are
// here.
std::uint64_t exchange(unsigned mask, std::uint64_t value, unsigned from, const Site& site);
// Bit l is lane l's predicate.
unsigned vote(unsigned mask, bool predicate, const Site& site);
// The sum over the block of `value`, after a barrier.
int block_sum(int value, const Site& site);

template <class T>
T exchange_as(unsigned mask, T value, unsigned from, const Site& site) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 32 or 64 bits");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(mask, bits, from, site);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Lane `from` if it lies in the caller's segment of `width` lanes, else the caller.
inline unsigned within(int from, unsigned lane, int width) {
  const int first = static_cast<int>(lane) & ~(width - 1);
  return from >= first && from < first + width ? static_cast<unsigned>(from) : lane;
}

void* dynamic_shared_memory();

}  // namespace cuda_emulator

#define threadIdx (::cuda_emulator::thread_index())
#define blockIdx (::cuda_emulator::block_index())
#define blockDim (::cuda_emulator::block_dim())
#define gridDim (::cuda_emulator::grid_dim())
inline constexpr int warpSize = 32;

// ---- barriers -----------------------------------------------------------------------------------
void __syncthreads(std::source_location site = std::source_location::current());
void __syncwarp(unsigned mask = 0xffffffffU,
                std::source_location site = std::source_location::current());
inline int __syncthreads_count(int predicate,
                               std::source_location site = std::source_location::current()) {
  return cuda_emulator::block_sum(predicate != 0, site);
}
inline int __syncthreads_or(int predicate,
                            std::source_location site = std::source_location::current()) {
  return cuda_emulator::block_sum(predicate != 0, site) != 0;
}
inline int __syncthreads_and(int predicate,
                             std::source_location site = std::source_location::current()) {
  return cuda_emulator::block_sum(predicate == 0, site) == 0;
}
void __threadfence();
inline void __threadfence_block() {}

// ---- warp primitives ----------------------------------------------------------------------------
template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32,
              std::source_location site = std::source_location::current()) {
  const int first = static_cast<int>(cuda_emulator::lane_index()) & ~(width - 1);
  return cuda_emulator::exchange_as(mask, value,
                                    static_cast<unsigned>(first + (from & (width - 1))), site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32,
                  std::source_location site = std::source_location::current()) {
  const unsigned lane = cuda_emulator::lane_index();
  const int from = static_cast<int>(lane) ^ lane_mask;
  return cuda_emulator::exchange_as(mask, value, cuda_emulator::within(from, lane, width), site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   std::source_location site = std::source_location::current()) {
  const unsigned lane = cuda_emulator::lane_index();
  const int from = static_cast<int>(lane + delta);
  return cuda_emulator::exchange_as(mask, value, cuda_emulator::within(from, lane, width), site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 std::source_location site = std::source_location::current()) {
  const unsigned lane = cuda_emulator::lane_index();
  const int from = static_cast<int>(lane) - static_cast<int>(delta);
  return cuda_emulator::exchange_as(mask, value, cuda_emulator::within(from, lane, width), site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              std::source_location site = std::source_location::current()) {
  return cuda_emulator::vote(mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate,
                      std::source_location site = std::source_location::current()) {
  return cuda_emulator::vote(mask, predicate != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      std::source_location site = std::source_location::current()) {
  return cuda_emulator::vote(mask, predicate == 0, site) == 0;
}

// ---- loads and stores with a hint ---------------------------------------------------------------
template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
void __stcs(T* p, T value) {
  *p = value;
}
template <class T>
void __stcg(T* p, T value) {
  *p = value;
}

// ---- arithmetic ---------------------------------------------------------------------------------
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __frsqrt_rn(float x) { return 1 / std::sqrt(x); }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fmaf_rn(float x, float y, float z) { return std::fma(x, y, z); }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline double __fma_rn(double x, double y, double z) { return std::fma(x, y, z); }
inline float __saturatef(float x) { return std::fmin(std::fmax(x, 0.F), 1.F); }
inline int __float2int_rn(float x) { return static_cast<int>(std::nearbyint(x)); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((std::uint64_t{a} * b) >> 32);
}
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
[[noreturn]] void __trap();
