// An embedding table whose rows (the vocabulary) are cut over the tensor axis.
#pragma once

#include "core/nn/module.hpp"
#include "parallel/communicator.hpp"

namespace weft {

// How the vocabulary is cut: rows are padded at the end to a multiple of the ranks, and padded rows
// are never exported nor ever chosen.
struct VocabRange {
  std::int64_t first = 0;  // this rank's first row
  std::int64_t rows = 0;   // real rows on this rank
};
VocabRange vocab_range(std::int64_t vocab_size, const Communicator& tensor);

class VocabEmbedding final : public Module {
 public:
  VocabEmbedding(std::int64_t vocab_size, std::int64_t width, Communicator& tensor, DType dtype,
                 const Init& init);
  Var operator()(const Tensor& ids) const;  // [ids..., width], whole on every rank
  // Logits over this rank's part of the vocabulary: x [N, width] -> [N, rows]; the tied output
  // layer.
  Var logits(const Var& x, const Var& bias) const;
  const VocabRange& range() const { return range_; }
  void visit(Visitor& v) override;  // "weight"

 private:
  Parameter weight_;
  VocabRange range_;
  Communicator* tensor_;
};

}  // namespace weft
