// Layer normalisation by rows and its gradient, shared by layer_norm and residual_norm.
//
// A row is read once and stays in registers, 16 bytes at a time: a warp has a row of up to 1024
// columns, a block one of up to 8192. Wider rows, and those that do not begin at multiples of 16
// bytes, are read again for each pass.
//
// Source: Ba, Kiros, Hinton, "Layer normalization", 2016.
#pragma once

#include <cstdint>

#include "core/backend/cuda/column_sums.cuh"
#include "core/backend/cuda/dispatch.hpp"
#include "core/backend/cuda/launch.cuh"

namespace weft {

// ---- the threads of a row -----------------------------------------------------------------------

// Four rows per block, so that a row needs no barrier.
struct WarpTeam {
  static constexpr int kRows = 4;
  static constexpr int kMaxThreads = kRows * kWarp;

  __device__ int rank() const { return static_cast<int>(threadIdx.x % kWarp); }
  __device__ int size() const { return kWarp; }
  __device__ std::int64_t row() const {
    return std::int64_t{blockIdx.x} * kRows + threadIdx.x / kWarp;
  }

  // The sums over the team, in every thread of it.
  template <int K>
  __device__ void add(float (&x)[K]) {
    WEFT_UNROLL
    for (int k = 0; k < K; ++k) x[k] = warp_sum(x[k]);
  }
};

struct BlockTeam {
  static constexpr int kRows = 1;
  static constexpr int kMaxThreads = 512;

  __device__ int rank() const { return static_cast<int>(threadIdx.x); }
  __device__ int size() const { return static_cast<int>(blockDim.x); }
  __device__ std::int64_t row() const { return blockIdx.x; }

  // Two buffers take turns, so that one barrier per call is enough.
  template <int K>
  __device__ void add(float (&x)[K]) {
    __shared__ float scratch[2][K * kWarp];
    turn_ ^= 1;
    block_sums(x, scratch[turn_]);
  }

 private:
  int turn_ = 0;
};

// Blocks per multiprocessor, of the 64 Ki registers of each, when a backward kernel keeps K sums
// and two more values of each of `elements` columns per thread.
constexpr int backward_blocks_at_once(std::size_t K, int elements, int threads) {
  return std::max(1, 64 * 1024 / threads / ((static_cast<int>(K) + 2) * elements + 40));
}

// Calls f(i, column) for each of the P packs of N columns that the thread has of a row.
template <int N, int P, class Team, class F>
__device__ inline void for_packs(const Team& team, std::int64_t columns, const F& f) {
  WEFT_UNROLL
  for (int i = 0; i < P; ++i) {
    const int column = (team.rank() + i * team.size()) * N;
    if (column < columns) f(i, column);
  }
}

// ---- forward ------------------------------------------------------------------------------------

template <class T>
struct NormForward {
  T* y;
  float *mean_N, *rstd_N;
  const T *gamma, *beta;
  std::int64_t rows, columns;
  float eps;

  __device__ float rstd(float squares) const {
    return 1 / sqrtf(squares / static_cast<float>(columns) + eps);
  }

