// Picking rows of a matrix, and adding rows back to where they were picked.
//
// Adding back must give the same bits in every run, so no two threads may race for a row with
// floating atomics. Instead the pairs (row, n) are sorted by row (radix sort: stable, so that n
// ascends within a row), and each row of the result is summed by whoever owns it and written once,
// the rows that nothing points to with zeros. Rows that many point to (padding, a mask token, the
// two token types) are summed in pieces of the sorted order, and the pieces in their order.
#include "core/backend/cuda/cuda_backend.hpp"
#include "core/backend/cuda/device_math.cuh"
#include "core/backend/cuda/dispatch.hpp"
#include "core/backend/cuda/launch.cuh"
#include "core/tensor/memory_use.hpp"

namespace weft {

namespace {

constexpr int kBlock = 256;
constexpr int kWarps = kBlock / kWarp;

// ---- gathering ----------------------------------------------------------------------------------

// A warp per row; Word is as many bytes as move together.
template <class Word>
__global__ void gather_rows_kernel(Word* y, const Word* x, const std::int32_t* index,
                                   std::int64_t first_row, std::int64_t count, std::int64_t rows,
                                   std::int64_t words) {
  const std::int64_t warp = (std::int64_t{blockIdx.x} * kBlock + threadIdx.x) / kWarp;
  for (std::int64_t n = warp; n < count; n += std::int64_t{gridDim.x} * kWarps) {
    const std::int64_t row = index[n] - first_row;
    const bool here = row >= 0 && row < rows;
    for (std::int64_t c = threadIdx.x % kWarp; c < words; c += kWarp)
      y[n * words + c] = here ? x[row * words + c] : Word{};
  }
}

// Calls f(Word{}) with the widest word of which rows and tensors are whole numbers.
template <class F>
void with_word(std::size_t row_bytes, const Tensor& y, const Tensor& x, F&& f) {
  const auto fits = [&](std::size_t bytes) {
    return row_bytes % bytes == 0 && aligned_for(bytes, y) && aligned_for(bytes, x);
  };
  if (fits(16)) return f(Pack<std::uint32_t, 4>{});
  if (fits(4)) return f(std::uint32_t{});
  if (fits(2)) return f(std::uint16_t{});
  f(std::uint8_t{});
}

// ---- sorting ------------------------------------------------------------------------------------

struct alignas(8) RowOf {
  std::uint32_t row;  // of the result; the number of rows when it is not in the result
  std::uint32_t n;
};

constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits;
static_assert(kDigits == kBlock);  // a thread per digit
constexpr int kRounds = 8;         // pairs per thread
constexpr int kTile = kRounds * kBlock;

__device__ inline unsigned digit_of(const RowOf& pair, int shift) {
  return (pair.row >> shift) % kDigits;
}

__global__ void row_pairs_kernel(RowOf* pairs, const std::int32_t* index, std::int64_t first_row,
                                 std::uint32_t count, std::int64_t rows) {
  const std::uint32_t n = blockIdx.x * kBlock + threadIdx.x;
  if (n >= count) return;
  const std::int64_t row = index[n] - first_row;
  pairs[n] = {static_cast<std::uint32_t>(row >= 0 && row < rows ? row : rows), n};
}

// counts[tile, digit]: how many pairs of the tile have that digit.
__global__ void radix_count_kernel(unsigned* counts, const RowOf* pairs, std::uint32_t count,
                                   int shift) {
  __shared__ unsigned histogram[kDigits];
  histogram[threadIdx.x] = 0;
  __syncthreads();
  const std::uint32_t first = blockIdx.x * kTile;
  for (std::uint32_t i = first + threadIdx.x; i < first + kTile && i < count; i += kBlock)
    atomicAdd(&histogram[digit_of(pairs[i], shift)], 1U);
  __syncthreads();
  counts[blockIdx.x * kDigits + threadIdx.x] = histogram[threadIdx.x];
}

// The sum of x over the threads before this one. One barrier.
__device__ inline unsigned sum_before(unsigned x) {
  __shared__ unsigned warp_totals[kWarps];
  const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  unsigned sum = x;  // over the lanes up to this one
  for (unsigned distance = 1; distance < kWarp; distance *= 2) {
    const unsigned below = __shfl_up_sync(kAllLanes, sum, distance);
    if (lane >= distance) sum += below;
  }
  if (lane == kWarp - 1) warp_totals[warp] = sum;
  __syncthreads();
  for (unsigned w = 0; w < warp; ++w) sum += warp_totals[w];
  return sum - x;
}

// Moves the pairs of a tile to where the order by this digit has them. A warp ranks its part of the
// tile, 32 pairs at a time, by asking which lanes have the same digit.
__global__ void __launch_bounds__(kBlock)
    radix_scatter_kernel(RowOf* out, const RowOf* pairs, const unsigned* counts,
                         std::uint32_t count, int shift) {
  const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  // Where the tile's first pair with the digit `threadIdx.x` goes: after all smaller digits and
  // after the earlier tiles' pairs with this one. Every block counts for itself what came before,
  // from memory that all of them read.
  unsigned earlier = 0, total = 0;
  for (unsigned tile = 0; tile < gridDim.x; ++tile) {
    const unsigned here = counts[tile * kDigits + threadIdx.x];
    if (tile < blockIdx.x) earlier += here;
    total += here;
  }
  __shared__ unsigned seen[kWarps][kDigits];
  for (unsigned w = 0; w < kWarps; ++w) seen[w][threadIdx.x] = 0;
  unsigned next = sum_before(total) + earlier;  // its barrier is the one after the zeros, too

  RowOf mine[kRounds];
  unsigned rank[kRounds];  // among the warp's pairs with the same digit
  const std::uint32_t first = blockIdx.x * kTile + warp * (kTile / kWarps) + lane;
  for (int r = 0; r < kRounds; ++r) {
    const std::uint32_t i = first + r * kWarp;
    const bool valid = i < count;
    mine[r] = valid ? pairs[i] : RowOf{0, 0};
    const unsigned digit = digit_of(mine[r], shift);
    unsigned alike = __ballot_sync(kAllLanes, valid);
    for (int bit = 0; bit < kDigitBits; ++bit) {
      const bool set = (digit >> bit) % 2 != 0;
      const unsigned lanes = __ballot_sync(kAllLanes, set);
      alike &= set ? lanes : ~lanes;
    }
    const unsigned leader = valid ? __ffs(static_cast<int>(alike)) - 1 : lane;
    unsigned before = 0;
    if (valid && lane == leader) before = atomicAdd(&seen[warp][digit], __popc(alike));
    rank[r] = __shfl_sync(kAllLanes, before, static_cast<int>(leader)) +
              __popc(alike & ((1U << lane) - 1));
  }
  __syncthreads();
  for (unsigned w = 0; w < kWarps; ++w) {  // from counts to the place of each warp's first
    const unsigned here = seen[w][threadIdx.x];
    seen[w][threadIdx.x] = next;
    next += here;
  }
  __syncthreads();
  for (int r = 0; r < kRounds; ++r) {
    if (first + r * kWarp < count) out[seen[warp][digit_of(mine[r], shift)] + rank[r]] = mine[r];
  }
}

// starts[row] for row <= rows: the first pair of that row or a later one.
__global__ void row_starts_kernel(std::uint32_t* starts, const RowOf* pairs, std::uint32_t count,
                                  std::int64_t rows) {
  const std::int64_t row = std::int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (row > rows) return;
  std::uint32_t first = 0;
  for (std::uint32_t last = count; first < last;) {
    const std::uint32_t middle = first + (last - first) / 2;
    if (pairs[middle].row < row)
      first = middle + 1;
    else
      last = middle;
  }
  starts[row] = first;
}

// ---- adding -------------------------------------------------------------------------------------

// Rows with more pairs than this are summed in pieces; a piece is that many pairs of the sorted
// order, whatever the rows.
constexpr std::uint32_t kPiece = 64;

// A warp sums a strip of columns, N per lane.
template <int N>
constexpr std::int64_t kStrip = std::int64_t{N} * kWarp;

// What the kernels below read.
template <class T>
struct SortedRows {
  const T* dy;
  const RowOf* pairs;
  const std::uint32_t* starts;
  std::uint32_t count;
  std::int64_t rows, columns;

