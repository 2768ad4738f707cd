// Embeddings and picked rows.
#include "core/ops/rows.hpp"

#include <vector>

#include "core/backend/backend.hpp"
#include "core/base/error.hpp"

namespace weft {

namespace {

Shape append(const Shape& shape, std::int64_t last) {
  std::vector<std::int64_t> dims(shape.dims().begin(), shape.dims().end());
  dims.push_back(last);
  return Shape(dims);
}

void check_indices(const char* op, const char* what, const Shape& matrix, const Tensor& index) {
  if (index.dtype() == DType::i32 && index.shape().rank() < Shape::kMaxRank) return;
  throw Error(std::string(op) + ": " + what + " " + matrix.str() + " cannot be indexed by " +
                  index.shape().str() + " " + std::string(name_of(index.dtype())),
              "indices are i32");
}

}  // namespace

Var embedding(const Var& table, const Tensor& ids, std::int64_t first_row) {
  check_indices("embedding", "table", table.shape(), ids);
  if (table.shape().rank() != 2)
    throw Error("embedding: table " + table.shape().str() + " for ids " + ids.shape().str(),
                "a table is [rows, columns]");
  Tensor y(append(ids.shape(), table.shape()[1]), table.dtype(), ids.device());
  backend(y).gather_rows(y, table.value(), ids, first_row);
  return record("embedding", y, {table},
                [shape = table.shape(), ids, first_row](const Tensor& dy) -> Grads {
                  Tensor dtable(shape, DType::f32, dy.device());
                  backend(dy).scatter_add_rows(dtable, dy, ids, first_row);
                  return {dtable};
                });
}

Var gather_rows(const Var& x, const Tensor& index) {
  check_indices("gather_rows", "x", x.shape(), index);
  if (x.shape().rank() < 2 || index.shape().rank() != 1)
    throw Error("gather_rows: x " + x.shape().str() + " with index " + index.shape().str(),
                "x is [..., columns] and index [rows to pick]");
  Tensor y({index.numel(), x.shape().last()}, x.dtype(), x.value().device());
  backend(y).gather_rows(y, x.value(), index, 0);
  return record("gather_rows", y, {x}, [shape = x.shape(), index](const Tensor& dy) -> Grads {
    Tensor dx(shape, dy.dtype(), dy.device());
    backend(dy).scatter_add_rows(dx, dy, index, 0);
    return {dx};
  });
}

}  // namespace weft
