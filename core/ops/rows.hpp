// Picking rows: embeddings and masked places.
#pragma once

#include "core/autograd/var.hpp"

namespace weft {

// y [ids..., C] = table[ids]; ids i32 of any shape. Rows outside [first_row, first_row + rows) give
// zeros: a rank's part of a vocabulary. The table's gradient is f32.
Var embedding(const Var& table, const Tensor& ids, std::int64_t first_row = 0);

// y [N, C] = x viewed as [rows, C], row index[n]; index i32 [N].
Var gather_rows(const Var& x, const Tensor& index);

}  // namespace weft
