// How much each call of a backend has to compute and to move, counted from its arguments.
//
// Bytes are those of the elements that are read and written, each as often as the call has to: an
// output that is added to counts twice. What small tensors leave in the caches is not taken off, so
// that a short pass may reach more than the bandwidth of memory.
#pragma once

#include <span>

#include "core/backend/backend.hpp"
#include "core/backend/timeline.hpp"

namespace weft::work {

// Passes over memory: all of these tensors once; empty ones count nothing.
Work pass(std::initializer_list<const Tensor*> tensors);
Work pass(std::span<const Tensor> tensors);

Work matmul(const Tensor& c, const Tensor& a, const Tensor& b, const MatmulArgs& args);
// By the layouts of its factors. A linear layer's y = x w^T is "matmul A B^T", its dx = dy w
// "matmul A B", its dw = dy^T x "matmul A^T B".
const char* product_name(bool transpose_a, bool transpose_b);
// M x N x K of c[M, N] = op(a) op(b).
struct ProductSize {
  std::int64_t M = 0, N = 0, K = 0;
};
ProductSize product_size(const Tensor& c, const Tensor& a, const MatmulArgs& args);

// Two products forward, five backward (the scores are made again), over the pairs of a query and a
// key that it may attend to. Those that a mask on a GPU leaves out are counted.
Work attention_forward(const Tensor& out, const Tensor& lse_BhT, const Tensor& qkv,
                       const AttentionArgs& args);
Work attention_backward(const Tensor& dqkv, const Tensor& dout, const Tensor& qkv,
                        const Tensor& out, const Tensor& lse_BhT, const AttentionArgs& args);

// x is as large as y or larger: only the rows that are asked for are read.
Work gather_rows(const Tensor& y, const Tensor& index);
// dx is zeroed, unless `accumulate`, and each row of dy added to one of it.
Work scatter_add_rows(const Tensor& dx, const Tensor& dy, const Tensor& index, bool accumulate);

Work adamw(std::span<const AdamTensors> parameters);
Work lamb_moments(std::span<const AdamTensors> parameters);
Work lamb_apply(std::span<const AdamTensors> parameters);

}  // namespace weft::work
