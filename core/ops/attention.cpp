// Multi-head attention.
#include "core/ops/attention.hpp"

#include <cmath>

#include "core/backend/backend.hpp"
#include "core/base/error.hpp"
#include "core/ops/describe.hpp"

namespace weft {

namespace {

void check(const Shape& qkv, const AttentionMask& mask, const Heads& heads, float p) {
  if (!(p >= 0 && p < 1)) {
    throw Error("attention: p = " + std::to_string(p) + " on qkv " + qkv.str(),
                "p is a probability below 1");
  }
  if (qkv.rank() != 3 || heads.count < 1 || qkv.last() % (3 * heads.count) != 0) {
    throw Error("attention: qkv " + qkv.str() + " does not split into " +
                    std::to_string(heads.count) + " heads",
                "qkv is [B, T, 3 heads d]");
  }
  if (heads.first < 0 || heads.first + heads.count > heads.total) {
    throw Error("attention: heads " + std::to_string(heads.first) + " to " +
                std::to_string(heads.first + heads.count - 1) + " of " +
                std::to_string(heads.total));
  }
  const Tensor& keys = mask.keys_BT;
  if (keys && !(keys.dtype() == DType::u8 && keys.shape() == Shape{qkv[0], qkv[1]})) {
    throw Error("attention: key mask " + describe(keys) + " does not fit qkv " + qkv.str(),
                "the mask is [B, T] u8");
  }
}

}  // namespace

Var attention(const Var& qkv, const AttentionMask& mask, const Heads& heads, float p, Pass& pass) {
  check(qkv.shape(), mask, heads, p);
  const std::int64_t B = qkv.shape()[0], T = qkv.shape()[1];
  const std::int64_t head_size = qkv.shape().last() / (3 * heads.count);
  const AttentionArgs args{.heads = heads.count,
                           .scale = 1.0F / std::sqrt(static_cast<float>(head_size)),
                           .causal = mask.causal,
                           .key_mask_BT = mask.keys_BT,
                           .keys_are_prefix = mask.keys_are_prefix,
                           .dropout_p = pass.training ? p : 0,
                           .dropout_key = pass.next_key(),
                           .dropout_step = pass.step_on_device,
                           .first_sample = pass.first_sample,
                           .first_head = heads.first,
                           .total_heads = heads.total};
  Tensor out({B, T, heads.count * head_size}, qkv.dtype(), qkv.value().device());
  Tensor lse({B, heads.count, T}, DType::f32, qkv.value().device());
  backend(out).attention_forward(out, lse, qkv.value(), args);
  return record("attention", out, {qkv},
                [qkv = qkv.value(), out, lse, args](const Tensor& dy) -> Grads {
                  Tensor dqkv = empty_like(qkv);
                  backend(dy).attention_backward(dqkv, dy, qkv, out, lse, args);
                  return {dqkv};
                });
}

}  // namespace weft
