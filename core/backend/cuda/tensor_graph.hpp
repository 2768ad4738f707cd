// A computation on tensors as data, written like its equations: cuDNN plans it, a test interprets
// it. No CUDA in here.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <deque>
#include <optional>
#include <variant>
#include <vector>

#include "core/tensor/dtype.hpp"

namespace weft::graph {

enum class Type : std::uint8_t { f32, bf16, f16, i32, i64, boolean };

// The type of a floating tensor's elements.
Type type_of(DType dtype);

// Every value has four dims: samples, heads, rows, columns. Strides count elements.
using Dims = std::array<std::int64_t, 4>;
struct Layout {
  Dims dims, strides;
  auto operator<=>(const Layout&) const = default;
};
Layout contiguous(const Dims& dims);
Layout transposed(Layout layout);  // rows and columns exchanged

// Where a value lives: in memory given at execution under its id, in the computation alone, or in
// the graph as a number.
enum class Place : std::uint8_t { memory, inner, constant };

struct Node {
  Place place = Place::inner;
  std::int64_t id = 0;
  Type type = Type::f32;
  Layout layout = {};
  float constant = 0;
};

enum class Function : std::uint8_t {
  add,
  subtract,
  multiply,
  divide,
  exp,
  log,
  identity,
  less,
  greater_equal,
  logical_and,
  select,    // x where t is true, else b
  position,  // the element's place along `axis`
};

// Memory given at an execution, 16-byte aligned.
struct Binding {
  std::int64_t id;
  void* memory;
};

class Graph;

// One value of a graph; a handle, valid as long as the graph.
class Value {
 public:
  Value(Graph& graph, int index) : graph_(&graph), index_(index) {}
  Graph& graph() const { return *graph_; }
  int index() const { return index_; }

 private:
  Graph* graph_;
  int index_;
};
using MaybeValue = std::optional<Value>;

// Operations name values by their index; kNone where an operand is missing.
inline constexpr int kNone = -1;
struct Pointwise {
  Function function;
  int x, b, t, y;
  int axis;
};
// y = a b per sample and head; a head of b serves as many heads of a as a has more. Lengths (i32,
// one per sample) tell how many rows, columns and products count; beyond them y is undefined.
struct Matmul {
  int a, b, y;
  int rows, columns, inner;
  bool zero_padding;  // y's undefined columns are 0
};
// Over each dim in which y has fewer elements than x: all of a dim, or groups of adjacent heads.
struct Reduction {
  bool maximum;  // else the sum
  int x, y;
};
// y = 1 with the probability `keep`, else 0: a function of seed, offset and place.
struct Bernoulli {
  int seed, offset, y;
  double keep;
};
struct Transpose {
  int x, y;
};
using Operation = std::variant<Pointwise, Matmul, Reduction, Bernoulli, Transpose>;

class Graph {
 public:
  Graph() = default;
  Graph(const Graph&) = default;  // its values still belong to the first
  Graph& operator=(const Graph&) = delete;

  Value memory(std::int64_t id, Type type, const Layout& layout);
  Value constant(float value);
  Value bernoulli(const Value& seed, const Value& offset, double keep, const Dims& dims);
  // Makes an inner value one in memory. Returns it.
  Value output(std::int64_t id, const Value& x, Type type, const Layout& layout);
  // Makes an inner value one of another type. Returns it.
  Value as(const Value& x, Type type);

  const Node& node(int index) const { return nodes_[static_cast<std::size_t>(index)]; }
  const std::deque<Node>& nodes() const { return nodes_; }
  const std::vector<Operation>& operations() const { return operations_; }

  Value inner(Type type, const Layout& layout);
  void record(const Operation& operation) { operations_.push_back(operation); }

 private:
  Value add(const Node& node);

  std::deque<Node> nodes_;
  std::vector<Operation> operations_;
  std::int64_t next_id_ = 1000;  // of values that are not in memory
};

// The dims and strides of a pointwise result are those of its first operand; the others are
// broadcast.
Value operator+(const Value& a, const Value& b);
Value operator-(const Value& a, const Value& b);
Value operator*(const Value& a, const Value& b);
Value operator/(const Value& a, const Value& b);
Value operator*(const Value& a, float b);
Value operator<(const Value& a, const Value& b);
Value operator>=(const Value& a, const Value& b);
Value operator&&(const Value& a, const Value& b);
Value exp(const Value& x);
Value log(const Value& x);
Value copy(const Value& x);
Value select(const Value& condition, const Value& yes, float no);
Value position(const Value& like, int axis);

struct Bounds {
  MaybeValue rows = {}, columns = {}, inner = {};
  bool zero_padding = false;
};
Value matmul(const Value& a, const Value& b, const Bounds& bounds = {});
Value row_max(const Value& x);
Value row_sum(const Value& x);
Value sum_heads(const Value& x, std::int64_t heads);  // groups of adjacent heads added up
Value transpose(const Value& x);                      // of rows and columns

}  // namespace weft::graph
