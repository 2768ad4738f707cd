// The hooks that the compiler calls when a kernel reads or writes memory (-fsanitize=thread) or
// breaks a rule of the language (-fsanitize=alignment,bounds); the sanitizers' own libraries are
// not linked. In host code they do nothing.
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "tests/cuda_emulator/block.hpp"
#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/races.hpp"

using cuda_emulator::Access;

namespace {

inline void hook(const void* p, std::size_t bytes, Access access, const void* caller) {
  if (cuda_emulator::current_thread != nullptr)
    cuda_emulator::check_access(p, bytes, access, caller);
}

}  // namespace

#define ACCESS_HOOKS(bytes)                                                                       \
  void __tsan_read##bytes(void* p) { hook(p, bytes, Access::read, __builtin_return_address(0)); } \
  void __tsan_write##bytes(void* p) {                                                             \
    hook(p, bytes, Access::write, __builtin_return_address(0));                                   \
  }                                                                                               \
  void __tsan_unaligned_read##bytes(void* p) {                                                    \
    hook(p, bytes, Access::read, __builtin_return_address(0));                                    \
  }                                                                                               \
  void __tsan_unaligned_write##bytes(void* p) {                                                   \
    hook(p, bytes, Access::write, __builtin_return_address(0));                                   \
  }

// What the host code beside the kernels does with atomic variables.
#define ATOMIC_HOOKS(bits)                                                                         \
  using Atomic##bits = std::uint##bits##_t;                                                        \
  Atomic##bits __tsan_atomic##bits##_load(const volatile Atomic##bits* p, int) {                   \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                   \
  }                                                                                                \
  void __tsan_atomic##bits##_store(volatile Atomic##bits* p, Atomic##bits x, int) {                \
    __atomic_store_n(p, x, __ATOMIC_SEQ_CST);                                                      \
  }                                                                                                \
  Atomic##bits __tsan_atomic##bits##_exchange(volatile Atomic##bits* p, Atomic##bits x, int) {     \
    return __atomic_exchange_n(p, x, __ATOMIC_SEQ_CST);                                            \
  }                                                                                                \
  Atomic##bits __tsan_atomic##bits##_fetch_add(volatile Atomic##bits* p, Atomic##bits x, int) {    \
    return __atomic_fetch_add(p, x, __ATOMIC_SEQ_CST);                                             \
  }                                                                                                \
  Atomic##bits __tsan_atomic##bits##_fetch_sub(volatile Atomic##bits* p, Atomic##bits x, int) {    \
    return __atomic_fetch_sub(p, x, __ATOMIC_SEQ_CST);                                             \
  }                                                                                                \
  int __tsan_atomic##bits##_compare_exchange_strong(                                               \
      volatile Atomic##bits* p, Atomic##bits* expected, Atomic##bits x, int, int) {                \
    return __atomic_compare_exchange_n(p, expected, x, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }                                                                                                \
  int __tsan_atomic##bits##_compare_exchange_weak(                                                 \
      volatile Atomic##bits* p, Atomic##bits* expected, Atomic##bits x, int, int) {                \
    return __atomic_compare_exchange_n(p, expected, x, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
  }

namespace {

// As the compiler lays out what it tells the handlers.
struct Place {
  const char* file;
  std::uint32_t line, column;
};
struct TypeMismatch {
  Place place;
  const void* type;
  unsigned char log_alignment, kind;
};
struct OutOfBounds {
  Place place;
};

// Host code beside the kernels has these checks, too.
[[noreturn]] void fail_at(const cuda_emulator::Thread* t, const Place& place,
                          const std::string& what) {
  const std::string message = what + " at " + place.file + ":" + std::to_string(place.line);
  if (t == nullptr) cuda_emulator::fail(message);
  cuda_emulator::fail_in_kernel(*t, message);
}

}  // namespace

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_read_range(void* p, std::size_t bytes) {
  hook(p, bytes, Access::read, __builtin_return_address(0));
}
void __tsan_write_range(void* p, std::size_t bytes) {
  hook(p, bytes, Access::write, __builtin_return_address(0));
}

ACCESS_HOOKS(1)
ACCESS_HOOKS(2)
ACCESS_HOOKS(4)
ACCESS_HOOKS(8)
ACCESS_HOOKS(16)
ATOMIC_HOOKS(8)
ATOMIC_HOOKS(16)
ATOMIC_HOOKS(32)
ATOMIC_HOOKS(64)

void __ubsan_handle_type_mismatch_v1_abort(TypeMismatch* data, std::uintptr_t p) {
  const cuda_emulator::Thread* t = std::exchange(cuda_emulator::current_thread, nullptr);
  const std::size_t alignment = std::size_t{1} << data->log_alignment;
  fail_at(t, data->place,
          p == 0 ? "an access through a null pointer"
                 : "an access of an address that is no multiple of " + std::to_string(alignment));
}
void __ubsan_handle_out_of_bounds_abort(OutOfBounds* data, std::uintptr_t index) {
  const cuda_emulator::Thread* t = std::exchange(cuda_emulator::current_thread, nullptr);
  fail_at(
      t, data->place,
      "index " + std::to_string(static_cast<std::intptr_t>(index)) + " is outside of the array");
}

}  // extern "C"
