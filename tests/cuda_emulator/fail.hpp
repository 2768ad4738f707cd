// What the emulator does about wrong device code and wrong use of streams: it ends the program, or
// tells a handler and breaks the device, as CUDA does.
#pragma once

#include <stdexcept>
#include <string>

namespace cuda_emulator {

// Prints "CUDA emulator: MESSAGE" and aborts.
[[noreturn]] void fail(const std::string& message);

// A fault of a kernel, or of other work of a stream, before it has done any harm.
class DeviceFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// From now on the handler, where it is not null, is told of faults, "CUDA emulator: MESSAGE", and
// the program goes on: the devices are broken then, which ends the work that is at fault, skips the
// work of all streams, and makes CUDA's calls return cudaErrorLaunchFailure.
void handle_faults(void (*handler)(const std::string& message));
bool devices_broken();
void repair_devices();
// Tells the handler, and breaks the devices.
void break_devices(const DeviceFault& fault);

// Throws a DeviceFault if there is a handler, else as fail(). In the work of a stream, but not in a
// kernel.
[[noreturn]] void fault(const std::string& message);
// The same of a kernel, with "in KERNEL, block (x,y,z), thread (x,y,z)"; in the thread itself,
// which is then left as it is, or in what schedules it.
struct Thread;
[[noreturn]] void fail_in_kernel(const Thread& thread, const std::string& message);
// The running thread of a kernel, which runs no longer: what follows, and uses strings that device
// code has its own copies of, is not held to a kernel's rules.
const Thread& leave_kernel();

// A note to stderr about an error code just about to be returned.
void explain(const std::string& message);

// "file:line" of an instruction of this program, from its debug information; for one that is part
// of a function called by a kernel, and so on, with ", called at file:line".
std::string source_line(const void* instruction);

}  // namespace cuda_emulator
