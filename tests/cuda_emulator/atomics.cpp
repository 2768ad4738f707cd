// Atomic functions by the compiler's own.
#include "tests/cuda_emulator/atomics.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tests/cuda_emulator/races.hpp"
#include "tests/cuda_emulator/types.hpp"

namespace {

// Replaces *p by change(*p). Always part of its caller, whose own caller is thus the kernel.
template <class T, class Change>
__forceinline__ T update(T* p, Change change) {
  using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
  static_assert(sizeof(T) == sizeof(Bits));
  cuda_emulator::check_atomic(p, sizeof(T), __builtin_return_address(0));
  auto* bits = reinterpret_cast<Bits*>(p);
  Bits old = __atomic_load_n(bits, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(bits, &old,
                                      std::bit_cast<Bits>(change(std::bit_cast<T>(old))), true,
                                      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
  }
  return std::bit_cast<T>(old);
}

template <class T>
__forceinline__ T add(T* p, T value) {
  return update(p, [value](T old) { return old + value; });
}
template <class T>
__forceinline__ T highest(T* p, T value) {
  return update(p, [value](T old) { return std::max(old, value); });
}
template <class T>
__forceinline__ T lowest(T* p, T value) {
  return update(p, [value](T old) { return std::min(old, value); });
}
template <class T>
__forceinline__ T exchanged(T* p, T value) {
  return update(p, [value](T) { return value; });
}
template <class T>
__forceinline__ T compared(T* p, T expected, T value) {
  return update(p, [expected, value](T old) { return old == expected ? value : old; });
}

}  // namespace

using ull = unsigned long long;

int atomicAdd(int* p, int value) {
  return static_cast<int>(add(reinterpret_cast<unsigned*>(p), static_cast<unsigned>(value)));
}
unsigned atomicAdd(unsigned* p, unsigned value) { return add(p, value); }
ull atomicAdd(ull* p, ull value) { return add(p, value); }
float atomicAdd(float* p, float value) { return add(p, value); }
double atomicAdd(double* p, double value) { return add(p, value); }
int atomicSub(int* p, int value) {
  return static_cast<int>(add(reinterpret_cast<unsigned*>(p), 0 - static_cast<unsigned>(value)));
}
unsigned atomicSub(unsigned* p, unsigned value) { return add(p, 0 - value); }
int atomicMax(int* p, int value) { return highest(p, value); }
unsigned atomicMax(unsigned* p, unsigned value) { return highest(p, value); }
ull atomicMax(ull* p, ull value) { return highest(p, value); }
int atomicMin(int* p, int value) { return lowest(p, value); }
unsigned atomicMin(unsigned* p, unsigned value) { return lowest(p, value); }
ull atomicMin(ull* p, ull value) { return lowest(p, value); }
int atomicOr(int* p, int value) {
  return update(p, [value](int old) { return old | value; });
}
unsigned atomicOr(unsigned* p, unsigned value) {
  return update(p, [value](unsigned old) { return old | value; });
}
int atomicAnd(int* p, int value) {
  return update(p, [value](int old) { return old & value; });
}
unsigned atomicAnd(unsigned* p, unsigned value) {
  return update(p, [value](unsigned old) { return old & value; });
}
int atomicExch(int* p, int value) { return exchanged(p, value); }
unsigned atomicExch(unsigned* p, unsigned value) { return exchanged(p, value); }
float atomicExch(float* p, float value) { return exchanged(p, value); }
int atomicCAS(int* p, int expected, int value) { return compared(p, expected, value); }
unsigned atomicCAS(unsigned* p, unsigned expected, unsigned value) {
  return compared(p, expected, value);
}
ull atomicCAS(ull* p, ull expected, ull value) { return compared(p, expected, value); }
unsigned atomicInc(unsigned* p, unsigned limit) {
  return update(p, [limit](unsigned old) { return old >= limit ? 0 : old + 1; });
}
