// The table of what calls cost.
#include "core/backend/work.hpp"

#include <algorithm>

namespace weft::work {

namespace {

double bytes_of(const Tensor& x) { return x ? static_cast<double>(x.bytes()) : 0; }

// Of a batch: how many (query, key) pairs have a score, for one head.
double attended_pairs(std::int64_t B, std::int64_t T, const AttentionArgs& args) {
  const auto tokens = static_cast<double>(T);
  const double all = static_cast<double>(B) * tokens;
  if (args.causal) return all * (tokens + 1) / 2;
  const Tensor& mask = args.key_mask_BT;
  if (!mask || mask.device().type != DeviceType::cpu) return all * tokens;
  const auto* keys = mask.data<std::uint8_t>();
  return tokens * static_cast<double>(std::count(keys, keys + mask.numel(), std::uint8_t{1}));
}

// Of one product of the five.
double attention_flops(const Tensor& qkv, const AttentionArgs& args) {
  const std::int64_t B = qkv.shape()[0], T = qkv.shape()[1];
  const double columns = static_cast<double>(qkv.shape().last()) / 3;  // heads times their size
  return 2 * attended_pairs(B, T, args) * columns;
}

}  // namespace

Work pass(std::initializer_list<const Tensor*> tensors) {
  Work w;
  for (const Tensor* x : tensors) w.bytes += bytes_of(*x);
  return w;
}

Work pass(std::span<const Tensor> tensors) {
  Work w;
  for (const Tensor& x : tensors) w.bytes += bytes_of(x);
  return w;
}

const char* product_name(bool transpose_a, bool transpose_b) {
  if (transpose_a) return transpose_b ? "matmul A^T B^T" : "matmul A^T B";
  return transpose_b ? "matmul A B^T" : "matmul A B";
}

ProductSize product_size(const Tensor& c, const Tensor& a, const MatmulArgs& args) {
  if (c.numel() == 0 || a.numel() == 0) return {};
  const std::int64_t K = args.transpose_a ? a.numel() / a.shape().last() : a.shape().last();
  const std::int64_t M = a.numel() / K;
  return {.M = M, .N = c.numel() / M, .K = K};
}

Work matmul(const Tensor& c, const Tensor& a, const Tensor& b, const MatmulArgs& args) {
  const ProductSize size = product_size(c, a, args);
  return {.flops = 2.0 * static_cast<double>(size.M) * static_cast<double>(size.N) *
                   static_cast<double>(size.K),
          .bytes = bytes_of(a) + bytes_of(b) + bytes_of(c) * (args.accumulate ? 2 : 1) +
                   bytes_of(args.bias) + bytes_of(args.a_sums) + bytes_of(args.before_activation)};
}

Work attention_forward(const Tensor& out, const Tensor& lse_BhT, const Tensor& qkv,
                       const AttentionArgs& args) {
  return {.flops = 2 * attention_flops(qkv, args), .bytes = pass({&out, &lse_BhT, &qkv}).bytes};
}

Work attention_backward(const Tensor& dqkv, const Tensor& dout, const Tensor& qkv,
                        const Tensor& out, const Tensor& lse_BhT, const AttentionArgs& args) {
  return {.flops = 5 * attention_flops(qkv, args),
          .bytes = pass({&dqkv, &dout, &qkv, &out, &lse_BhT}).bytes};
}

Work gather_rows(const Tensor& y, const Tensor& index) { return pass({&y, &y, &index}); }

Work scatter_add_rows(const Tensor& dx, const Tensor& dy, const Tensor& index, bool accumulate) {
  const double row_of_dx = static_cast<double>(size_of(dx.dtype()));
  Work w = accumulate ? pass({&dy, &index}) : pass({&dx, &dy, &index});
  w.bytes += 2 * row_of_dx * static_cast<double>(dy.numel());
  return w;
}

Work adamw(std::span<const AdamTensors> parameters) {
  Work w;
  for (const AdamTensors& p : parameters) {
    w.bytes += pass({&p.w, &p.w, &p.m, &p.m, &p.v, &p.v, &p.g, &p.copy}).bytes;
  }
  return w;
}

Work lamb_moments(std::span<const AdamTensors> parameters) {
  Work w;
  for (const AdamTensors& p : parameters) {
    w.bytes += pass({&p.w, &p.m, &p.m, &p.v, &p.v, &p.g}).bytes;
  }
  return w;
}

Work lamb_apply(std::span<const AdamTensors> parameters) {
  Work w;
  for (const AdamTensors& p : parameters) {
    w.bytes += pass({&p.w, &p.w, &p.m, &p.v, &p.copy}).bytes;
  }
  return w;
}

}  // namespace weft::work
