// Building computation graphs.
#include "core/backend/cuda/tensor_graph.hpp"

#include <cassert>
#include <utility>

namespace weft::graph {

Type type_of(DType dtype) {
  assert(dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16);
  return dtype == DType::bf16 ? Type::bf16 : dtype == DType::f16 ? Type::f16 : Type::f32;
}

Layout contiguous(const Dims& dims) {
  return {dims, {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1}};
}

Layout transposed(Layout layout) {
  std::swap(layout.dims[2], layout.dims[3]);
  std::swap(layout.strides[2], layout.strides[3]);
  return layout;
}

Value Graph::add(const Node& node) {
  nodes_.push_back(node);
  return {*this, static_cast<int>(nodes_.size()) - 1};
}

Value Graph::memory(std::int64_t id, Type type, const Layout& layout) {
  return add({.place = Place::memory, .id = id, .type = type, .layout = layout});
}

Value Graph::constant(float value) {
  return add({.place = Place::constant,
              .id = next_id_++,
              .layout = contiguous({1, 1, 1, 1}),
              .constant = value});
}

Value Graph::inner(Type type, const Layout& layout) {
  return add({.id = next_id_++, .type = type, .layout = layout});
}

Value Graph::output(std::int64_t id, const Value& x, Type type, const Layout& layout) {
  Node& node = nodes_[static_cast<std::size_t>(x.index())];
  assert(node.place == Place::inner && node.layout.dims == layout.dims);
  node = {.place = Place::memory, .id = id, .type = type, .layout = layout};
  return x;
}

Value Graph::as(const Value& x, Type type) {
  nodes_[static_cast<std::size_t>(x.index())].type = type;
  return x;
}

Value Graph::bernoulli(const Value& seed, const Value& offset, double keep, const Dims& dims) {
  const Value y = inner(Type::f32, contiguous(dims));
  record(Bernoulli{seed.index(), offset.index(), y.index(), keep});
  return y;
}

namespace {

int index_of(const MaybeValue& x) { return x ? x->index() : kNone; }

const Layout& layout_of(const Value& x) { return x.graph().node(x.index()).layout; }

Value pointwise(Function function, const Value& x, const MaybeValue& b = {},
                const MaybeValue& t = {}, Type type = Type::f32, int axis = kNone) {
  const Value y = x.graph().inner(type, layout_of(x));
  x.graph().record(Pointwise{function, x.index(), index_of(b), index_of(t), y.index(), axis});
  return y;
}

Value reduce(bool maximum, const Value& x, const Dims& dims) {
  const Value y = x.graph().inner(Type::f32, contiguous(dims));
  x.graph().record(Reduction{maximum, x.index(), y.index()});
  return y;
}

Dims one_column(Dims dims) {
  dims[3] = 1;
  return dims;
}

}  // namespace

Value operator+(const Value& a, const Value& b) { return pointwise(Function::add, a, b); }
Value operator-(const Value& a, const Value& b) { return pointwise(Function::subtract, a, b); }
Value operator*(const Value& a, const Value& b) { return pointwise(Function::multiply, a, b); }
Value operator/(const Value& a, const Value& b) { return pointwise(Function::divide, a, b); }
Value operator*(const Value& a, float b) { return a * a.graph().constant(b); }
Value operator<(const Value& a, const Value& b) {
  return pointwise(Function::less, a, b, {}, Type::boolean);
}
Value operator>=(const Value& a, const Value& b) {
  return pointwise(Function::greater_equal, a, b, {}, Type::boolean);
}
Value operator&&(const Value& a, const Value& b) {
  return pointwise(Function::logical_and, a, b, {}, Type::boolean);
}
Value exp(const Value& x) { return pointwise(Function::exp, x); }
Value log(const Value& x) { return pointwise(Function::log, x); }
Value copy(const Value& x) { return pointwise(Function::identity, x); }
Value select(const Value& condition, const Value& yes, float no) {
  return pointwise(Function::select, yes, yes.graph().constant(no), condition);
}
Value position(const Value& like, int axis) {
  return pointwise(Function::position, like, {}, {}, Type::i32, axis);
}

Value matmul(const Value& a, const Value& b, const Bounds& bounds) {
  const Dims& left = layout_of(a).dims;
  const Value y =
      a.graph().inner(Type::f32, contiguous({left[0], left[1], left[2], layout_of(b).dims[3]}));
  a.graph().record(Matmul{a.index(), b.index(), y.index(), index_of(bounds.rows),
                          index_of(bounds.columns), index_of(bounds.inner), bounds.zero_padding});
  return y;
}

Value row_max(const Value& x) { return reduce(true, x, one_column(layout_of(x).dims)); }
Value row_sum(const Value& x) { return reduce(false, x, one_column(layout_of(x).dims)); }

Value sum_heads(const Value& x, std::int64_t heads) {
  Dims dims = layout_of(x).dims;
  dims[1] = heads;
  return reduce(false, x, dims);
}

Value transpose(const Value& x) {
  const Value y = x.graph().inner(x.graph().node(x.index()).type, transposed(layout_of(x)));
  x.graph().record(Transpose{x.index(), y.index()});
  return y;
}

}  // namespace weft::graph
