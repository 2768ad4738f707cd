// Embeddings and picked rows.
#include "core/ops/rows.hpp"

#include <utility>
#include <vector>

#include "core/autograd/backward.hpp"
#include "core/backend/backend.hpp"
#include "core/base/error.hpp"
#include "core/ops/describe.hpp"

namespace weft {

namespace {

Shape append(const Shape& shape, std::int64_t last) {
  std::vector<std::int64_t> dims(shape.dims().begin(), shape.dims().end());
  dims.push_back(last);
  return Shape(dims);
}

void check_indices(const char* op, const char* what, const Var& matrix, const Tensor& index) {
  if (index.dtype() == DType::i32 && index.shape().rank() < Shape::kMaxRank) return;
  throw Error(std::string(op) + ": " + what + " " + describe(matrix.value()) +
                  " cannot be indexed by " + describe(index),
              "indices are i32");
}

}  // namespace

Var embedding(const Var& table, const Tensor& ids, std::int64_t first_row) {
  check_indices("embedding", "table", table, ids);
  if (table.shape().rank() != 2)
    throw Error("embedding: table " + describe(table.value()) + " for ids " + describe(ids),
                "a table is [rows, columns]");
  Tensor y(append(ids.shape(), table.shape()[1]), table.dtype(), ids.device());
  backend(y).gather_rows(y, table.value(), ids, first_row);
  return record(
      "embedding", y, {table},
      [node = table.node(), shape = table.shape(), ids, first_row](const Tensor& dy) -> Grads {
        auto [dtable, accumulate] = gradient_part(*node, shape, dy.device());
        backend(dy).scatter_add_rows(dtable, dy, ids, first_row, accumulate);
        return {std::move(dtable)};
      });
}

Var gather_rows(const Var& x, const Tensor& index) {
  check_indices("gather_rows", "x", x, index);
  if (x.shape().rank() < 2 || index.shape().rank() != 1)
    throw Error("gather_rows: x " + describe(x.value()) + " with index " + describe(index),
                "x is [..., columns] and index [rows to pick]");
  Tensor y({index.numel(), x.shape().last()}, x.dtype(), x.value().device());
  backend(y).gather_rows(y, x.value(), index, 0);
  return record("gather_rows", y, {x}, [shape = x.shape(), index](const Tensor& dy) -> Grads {
    Tensor dx(shape, dy.dtype(), dy.device());
    backend(dy).scatter_add_rows(dx, dy, index, 0, false);
    return {dx};
  });
}

}  // namespace weft