  // Packs of y from those of x, at the given column of a row that begins at element `at`.
  template <int N>
  __device__ void write(std::int64_t at, std::int64_t column, float (&x)[N], float mean,
                        float rstd) const {
    float g[N], b[N];
    load_pack<N>(g, gamma + column);
    load_pack<N>(b, beta + column);
    WEFT_UNROLL
    for (int k = 0; k < N; ++k) x[k] = (x[k] - mean) * rstd * g[k] + b[k];
    store_pack<N>(y + at + column, x);
  }
};

// The rows come from `in`: in.make(x, at, column) gives a pack of the row that begins at element
// `at`. Mean, then variance of the differences from it: no cancellation when the mean is large.
template <int P, class Team, class T, class Rows>
__device__ inline void norm_forward(const NormForward<T>& out, const Rows& in) {
  constexpr int N = kPackSize<T>;
  Team team;
  const auto count = static_cast<float>(out.columns);
  for (std::int64_t row = team.row(); row < out.rows; row += gridDim.x * Team::kRows) {
    const std::int64_t at = row * out.columns;
    float x[P][N];
    float mean[1] = {0}, squares[1] = {0};
    for_packs<N, P>(team, out.columns, [&](int i, int column) { in.make(x[i], at, column); });
    for_packs<N, P>(team, out.columns, [&](int i, int) {
      for (const float e : x[i]) mean[0] += e;
    });
    team.add(mean);
    mean[0] /= count;
    for_packs<N, P>(team, out.columns, [&](int i, int) {
      for (const float e : x[i]) squares[0] += (e - mean[0]) * (e - mean[0]);
    });
    team.add(squares);
    const float rstd = out.rstd(squares[0]);
    for_packs<N, P>(team, out.columns,
                    [&](int i, int column) { out.write(at, column, x[i], mean[0], rstd); });
    if (team.rank() == 0) {
      out.mean_N[row] = mean[0];
      out.rstd_N[row] = rstd;
    }
  }
}

// The same for rows of any width: in.again(x, at, column) reads what make() gave.
template <class T, class Rows>
__device__ inline void norm_forward_any_width(const NormForward<T>& out, const Rows& in) {
  BlockTeam team;
  const auto count = static_cast<float>(out.columns);
  for (std::int64_t row = team.row(); row < out.rows; row += gridDim.x) {
    const std::int64_t at = row * out.columns;
    float x[1], mean[1] = {0}, squares[1] = {0};
    for (std::int64_t c = team.rank(); c < out.columns; c += team.size()) {
      in.make(x, at, c);
      mean[0] += x[0];
    }
    team.add(mean);
    mean[0] /= count;
    for (std::int64_t c = team.rank(); c < out.columns; c += team.size()) {
      in.again(x, at, c);
      squares[0] += (x[0] - mean[0]) * (x[0] - mean[0]);
    }
    team.add(squares);
    const float rstd = out.rstd(squares[0]);
    for (std::int64_t c = team.rank(); c < out.columns; c += team.size()) {
      in.again(x, at, c);
      out.write(at, c, x, mean[0], rstd);
    }
    if (team.rank() == 0) {
      out.mean_N[row] = mean[0];
      out.rstd_N[row] = rstd;
    }
  }
}

// ---- backward -----------------------------------------------------------------------------------

template <class T>
struct NormBackward {
  const T *dy, *x;
  const float *mean_N, *rstd_N;
  const T* gamma;
  std::int64_t rows, columns;
};

// With g = dy gamma and x_hat = (x - mean) rstd:
//   dx = rstd (g - mean(g) - x_hat mean(g x_hat)),  dgamma += dy x_hat,  dbeta += dy.
// Sums 0 and 1 of the columns are dgamma and dbeta. dx goes to out.write(dx, element), which may
// change it to what sum 2, if there is one, adds up. A thread has the same columns of every row, so
// that their sums stay in registers to the end.
template <int P, class Team, class T, class Out, std::size_t K>
__device__ inline void norm_backward(const NormBackward<T>& in, const Out& out,
                                     const ColumnTargets<K>& targets) {
  constexpr int N = kPackSize<T>;
  Team team;
  float sums[K][P][N] = {};
  const auto count = static_cast<float>(in.columns);
  for (std::int64_t row = team.row(); row < in.rows; row += gridDim.x * Team::kRows) {
    const std::int64_t at = row * in.columns;
    const float mean = in.mean_N[row], rstd = in.rstd_N[row];
    float g[P][N], x_hat[P][N];
    float means[2] = {0, 0};  // of g and of g x_hat
    for_packs<N, P>(team, in.columns, [&](int i, int column) {
      load_pack<N>(g[i], in.dy + at + column);
      load_pack<N>(x_hat[i], in.x + at + column);
    });
    for_packs<N, P>(team, in.columns, [&](int i, int column) {
      float gamma[N];
      load_pack<N>(gamma, in.gamma + column);
      WEFT_UNROLL
      for (int k = 0; k < N; ++k) {
        x_hat[i][k] = (x_hat[i][k] - mean) * rstd;
        sums[0][i][k] += g[i][k] * x_hat[i][k];
        sums[1][i][k] += g[i][k];
        g[i][k] *= gamma[k];
        means[0] += g[i][k];
        means[1] += g[i][k] * x_hat[i][k];
      }
    });
    team.add(means);
    means[0] /= count;
    means[1] /= count;
    for_packs<N, P>(team, in.columns, [&](int i, int column) {
      WEFT_UNROLL
      for (int k = 0; k < N; ++k) g[i][k] = rstd * (g[i][k] - means[0] - x_hat[i][k] * means[1]);
      out.write(g[i], at + column);
      if constexpr (K > 2) {
        WEFT_UNROLL
        for (int k = 0; k < N; ++k) sums[2][i][k] += g[i][k];
      }
    });
  }
  int turn = 0;
  WEFT_UNROLL
  for (std::size_t k = 0; k < K; ++k) {
    if (targets.sums[k] == nullptr) continue;
    float* const to = targets.sums[k] + blockIdx.x * targets.stride;
    if constexpr (Team::kRows == 1) {
      for_packs<N, P>(team, in.columns,
                      [&](int i, int column) { store_pack<N>(to + column, sums[k][i]); });
    } else {
      WEFT_UNROLL
      for (int i = 0; i < P; ++i) {
        const std::int64_t first = i * kWarp * N;
        add_over_warps<N, Team::kRows, 2>(to + first, in.columns - first, sums[k][i], turn++);
      }
    }
  }
}

// The same for rows of any width, walked by columns, when means_N2 holds each row's means of g and
// of g x_hat.
template <class T, class Out, std::size_t K>
__device__ inline void norm_backward_any_width(const NormBackward<T>& in, const float* means_N2,
                                               const Out& out, const ColumnTargets<K>& targets,
                                               const MatrixCut& cut) {
  const ColumnsOfThread<1> mine(cut);
  float sums[K][1] = {};
  for (std::int64_t row = mine.first_row; row < mine.last_row; row += kColumnWarps) {
    const std::int64_t at = row * cut.columns + mine.column;
    const float rstd = in.rstd_N[row], dy = to_float(in.dy[at]);
    const float x_hat = (to_float(in.x[at]) - in.mean_N[row]) * rstd;
    const float g = dy * to_float(in.gamma[mine.column]);
    sums[0][0] += dy * x_hat;
    sums[1][0] += dy;
    float dx[1] = {rstd * (g - means_N2[2 * row] - x_hat * means_N2[2 * row + 1])};
    out.write(dx, at);
    if constexpr (K > 2) sums[2][0] += dx[0];
  }
  write_column_sums(targets, cut, sums);
}

// means_N2, f32: of g and of g x_hat by rows.
template <class T>
void norm_backward_means(const Tensor& means_N2, const NormBackward<T>& in, cudaStream_t stream);

// ---- launches -----------------------------------------------------------------------------------

// How the rows of a matrix are shared among threads: a team for each, of P packs per thread.
template <class Team_, int P_>
struct RowLayout {
  using Team = Team_;
  static constexpr int P = P_;
  unsigned threads = Team::kMaxThreads;

