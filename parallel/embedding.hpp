// An embedding table whose rows (the vocabulary) are cut over the tensor axis.
#pragma once

#include "core/nn/module.hpp"
#include "parallel/communicator.hpp"

namespace weft {

// How the vocabulary is cut: every rank holds ceil(V / t) rows, of which the last ranks' may be
// padding at the end. Padded rows are zero, get no gradient, are never exported nor ever chosen.
struct VocabRange {
  std::int64_t first = 0;  // this rank's first row
  std::int64_t rows = 0;   // real rows on this rank
};
// Throws InputError for a vocabulary so small that a rank would have no real row.
VocabRange vocab_range(std::int64_t vocab_size, const Communicator& tensor);

class VocabEmbedding final : public Module {
 public:
  // The parameter's full shape is [vocab_size, width], unpadded; allocated, not initialised.
  VocabEmbedding(std::int64_t vocab_size, std::int64_t width, Communicator& tensor,
                 const TensorOptions& options, const Init& init);
  Var operator()(const Tensor& ids) const;  // [ids..., width], whole on every rank
  // Logits over this rank's part of the vocabulary: x [N, width] -> [N, range().rows]; the tied
  // output layer. `bias` is the local part of a parameter [V] cut as the table is. Only real rows
  // are multiplied, so that padding needs no mask in the loss.
  Var logits(const Var& x, const Var& bias) const;
  const VocabRange& range() const { return range_; }
  void visit(Visitor& v) override;  // "weight"

 private:
  Parameter weight_;
  VocabRange range_;
  Communicator* tensor_;
};

}  // namespace weft
