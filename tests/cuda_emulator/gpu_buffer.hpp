// Device memory of the emulator's own tests.
#pragma once

#include <vector>

#include <cuda_runtime.h>
#include <gtest/gtest.h>

namespace cuda_emulator {

template <class T>
class GpuBuffer {
 public:
  explicit GpuBuffer(std::size_t n) : n_(n) {
    EXPECT_EQ(cudaMalloc(&data_, n * sizeof(T)), cudaSuccess);
  }
  explicit GpuBuffer(const std::vector<T>& values) : GpuBuffer(values.size()) {
    EXPECT_EQ(cudaMemcpy(data_, values.data(), n_ * sizeof(T), cudaMemcpyHostToDevice),
              cudaSuccess);
  }
  ~GpuBuffer() { cudaFree(data_); }
  GpuBuffer(const GpuBuffer&) = delete;
  GpuBuffer& operator=(const GpuBuffer&) = delete;

  T* data() const { return data_; }
  std::size_t bytes() const { return n_ * sizeof(T); }
  // After all work of the device.
  std::vector<T> values() const {
    std::vector<T> v(n_);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(v.data(), data_, bytes(), cudaMemcpyDeviceToHost), cudaSuccess);
    return v;
  }

 private:
  T* data_ = nullptr;
  std::size_t n_;
};

}  // namespace cuda_emulator
