// Layer normalisation.
#include "core/backend/cuda/cuda_backend.hpp"
#include "core/backend/cuda/norm_rows.cuh"

namespace weft {

namespace {

// Rows as they stand.
template <class T>
struct GivenRows {
  const T* x;

  template <int N>
  __device__ void make(float (&v)[N], std::int64_t at, std::int64_t column) const {
    load_pack<N>(v, x + at + column);
  }
  template <int N>
  __device__ void again(float (&v)[N], std::int64_t at, std::int64_t column) const {
    make(v, at, column);
  }
};

// dx, of which no sums are wanted.
template <class T>
struct InputGradient {
  T* dx;

  template <int N>
  __device__ void write(float (&v)[N], std::int64_t element) const {
    store_pack<N>(dx + element, v);
  }
};

template <int P, class Team, class T>
__global__ void __launch_bounds__(Team::kMaxThreads)
    layer_norm_forward_kernel(NormForward<T> out, GivenRows<T> in) {
  norm_forward<P, Team>(out, in);
}

template <class T>
__global__ void layer_norm_forward_any_width_kernel(NormForward<T> out, GivenRows<T> in) {
  norm_forward_any_width(out, in);
}

template <int P, class Team, class T>
__global__ void __launch_bounds__(Team::kMaxThreads,
                                  backward_blocks_at_once(2, P* kPackSize<T>, Team::kMaxThreads))
    layer_norm_backward_kernel(NormBackward<T> in, InputGradient<T> out, ColumnTargets<2> targets) {
  norm_backward<P, Team>(in, out, targets);
}

template <class T>
__global__ void layer_norm_backward_any_width_kernel(NormBackward<T> in, const float* means_N2,
                                                     InputGradient<T> out, ColumnTargets<2> targets,
                                                     MatrixCut cut) {
  norm_backward_any_width(in, means_N2, out, targets, cut);
}

template <class T>
__global__ void norm_backward_means_kernel(float* means_N2, NormBackward<T> in) {
  BlockTeam team;
  for (std::int64_t row = team.row(); row < in.rows; row += gridDim.x) {
    const std::int64_t at = row * in.columns;
    const float mean = in.mean_N[row], rstd = in.rstd_N[row];
    float sums[2] = {0, 0};
    for (std::int64_t c = team.rank(); c < in.columns; c += team.size()) {
      const float g = to_float(in.dy[at + c]) * to_float(in.gamma[c]);
      sums[0] += g;
      sums[1] += g * ((to_float(in.x[at + c]) - mean) * rstd);
    }
    team.add(sums);
    if (team.rank() < 2)
      means_N2[2 * row + team.rank()] = sums[team.rank()] / static_cast<float>(in.columns);
  }
}

}  // namespace

template <class T>
void norm_backward_means(const Tensor& means_N2, const NormBackward<T>& in, cudaStream_t stream) {
  if (in.rows == 0) return;
  WEFT_LAUNCH((norm_backward_means_kernel<T>), blocks_for(in.rows, 1), threads_for_row(in.columns),
              0, stream, means_N2.data<float>(), in);
}
template void norm_backward_means(const Tensor&, const NormBackward<float>&, cudaStream_t);
template void norm_backward_means(const Tensor&, const NormBackward<bfloat16>&, cudaStream_t);
template void norm_backward_means(const Tensor&, const NormBackward<float16>&, cudaStream_t);

void CudaBackend::layer_norm_forward(Tensor& y, Tensor& mean_N, Tensor& rstd_N, const Tensor& x,
                                     const Tensor& gamma, const Tensor& beta, float eps) {
  const std::int64_t rows = mean_N.numel(), columns = gamma.numel();
  if (x.numel() == 0) return;
  with_floating_type(x.dtype(), "layer_norm", [&]<class T>(T) {
    const NormForward<T> out{y.data<T>(),
                             mean_N.data<float>(),
                             rstd_N.data<float>(),
                             gamma.data<T>(),
                             beta.data<T>(),
                             rows,
                             columns,
                             eps};
    const GivenRows<T> in{x.data<T>()};
    const bool fits = with_row_layout<T>(columns, {&y, &x, &gamma, &beta}, [&](auto layout) {
      using Layout = decltype(layout);
      WEFT_LAUNCH((layer_norm_forward_kernel<Layout::P, typename Layout::Team, T>),
                  layout.blocks(rows), layout.threads, 0, stream(), out, in);
    });
    if (!fits) {
      WEFT_LAUNCH((layer_norm_forward_any_width_kernel<T>), blocks_for(rows, 1),
                  threads_for_row(columns), 0, stream(), out, in);
    }
  });
}

void CudaBackend::layer_norm_backward(Tensor& dx, Tensor& dgamma, Tensor& dbeta, const Tensor& dy,
                                      const Tensor& x, const Tensor& mean_N, const Tensor& rstd_N,
                                      const Tensor& gamma) {
  const std::int64_t rows = mean_N.numel(), columns = gamma.numel();
  const int multiprocessors = runtime_.properties().multiProcessorCount;
  if (columns == 0) return;
  const std::array<float*, 2> sums = {dgamma.data<float>(), dbeta.data<float>()};
  with_floating_type(x.dtype(), "layer_norm", [&]<class T>(T) {
    const NormBackward<T> in{
        dy.data<T>(), x.data<T>(), mean_N.data<float>(), rstd_N.data<float>(), gamma.data<T>(),
        rows,         columns};
    const InputGradient<T> out{dx.data<T>()};
    const bool fits =
        with_row_layout<T>(columns, {&dx, &dgamma, &dbeta, &dy, &x, &gamma}, [&](auto layout) {
          using Layout = decltype(layout);
          const unsigned blocks = backward_blocks<2, T>(layout, rows, multiprocessors);
          column_sums<2>(sums, blocks, columns, device(), stream(), [&](const auto& targets) {
            WEFT_LAUNCH((layer_norm_backward_kernel<Layout::P, typename Layout::Team, T>), blocks,
                        layout.threads, 0, stream(), in, out, targets);
          });
        });
    if (fits) return;
    const Tensor means_N2 = scratch({std::max<std::int64_t>(1, rows), 2}, DType::f32);
    norm_backward_means(means_N2, in, stream());
    const MatrixCut cut(rows, columns, 1, kSummingBlocks * multiprocessors);
    column_sums<2>(sums, cut.parts, columns, device(), stream(), [&](const auto& targets) {
      WEFT_LAUNCH((layer_norm_backward_any_width_kernel<T>), cut.grid(), kColumnBlock, 0, stream(),
                  in, means_N2.data<float>(), out, targets, cut);
    });
  });
}

}  // namespace weft
