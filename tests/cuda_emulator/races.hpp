// Finds accesses of kernels that nothing orders, and accesses to memory that is not theirs.
//
// Kernels are compiled with the hooks of the thread sanitizer, which the emulator itself provides.
// For every two bytes of shared and of device memory it remembers the last write and two reads: who
// made them, and how many barriers of the block and of the warp had been passed. Two accesses of
// which one writes are a race unless one thread made both, or a barrier lies between them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cuda_emulator {

enum class Access { read, write };

// Of the running thread of a kernel, by the instruction before `caller`.
void check_access(const void* p, std::size_t bytes, Access access, const void* caller);

// An atomic access: it races with plain ones only.
void check_atomic(const void* p, std::size_t bytes, const void* caller);

// A number for the first block of a launch; the next ones follow.
std::uint32_t first_serial(std::uint32_t blocks);

}  // namespace cuda_emulator
