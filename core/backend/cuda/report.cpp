// What CUDA finds on this machine.
#include <string>

#include <cublasLt.h>
#include <cuda_runtime.h>

#include "core/backend/cuda.hpp"
#include "core/backend/cuda/cudnn_graph.hpp"

namespace weft {

namespace {

std::string version(int number) {  // 13000 is 13.0
  return number == 0 ? ""
                     : std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

}  // namespace

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();  // no driver, or no GPU: not an error of what follows
  return 0;
}

CudaReport cuda_report() {
  CudaReport report;
  report.built = true;
  int runtime = 0, driver = 0;
  cudaRuntimeGetVersion(&runtime);
  if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
  report.runtime = version(runtime);
  report.driver = version(driver);
  report.cudnn = cudnn_version();
  const std::size_t cublaslt = cublasLtGetVersion();  // 130100 is 13.1.0
  report.cublaslt = std::to_string(cublaslt / 10000) + "." + std::to_string(cublaslt / 100 % 100) +
                    "." + std::to_string(cublaslt % 100);
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (code == cudaErrorInsufficientDriver && driver == 0) {
    report.problem = "there is no NVIDIA driver";
    report.hint = "install the NVIDIA driver (it brings libcuda.so.1), or use --device cpu";
  } else if (code == cudaErrorInsufficientDriver) {
    report.problem = "the NVIDIA driver serves CUDA up to " + report.driver +
                     ", this program needs " + report.runtime;
    report.hint = "install a newer driver, or build Weft with an older CUDA Toolkit";
  } else if (code == cudaErrorNoDevice || (code == cudaSuccess && count == 0)) {
    report.problem = "the NVIDIA driver sees no GPU";
    report.hint = "see nvidia-smi; CUDA_VISIBLE_DEVICES may hide GPUs";
  } else if (code != cudaSuccess) {
    report.problem = cudaGetErrorString(code);
    report.hint = "see nvidia-smi";
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p{};
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
    report.gpus.push_back({.name = p.name,
                           .major = p.major,
                           .minor = p.minor,
                           .memory = p.totalGlobalMem,
                           .multiprocessors = p.multiProcessorCount});
  }
  return report;
}

}  // namespace weft
