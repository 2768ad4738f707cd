// Kernel launches, which the host compiler cannot spell <<<>>>, and what else device code is told.
#pragma once

#include <cstddef>
#include <memory>
#include <tuple>
#include <utility>

#include "tests/cuda_emulator/types.hpp"

namespace cuda_emulator {

// A kernel and the values of its parameters, as one thread of the grid calls it.
class KernelCall {
 public:
  explicit KernelCall(std::size_t size) : size_(size) {}
  virtual ~KernelCall() = default;
  virtual void operator()() const = 0;
  std::size_t size() const { return size_; }  // of the object, which holds the parameters

 private:
  std::size_t size_;
};

template <class... P>
class KernelCallOf final : public KernelCall {
 public:
  template <class... A>
  explicit KernelCallOf(void (*kernel)(P...), A&&... args)
      : KernelCall(sizeof *this), kernel_(kernel), args_(std::forward<A>(args)...) {}
  void operator()() const override { std::apply(kernel_, args_); }

 private:
  void (*kernel_)(P...);
  std::tuple<P...> args_;
};

struct Launch {
  const char* expression;  // as written: (softmax_kernel<T, 4>)
  const char* file;
  int line;
  const void* function;
  dim3 grid, block;
  std::size_t shared_bytes;
  cudaStream_t stream;
};

// From here on in the stream, of the block of `size` bytes at `p` the first `bytes` are a tensor's.
void mark_block(cudaStream_t stream, void* p, std::size_t bytes, std::size_t size);

// Checks the launch and appends it to the stream; cudaGetLastError() tells what was wrong with it.
void enqueue_launch(const Launch& launch, std::shared_ptr<const KernelCall> call);

template <class... P, class... A>
void launch(const char* expression, const char* file, int line, void (*kernel)(P...), dim3 grid,
            dim3 block, std::size_t shared_bytes, cudaStream_t stream, A&&... args) {
  static_assert(sizeof...(P) == sizeof...(A), "the kernel has another number of parameters");
  enqueue_launch({.expression = expression,
                  .file = file,
                  .line = line,
                  .function = reinterpret_cast<const void*>(kernel),
                  .grid = grid,
                  .block = block,
                  .shared_bytes = shared_bytes,
                  .stream = stream},
                 std::make_shared<KernelCallOf<P...>>(kernel, std::forward<A>(args)...));
}

}  // namespace cuda_emulator

// As in core/backend/cuda/launch.cuh and runtime.cpp, whose errors they share.
#define WEFT_MARK_BLOCK(stream, p, bytes, size) ::cuda_emulator::mark_block(stream, p, bytes, size)
#define WEFT_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                               \
  do {                                                                                            \
    ::cuda_emulator::launch(#kernel, __FILE__, __LINE__, kernel, (grid), (block), (shared_bytes), \
                            (stream)__VA_OPT__(, ) __VA_ARGS__);                                  \
    ::weft::check_cuda(cudaPeekAtLastError(), "launching " #kernel);                              \
  } while (false)
#define WEFT_DYNAMIC_SHARED(T, name) \
  T* const name = reinterpret_cast<T*>(::cuda_emulator::dynamic_shared_memory())
