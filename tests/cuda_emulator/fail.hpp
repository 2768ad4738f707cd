// How the emulator ends a program whose device code or stream use is wrong.
#pragma once

#include <string>

namespace cuda_emulator {

// Prints "CUDA emulator: MESSAGE" and aborts.
[[noreturn]] void fail(const std::string& message);
// The same, with "in KERNEL, block (x,y,z), thread (x,y,z)".
struct Thread;
[[noreturn]] void fail_in_kernel(const Thread& thread, const std::string& message);
// The running thread of a kernel, which runs no longer: what follows, and uses strings that device
// code has its own copies of, is not held to a kernel's rules.
const Thread& leave_kernel();

// A note to stderr about an error code just about to be returned.
void explain(const std::string& message);

// "file:line" of an instruction of this program, from its debug information.
std::string source_line(const void* instruction);

}  // namespace cuda_emulator