  unsigned blocks(std::int64_t rows) const { return blocks_for(rows, Team::kRows); }
};

// The threads of a block that has one row of any width.
inline unsigned threads_for_row(std::int64_t columns) {
  return kWarp * blocks_for(columns, kWarp, BlockTeam::kMaxThreads / kWarp);
}

// Calls f(RowLayout) for rows of T that fit into registers; false when they do not.
template <class T, class F>
bool with_row_layout(std::int64_t columns, std::initializer_list<const Tensor*> tensors, F&& f) {
  constexpr int N = kPackSize<T>;
  constexpr int k8 = 8 / N;  // packs of 8 elements
  bool fits = columns <= 16 * BlockTeam::kMaxThreads;
  with_pack<T>(tensors, columns, [&](auto pack) { fits = fits && pack > 1; });
  if (!fits) return false;
  if (columns <= 8 * kWarp) {
    f(RowLayout<WarpTeam, 1 * k8>{});
  } else if (columns <= 16 * kWarp) {
    f(RowLayout<WarpTeam, 2 * k8>{});
  } else if (columns <= 24 * kWarp) {
    f(RowLayout<WarpTeam, 3 * k8>{});
  } else if (columns <= 32 * kWarp) {
    f(RowLayout<WarpTeam, 4 * k8>{});
  } else {
    f(RowLayout<BlockTeam, 2 * k8>{threads_for_row((columns + 15) / 16)});
  }
  return true;
}

// Blocks of a backward kernel with K sums whose rows fit into registers: no more than run at once,
// as each leaves sums of all columns, and two rows at least for each team.
template <std::size_t K, class T, class Layout>
unsigned backward_blocks(const Layout& layout, std::int64_t rows, int multiprocessors) {
  const int at_once =
      backward_blocks_at_once(K, Layout::P * kPackSize<T>, static_cast<int>(layout.threads));
  return blocks_for(rows, 2 * Layout::Team::kRows, std::int64_t{multiprocessors} * at_once);
}

}  // namespace weft
