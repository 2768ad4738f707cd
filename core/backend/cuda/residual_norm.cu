// The end of a post-norm sub-layer in one pass: bias, dropout, residual sum, layer normalisation.
#include "core/backend/cuda/cuda_backend.hpp"
#include "core/backend/cuda/dropout_factors.cuh"
#include "core/backend/cuda/norm_rows.cuh"

namespace weft {

namespace {

// residual + dropout(x + bias), written to `sum` and given as it is stored there: the statistics
// are those of the stored sum, so that the backward sees the same x_hat.
template <class T>
struct ResidualRows {
  T* sum;
  const T *x, *residual;
  const T* bias;  // or null
  DropoutFactors dropout;

  template <int N>
  __device__ void make(float (&v)[N], std::int64_t at, std::int64_t column) const {
    float r[N], factors[N];
    load_pack<N>(v, x + at + column);
    load_pack<N>(r, residual + at + column);
    if (bias != nullptr) {
      float b[N];
      load_pack<N>(b, bias + column);
      WEFT_UNROLL
      for (int k = 0; k < N; ++k) v[k] += b[k];
    }
    if (!dropout.is_identity()) {
      dropout.draw(factors, at + column);
      WEFT_UNROLL
      for (int k = 0; k < N; ++k) v[k] *= factors[k];
    }
    WEFT_UNROLL
    for (int k = 0; k < N; ++k) v[k] = to_float(from_float<T>(r[k] + v[k]));
    store_pack<N>(sum + at + column, v);
  }
  template <int N>
  __device__ void again(float (&v)[N], std::int64_t at, std::int64_t column) const {
    load_pack<N>(v, sum + at + column);
  }
};

// dresidual and dx = dropout(dresidual), which may be one place. The sums are those of dx before it
// is rounded.
template <class T>
struct ResidualGradients {
  T *dx, *dresidual;
  DropoutFactors dropout;

  template <int N>
  __device__ void write(float (&v)[N], std::int64_t element) const {
    store_pack<N>(dresidual + element, v);
    if (!dropout.is_identity()) {
      float factors[N];
      dropout.draw(factors, element);
      WEFT_UNROLL
      for (int k = 0; k < N; ++k) v[k] *= factors[k];
    } else if (dx == dresidual) {
      return;
    }
    store_pack<N>(dx + element, v);
  }
};

template <int P, class Team, class T>
__global__ void __launch_bounds__(Team::kMaxThreads)
    residual_norm_forward_kernel(NormForward<T> out, ResidualRows<T> in) {
  norm_forward<P, Team>(out, in);
}

template <class T>
__global__ void residual_norm_forward_any_width_kernel(NormForward<T> out, ResidualRows<T> in) {
  norm_forward_any_width(out, in);
}

template <int P, class Team, class T>
__global__ void __launch_bounds__(Team::kMaxThreads,
                                  backward_blocks_at_once(3, P* kPackSize<T>, Team::kMaxThreads))
    residual_norm_backward_kernel(NormBackward<T> in, ResidualGradients<T> out,
                                  ColumnTargets<3> targets) {
  norm_backward<P, Team>(in, out, targets);
}

template <class T>
__global__ void residual_norm_backward_any_width_kernel(NormBackward<T> in, const float* means_N2,
                                                        ResidualGradients<T> out,
                                                        ColumnTargets<3> targets, MatrixCut cut) {
  norm_backward_any_width(in, means_N2, out, targets, cut);
}

}  // namespace

void CudaBackend::residual_norm_forward(Tensor& y, Tensor& sum, Tensor& mean_N, Tensor& rstd_N,
                                        const ResidualNorm& in) {
  const std::int64_t rows = mean_N.numel(), columns = in.gamma.numel();
  if (in.x.numel() == 0) return;
  with_floating_type(in.x.dtype(), "residual_norm", [&]<class T>(T) {
    const NormForward<T> out{y.data<T>(),
                             mean_N.data<float>(),
                             rstd_N.data<float>(),
                             in.gamma.data<T>(),
                             in.beta.data<T>(),
                             rows,
                             columns,
                             in.eps};
    const ResidualRows<T> made{sum.data<T>(), in.x.data<T>(), in.residual.data<T>(),
                               in.bias ? in.bias.data<T>() : nullptr, DropoutFactors(in.dropout)};
    const bool fits = with_row_layout<T>(
        columns, {&y, &sum, &in.x, &in.residual, &in.bias, &in.gamma, &in.beta}, [&](auto layout) {
          using Layout = decltype(layout);
          WEFT_LAUNCH((residual_norm_forward_kernel<Layout::P, typename Layout::Team, T>),
                      layout.blocks(rows), layout.threads, 0, stream(), out, made);
        });
    if (!fits) {
      WEFT_LAUNCH((residual_norm_forward_any_width_kernel<T>), blocks_for(rows, 1),
                  threads_for_row(columns), 0, stream(), out, made);
    }
  });
}

void CudaBackend::residual_norm_backward(Tensor& dx, Tensor& dresidual, Tensor& dbias,
                                         Tensor& dgamma, Tensor& dbeta, const Tensor& dy,
                                         const Tensor& sum, const Tensor& mean_N,
                                         const Tensor& rstd_N, const Tensor& gamma,
                                         const Dropout& dropout) {
  const std::int64_t rows = mean_N.numel(), columns = gamma.numel();
  const int multiprocessors = runtime_.properties().multiProcessorCount;
  if (columns == 0) return;
  const std::array<float*, 3> sums = {dgamma.data<float>(), dbeta.data<float>(),
                                      dbias ? dbias.data<float>() : nullptr};
  with_floating_type(sum.dtype(), "residual_norm", [&]<class T>(T) {
    const NormBackward<T> in{
        dy.data<T>(), sum.data<T>(), mean_N.data<float>(), rstd_N.data<float>(), gamma.data<T>(),
        rows,         columns};
    const ResidualGradients<T> out{dx.data<T>(), dresidual.data<T>(), DropoutFactors(dropout)};
    const std::initializer_list<const Tensor*> tensors = {&dx,    &dresidual, &dbias, &dgamma,
                                                          &dbeta, &dy,        &sum,   &gamma};
    const bool fits = with_row_layout<T>(columns, tensors, [&](auto layout) {
      using Layout = decltype(layout);
      const unsigned blocks = backward_blocks<3, T>(layout, rows, multiprocessors);
      column_sums<3>(sums, blocks, columns, device(), stream(), [&](const auto& targets) {
        WEFT_LAUNCH((residual_norm_backward_kernel<Layout::P, typename Layout::Team, T>), blocks,
                    layout.threads, 0, stream(), in, out, targets);
      });
    });
    if (fits) return;
    const Tensor means_N2 = scratch({std::max<std::int64_t>(1, rows), 2}, DType::f32);
    norm_backward_means(means_N2, in, stream());
    const MatrixCut cut(rows, columns, 1, kSummingBlocks * multiprocessors);
    column_sums<3>(sums, cut.parts, columns, device(), stream(), [&](const auto& targets) {
      WEFT_LAUNCH((residual_norm_backward_any_width_kernel<T>), cut.grid(), kColumnBlock, 0,
                  stream(), in, means_N2.data<float>(), out, targets, cut);
    });
  });
}

}  // namespace weft
