// What the rest may ask of CUDA, in a build with it or without: no CUDA header is needed here.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/backend/backend.hpp"
#include "core/tensor/storage.hpp"

namespace weft {

struct Gpu {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  std::size_t memory = 0;    // bytes
  int multiprocessors = 0;
};

// What was built in and what is there, for `weft doctor`. Versions as "13.0"; "" when absent.
struct CudaReport {
  bool built = false;  // this program has the CUDA backend
  std::string runtime, cublaslt, cudnn;
  std::string driver;     // the newest CUDA that the driver serves
  std::string problem;    // why no GPU can be used; "" when one can
  std::string hint;       // what to do about it
  std::vector<Gpu> gpus;  // all that this process sees
};
CudaReport cuda_report();

// For all GPUs of this process; to be set before the first kernel.
struct CudaOptions {
  // The same bits every time. Costs the backward of attention memory (2 bytes per probability) and
  // time; all else is so anyway.
  bool deterministic = false;
  // Dropout masks of attention that do not depend on the layout of ranks, the CPU's own: by Weft's
  // kernel, as cuDNN draws its own.
  bool exact_attention_dropout = false;
  // Products of f32 tensors round their operands to TF32, 11 significant bits, as tensor cores
  // want.
  bool tf32 = false;
  // The second call of each matrix product times cuBLASLt's first few algorithms and keeps the
  // fastest. What it keeps, and so the rounding, may differ between ranks and between runs: not
  // done where `deterministic` asks for the same bits, and not for ranks that must compute alike.
  bool time_products = false;
};
void set_cuda_options(const CudaOptions& options);

// What was chosen against expectation since the last call, each once: "attention ...: ...".
std::vector<std::string> take_cuda_notices();

// GPUs that can be used: 0 without the backend, without a driver, or without a GPU.
int cuda_device_count();

// Of GPU `index`; made at first use, alive as long as the process. Throw Error when there is none.
Backend& cuda_backend(int index);
Allocator& cuda_allocator(int index);

}  // namespace weft