  __device__ bool is_long(std::uint32_t row) const {
    return row < rows && starts[row + 1] - starts[row] > kPiece;
  }
  // The sum over pairs [first, last) of N columns.
  template <int N>
  __device__ void sum(float (&total)[N], std::uint32_t first, std::uint32_t last,
                      std::int64_t column) const {
    for (float& t : total) t = 0;
    for (std::uint32_t i = first; i < last; ++i) {
      float x[N];
      load_pack<N>(x, dy + pairs[i].n * columns + column);
      for (int k = 0; k < N; ++k) total[k] += x[k];
    }
  }
};

template <int N, class Sum>
__device__ inline void write_sum(Sum* to, float (&total)[N], bool adds) {
  if (adds) {
    float before[N];
    load_pack<N>(before, to);
    for (int k = 0; k < N; ++k) total[k] += before[k];
  }
  store_pack<N>(to, total);
}

// A warp per row and strip of columns: rows with few pairs, and with none. `adds`: to what dx
// holds, here and below.
template <int N, class Sum, class T>
__global__ void add_short_rows_kernel(Sum* dx, SortedRows<T> in, std::int64_t strips, bool adds) {
  const std::int64_t warp = (std::int64_t{blockIdx.x} * kBlock + threadIdx.x) / kWarp;
  for (std::int64_t i = warp; i < in.rows * strips; i += std::int64_t{gridDim.x} * kWarps) {
    const std::int64_t row = i / strips;
    const std::int64_t column = i % strips * kStrip<N> + threadIdx.x % kWarp * N;
    if (column >= in.columns || in.is_long(static_cast<std::uint32_t>(row))) continue;
    const std::uint32_t first = in.starts[row], last = in.starts[row + 1];
    if (adds && first == last) continue;
    float total[N];
    in.template sum<N>(total, first, last, column);
    write_sum<N>(dx + row * in.columns + column, total, adds);
  }
}

// A warp per piece and strip. A piece holds pairs of two long rows at most, as each is longer than
// a piece: partial[piece, 0] is the sum for the row of its first pair, partial[piece, 1] for that
// of its last if it is another.
template <int N, class T>
__global__ void add_pieces_kernel(float* partial, SortedRows<T> in, std::int64_t pieces,
                                  std::int64_t strips) {
  const std::int64_t warp = (std::int64_t{blockIdx.x} * kBlock + threadIdx.x) / kWarp;
  for (std::int64_t i = warp; i < pieces * strips; i += std::int64_t{gridDim.x} * kWarps) {
    const std::int64_t piece = i / strips;
    const std::int64_t column = i % strips * kStrip<N> + threadIdx.x % kWarp * N;
    if (column >= in.columns) continue;
    const auto first = static_cast<std::uint32_t>(piece) * kPiece;
    const std::uint32_t last = in.count - first < kPiece ? in.count : first + kPiece;
    const std::uint32_t row = in.pairs[first].row, last_row = in.pairs[last - 1].row;
    float* const to = partial + 2 * piece * in.columns + column;
    float total[N];
    if (in.is_long(row)) {
      const std::uint32_t end = in.starts[row + 1] < last ? in.starts[row + 1] : last;
      in.template sum<N>(total, first, end, column);
      store_pack<N>(to, total);
    }
    if (last_row != row && in.is_long(last_row)) {
      in.template sum<N>(total, in.starts[last_row], last, column);
      store_pack<N>(to + in.columns, total);
    }
  }
}

// A block per piece and strip; those in whose piece a long row begins sum that row's pieces: each
// warp some that follow each other, then the first warp the warps' sums.
template <int N, class Sum, class T>
__global__ void join_pieces_kernel(Sum* dx, const float* partial, SortedRows<T> in,
                                   std::int64_t strips, bool adds) {
  const std::int64_t piece = blockIdx.x / strips;
  const std::uint32_t first = static_cast<std::uint32_t>(piece) * kPiece;
  const std::uint32_t last = in.count - first < kPiece ? in.count : first + kPiece;
  const std::uint32_t row = in.pairs[last - 1].row;
  if (!in.is_long(row) || in.starts[row] < first) return;
  const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const std::int64_t column = blockIdx.x % strips * kStrip<N> + lane * N;
  const bool has_columns = column < in.columns;

  const std::int64_t pieces = (in.starts[row + 1] - 1) / kPiece - piece + 1;
  const std::int64_t share = (pieces + kWarps - 1) / kWarps;
  const std::int64_t end = (warp + 1) * share < pieces ? (warp + 1) * share : pieces;
  float total[N] = {};
  if (has_columns) {
    for (std::int64_t p = warp * share; p < end; ++p) {
      const std::int64_t slot = p == 0 && in.starts[row] > first ? 1 : 0;
      float x[N];
      load_pack<N>(x, partial + (2 * (piece + p) + slot) * in.columns + column);
      for (int k = 0; k < N; ++k) total[k] += x[k];
    }
  }
  __shared__ float sums[kWarps][kStrip<N>];
  for (int k = 0; k < N; ++k) sums[warp][k * kWarp + lane] = total[k];
  __syncthreads();
  if (warp != 0 || !has_columns) return;
  for (unsigned w = 1; w < kWarps; ++w) {
    for (int k = 0; k < N; ++k) total[k] += sums[w][k * kWarp + lane];
  }
  write_sum<N>(dx + row * in.columns + column, total, adds);
}

}  // namespace

void CudaBackend::gather_rows(Tensor& y, const Tensor& x, const Tensor& index,
                              std::int64_t first_row) {
  if (y.numel() == 0) return;
  const std::int64_t count = index.numel(), rows = x.shape().rows();
  const std::size_t row_bytes = static_cast<std::size_t>(x.shape().last()) * size_of(x.dtype());
  with_word(row_bytes, y, x, [&]<class Word>(Word) {
    WEFT_LAUNCH((gather_rows_kernel<Word>), blocks_for(count, kWarps), kBlock, 0, stream(),
                static_cast<Word*>(y.raw()), static_cast<const Word*>(x.raw()),
                index.data<std::int32_t>(), first_row, count, rows,
                static_cast<std::int64_t>(row_bytes / sizeof(Word)));
  });
}

namespace {

// The pairs in the order of their rows, [count] of 8 bytes.
Tensor sorted_pairs(const Tensor& index, std::int64_t first_row, std::int64_t rows,
                    cudaStream_t stream) {
  const auto count = static_cast<std::uint32_t>(index.numel());
  const unsigned tiles = blocks_for(count, kTile);
  const MemoryScope scratch_scope(MemoryUse::workspace);
  const Shape as_f64({index.numel()});  // memory of 8 bytes per pair
  Tensor from(as_f64, DType::f64, index.device()), to = empty_like(from);
  const Tensor counts({std::int64_t{tiles} * kDigits}, DType::i32, index.device());
  const auto pairs_of = [](const Tensor& x) { return static_cast<RowOf*>(x.raw()); };
  auto* const digit_counts = static_cast<unsigned*>(counts.raw());
  WEFT_LAUNCH(row_pairs_kernel, blocks_for(count, kBlock), kBlock, 0, stream, pairs_of(from),
              index.data<std::int32_t>(), first_row, count, rows);
  for (int shift = 0; shift < 32 && rows >> shift != 0; shift += kDigitBits) {
    WEFT_LAUNCH(radix_count_kernel, tiles, kBlock, 0, stream, digit_counts, pairs_of(from), count,
                shift);
    WEFT_LAUNCH(radix_scatter_kernel, tiles, kBlock, 0, stream, pairs_of(to), pairs_of(from),
                digit_counts, count, shift);
    std::swap(from, to);
  }
  return from;
}

template <int N, class Sum, class T>
void add_sorted_rows(Sum* dx, const SortedRows<T>& in, bool adds, Device device,
                     cudaStream_t stream) {
  const std::int64_t strips = (in.columns + kStrip<N> - 1) / kStrip<N>;
  WEFT_LAUNCH((add_short_rows_kernel<N, Sum, T>), blocks_for(in.rows * strips, kWarps), kBlock, 0,
              stream, dx, in, strips, adds);
  if (in.count <= kPiece) return;  // there is no long row
  const std::int64_t pieces = (in.count + kPiece - 1) / kPiece;
  const MemoryScope scratch_scope(MemoryUse::workspace);
  const Tensor partial({pieces, 2, in.columns}, DType::f32, device);
  WEFT_LAUNCH((add_pieces_kernel<N, T>), blocks_for(pieces * strips, kWarps), kBlock, 0, stream,
              partial.data<float>(), in, pieces, strips);
  WEFT_LAUNCH((join_pieces_kernel<N, Sum, T>), static_cast<unsigned>(pieces * strips), kBlock, 0,
              stream, dx, partial.data<float>(), in, strips, adds);
}

}  // namespace

// Sums in fp32, whatever dx is.
void CudaBackend::scatter_add_rows(Tensor& dx, const Tensor& dy, const Tensor& index,
                                   std::int64_t first_row, bool accumulate) {
  if (dx.numel() == 0) return;
  if (dy.numel() == 0) {
    if (!accumulate) fill(dx, 0);
    return;
  }
  const std::int64_t rows = dx.shape().rows(), columns = dx.shape().last();
  const auto count = static_cast<std::uint32_t>(index.numel());
  const Tensor pairs = sorted_pairs(index, first_row, rows, stream());
  const Tensor starts = scratch({rows + 1}, DType::i32);
  auto* const row_starts = static_cast<std::uint32_t*>(starts.raw());
  const auto* const row_of = static_cast<const RowOf*>(pairs.raw());
  WEFT_LAUNCH(row_starts_kernel, blocks_for(rows + 1, kBlock, rows + 1), kBlock, 0, stream(),
              row_starts, row_of, count, rows);
  with_floating_type(dy.dtype(), "scatter_add_rows", [&]<class T>(T) {
    const SortedRows<T> in{dy.data<T>(), row_of, row_starts, count, rows, columns};
    const auto add = [&]<class Sum>(Sum) {
      with_pack<Sum, T>({&dx, &dy}, columns, [&]<int N>(std::integral_constant<int, N>) {
        add_sorted_rows<N>(dx.data<Sum>(), in, accumulate, device(), stream());
      });
    };
    if (dx.dtype() == dy.dtype()) return add(T{});
    add(float{});
  });
}

// ---- counting -----------------------------------------------------------------------------------

namespace {

__global__ void count_up_kernel(std::int32_t* y, std::int64_t period, std::int64_t stride,
                                std::int64_t n) {
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step)
    y[i] = static_cast<std::int32_t>(i % period * stride);
}

}  // namespace

void CudaBackend::count_up(Tensor& y, std::int64_t period, std::int64_t stride) {
  const std::int64_t n = y.numel();
  if (n == 0) return;
  WEFT_LAUNCH(count_up_kernel, blocks_for(n, kBlock), kBlock, 0, stream(), y.data<std::int32_t>(),
              period, stride, n);
}

}  // namespace weft
