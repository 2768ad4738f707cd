// Fibres: call stacks that an OS thread switches between by hand, one for each blocked thread of a
// kernel.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace cuda_emulator {

// A fibre runs `work` whenever it is given some, and yields in between. It keeps its stack for
// ever.
class Fibre {
 public:
  using Work = void (*)(void* argument);

  Fibre();
  ~Fibre();
  Fibre(const Fibre&) = delete;
  Fibre& operator=(const Fibre&) = delete;

  // From the scheduler: runs until the fibre yields or its work is done; true when it is done.
  bool run(Work work, void* argument);
  bool resume();
  // From the fibre: back to the scheduler, until it resumes this fibre.
  void yield();

  // Whether `p` lies on this fibre's stack.
  bool holds(const void* p) const {
    return p >= stack_ && p < static_cast<const char*>(stack_) + kStackBytes;
  }

 private:
  static constexpr std::size_t kStackBytes = 256 << 10;
  static void enter();
  [[noreturn]] void loop();
  void switch_in();

  void* stack_;
  Work work_ = nullptr;
  void* argument_ = nullptr;
  bool idle_ = true;
#if defined(__x86_64__)
  void* here_ = nullptr;       // stack pointer while the fibre is away
  void* scheduler_ = nullptr;  // and the scheduler's while the fibre runs
#else
  ucontext_t here_, scheduler_;
#endif
  // For the address sanitizer.
  void* fake_stack_ = nullptr;
  const void* scheduler_bottom_ = nullptr;
  std::size_t scheduler_bytes_ = 0;
};

}  // namespace cuda_emulator
