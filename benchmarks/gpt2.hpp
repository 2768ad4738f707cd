// GPT-2 as a stack of Weft's layers, for timings and tests: pre-norm blocks, causal attention, no
// dropout, tied output weights, loss over all places.
//
// B batch, T tokens, C hidden.
#pragma once

#include "core/nn/norm.hpp"
#include "core/ops/attention.hpp"
#include "core/ops/elementwise.hpp"
#include "core/ops/rows.hpp"
#include "parallel/cross_entropy.hpp"
#include "parallel/embedding.hpp"
#include "parallel/linear.hpp"

namespace weft {

struct Gpt2Shape {
  std::int64_t vocabulary = 50304, hidden = 768, layers = 12, heads = 12, length = 1024;
};

class Gpt2Block final : public Module {
 public:
  Gpt2Block(const Gpt2Shape& s, Communicator& tensor, const TensorOptions& options)
      : attention_norm_(s.hidden, 1e-5F, options),
        qkv_(s.hidden, 3 * s.hidden, tensor, {.parameters = options, .segments = 3}),
        out_(s.hidden, s.hidden, tensor, {.parameters = options}),
        mlp_norm_(s.hidden, 1e-5F, options),
        up_(s.hidden, 4 * s.hidden, tensor, {.parameters = options}),
        down_(4 * s.hidden, s.hidden, tensor, {.parameters = options}),
        heads_{.count = s.heads, .total = s.heads} {}

  Var operator()(const Var& x_BTC, Pass& pass) const {
    const Var mixed = attention(qkv_(attention_norm_(x_BTC)), {.causal = true}, heads_, 0, pass);
    const Var h_BTC = x_BTC + out_(mixed);
    return h_BTC + down_(up_(mlp_norm_(h_BTC), Activation::gelu_tanh));
  }

  void visit(Visitor& v) override {
    v("attention_norm", attention_norm_);
    v("qkv", qkv_);
    v("out", out_);
    v("mlp_norm", mlp_norm_);
    v("up", up_);
    v("down", down_);
  }

 private:
  LayerNorm attention_norm_;
  ColumnLinear qkv_;
  RowLinear out_;
  LayerNorm mlp_norm_;
  ColumnLinear up_;
  RowLinear down_;
  Heads heads_;
};

class Gpt2 final : public Module {
 public:
  Gpt2(const Gpt2Shape& s, Communicator& tensor, const TensorOptions& options)
      : words_(s.vocabulary, s.hidden, tensor, options, {.kind = Init::Kind::normal, .std = 0.02F}),
        places_(s.length, s.hidden, tensor, options, {.kind = Init::Kind::normal, .std = 0.02F}),
        norm_(s.hidden, 1e-5F, options),
        tensor_(&tensor) {
    for (std::int64_t i = 0; i < s.layers; ++i) blocks_.emplace_back(s, tensor, options);
  }

  // The summed loss of predicting targets_N from ids_BT, N = B T; places_BT counts each row's
  // tokens from 0.
  Var loss(const Tensor& ids_BT, const Tensor& places_BT, const Tensor& targets_N,
           Pass& pass) const {
    Var x_BTC = words_(ids_BT) + places_(places_BT);
    for (const Gpt2Block& block : blocks_) x_BTC = block(x_BTC, pass);
    const Shape& s = x_BTC.shape();
    const Var logits = words_.logits(reshape(norm_(x_BTC), {s[0] * s[1], s[2]}), {});
    return vocab_cross_entropy(logits, targets_N, words_.range().first, *tensor_).loss;
  }

  void visit(Visitor& v) override {
    v("words", words_);
    v("places", places_);
    v("blocks", blocks_);
    v("norm", norm_);
  }

 private:
  VocabEmbedding words_, places_;
  std::vector<Gpt2Block> blocks_;
  LayerNorm norm_;
  Communicator* tensor_;
};

}  // namespace weft
