// CUDA's words and built-in types, for the host compiler.
#pragma once

#include <cstddef>
#include <cstdint>

// A kernel is one piece of code with all that it calls, so that of each instruction its own line
// and those of the calls that led to it are known.
#define __global__ __attribute__((flatten))
#define __device__
#define __host__
#define __constant__ static const
// One OS thread runs a whole block, so what is shared by a block is local to an OS thread.
#define __shared__ static thread_local
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(bytes) alignas(bytes)
#define __grid_constant__
#define __launch_bounds__(...)

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace cuda_emulator {

template <class T>
struct alignas(2 * sizeof(T)) Vector2 {
  T x, y;
};
template <class T>
struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) Vector4 {
  T x, y, z, w;
};

}  // namespace cuda_emulator

using float2 = cuda_emulator::Vector2<float>;
using float4 = cuda_emulator::Vector4<float>;
using double2 = cuda_emulator::Vector2<double>;
using int2 = cuda_emulator::Vector2<int>;
using int4 = cuda_emulator::Vector4<int>;
using uint2 = cuda_emulator::Vector2<unsigned>;
using uint4 = cuda_emulator::Vector4<unsigned>;
using ushort4 = cuda_emulator::Vector4<unsigned short>;
using uchar4 = cuda_emulator::Vector4<unsigned char>;

constexpr float2 make_float2(float x, float y) { return {x, y}; }
constexpr float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
constexpr double2 make_double2(double x, double y) { return {x, y}; }
constexpr int2 make_int2(int x, int y) { return {x, y}; }
constexpr int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
constexpr uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
constexpr uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
constexpr uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }

// The toolkit's headers give these three to every includer, too.
typedef struct CUstream_st* cudaStream_t;
typedef struct CUevent_st* cudaEvent_t;
typedef struct CUgraph_st* cudaGraph_t;
typedef struct CUgraphExec_st* cudaGraphExec_t;
