// Fibres: a switch of eight instructions on x86-64, ucontext elsewhere; the address sanitizer is
// told of every change of stack.
#include "tests/cuda_emulator/fibre.hpp"

#include <sys/mman.h>

#include "tests/cuda_emulator/fail.hpp"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__)
// Saves the callee-saved registers on the stack and its pointer in *from; continues at `to`.
extern "C" void cuda_emulator_switch(void** from, void* to);
asm(R"(.text
.type cuda_emulator_switch,@function
cuda_emulator_switch:
 pushq %rbp
 pushq %rbx
 pushq %r12
 pushq %r13
 pushq %r14
 pushq %r15
 movq %rsp,(%rdi)
 movq %rsi,%rsp
 popq %r15
 popq %r14
 popq %r13
 popq %r12
 popq %rbx
 popq %rbp
 ret
.size cuda_emulator_switch,.-cuda_emulator_switch
)");
#endif

namespace cuda_emulator {

namespace {

constexpr std::size_t kGuardBytes = 4096;
thread_local Fibre* entering = nullptr;

}  // namespace

Fibre::Fibre() {
  // The page below the stack stays inaccessible: an overflow is a fault, not a riddle.
  void* p = mmap(nullptr, kStackBytes + kGuardBytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) fail("no memory for the stack of a fibre");
  mprotect(p, kGuardBytes, PROT_NONE);
  stack_ = static_cast<char*>(p) + kGuardBytes;
#if defined(__x86_64__)
  // As `ret` finds it: six registers, then the first instruction.
  auto** top = reinterpret_cast<void**>(static_cast<char*>(stack_) + kStackBytes) - 2;
  *top = reinterpret_cast<void*>(&Fibre::enter);
  here_ = top - 6;
#else
  getcontext(&here_);
  here_.uc_stack.ss_sp = stack_;
  here_.uc_stack.ss_size = kStackBytes;
  here_.uc_link = nullptr;
  makecontext(&here_, &Fibre::enter, 0);
#endif
}

Fibre::~Fibre() { munmap(static_cast<char*>(stack_) - kGuardBytes, kStackBytes + kGuardBytes); }

bool Fibre::run(Work work, void* argument) {
  work_ = work;
  argument_ = argument;
  idle_ = false;
  return resume();
}

bool Fibre::resume() {
  entering = this;
  switch_in();
  return idle_;
}

void Fibre::switch_in() {
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, stack_, kStackBytes);
#endif
#if defined(__x86_64__)
  cuda_emulator_switch(&scheduler_, here_);
#else
  swapcontext(&scheduler_, &here_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void Fibre::yield() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_stack_, scheduler_bottom_, scheduler_bytes_);
#endif
#if defined(__x86_64__)
  cuda_emulator_switch(&here_, scheduler_);
#else
  swapcontext(&here_, &scheduler_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack_, &scheduler_bottom_, &scheduler_bytes_);
#endif
}

void Fibre::enter() { entering->loop(); }

void Fibre::loop() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_bottom_, &scheduler_bytes_);
#endif
  while (true) {
    work_(argument_);
    idle_ = true;
    yield();
  }
}

}  // namespace cuda_emulator
