// Computation graphs evaluated on the host, one operation after the other in fp64.
#include "tests/cuda_emulator/graph_interpreter.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <variant>
#include <vector>

#include "core/base/philox.hpp"

namespace weft {

namespace {

using graph::Dims;
using graph::kNone;
using graph::Node;
using graph::Place;
using graph::Type;

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

std::int64_t count(const Dims& dims) { return dims[0] * dims[1] * dims[2] * dims[3]; }

// Calls f(i, place) for each element in the order of a contiguous tensor, where place = its four
// indices.
template <class F>
void for_each_element(const Dims& dims, F&& f) {
  std::int64_t i = 0;
  Dims at;
  for (at[0] = 0; at[0] < dims[0]; ++at[0])
    for (at[1] = 0; at[1] < dims[1]; ++at[1])
      for (at[2] = 0; at[2] < dims[2]; ++at[2])
        for (at[3] = 0; at[3] < dims[3]; ++at[3]) f(i++, at);
}

double load(Type type, const void* memory, std::int64_t i) {
  switch (type) {
    case Type::f32:
      return static_cast<const float*>(memory)[i];
    case Type::bf16:
      return static_cast<float>(static_cast<const bfloat16*>(memory)[i]);
    case Type::f16:
      return static_cast<float>(static_cast<const float16*>(memory)[i]);
    case Type::i32:
      return static_cast<const std::int32_t*>(memory)[i];
    case Type::i64:
    case Type::boolean:
      break;
  }
  throw std::logic_error("interpreter: no values of this type in memory");
}

void store(Type type, void* memory, std::int64_t i, double x) {
  const auto value = static_cast<float>(x);
  if (type == Type::f32)
    static_cast<float*>(memory)[i] = value;
  else if (type == Type::bf16)
    static_cast<bfloat16*>(memory)[i] = bfloat16(value);
  else if (type == Type::f16)
    static_cast<float16*>(memory)[i] = float16(value);
  else
    throw std::logic_error("interpreter: results are floating");
}

class Interpreter {
 public:
  Interpreter(const graph::Graph& graph, std::span<const graph::Binding> memory)
      : graph_(graph), memory_(memory), values_(graph.nodes().size()) {}

  void operator()(const graph::Pointwise& o) {
    const Dims& dims = dims_of(o.y);
    std::vector<double> y(static_cast<std::size_t>(count(dims)));
    for_each_element(dims, [&](std::int64_t i, const Dims& at) {
      const auto operand = [&](int index) { return index == kNone ? 0.0 : broadcast(index, at); };
      y[static_cast<std::size_t>(i)] =
          o.function == graph::Function::position
              ? static_cast<double>(at[static_cast<std::size_t>(o.axis)])
              : apply(o.function, operand(o.x), operand(o.b), operand(o.t));
    });
    finish(o.y, std::move(y));
  }

  void operator()(const graph::Matmul& o) {
    const Dims &a_dims = dims_of(o.a), &b_dims = dims_of(o.b), &dims = dims_of(o.y);
    const std::vector<double>&a = value(o.a), &b = value(o.b);
    const std::int64_t M = dims[2], N = dims[3], K = a_dims[3];
    if (a_dims[2] != M || b_dims[3] != N || b_dims[2] != K || a_dims[1] % b_dims[1] != 0)
      throw std::logic_error("interpreter: the shapes of a matmul do not fit");
    std::vector<double> y(static_cast<std::size_t>(count(dims)), kUndefined);
    for (std::int64_t s = 0; s < dims[0]; ++s) {
      const std::int64_t rows = length(o.rows, s, M), columns = length(o.columns, s, N),
                         inner = length(o.inner, s, K);
      for (std::int64_t h = 0; h < dims[1]; ++h) {
        const std::int64_t b_head = h / (dims[1] / b_dims[1]);
        for (std::int64_t i = 0; i < M; ++i) {
          double* row = y.data() + ((s * dims[1] + h) * M + i) * N;
          if (o.zero_padding) std::fill(row, row + N, 0.0);
          if (i >= rows) continue;
          std::fill(row, row + columns, 0.0);
          for (std::int64_t k = 0; k < inner; ++k) {
            const double left = a[static_cast<std::size_t>(((s * dims[1] + h) * M + i) * K + k)];
            const double* right = b.data() + ((s * b_dims[1] + b_head) * K + k) * N;
            for (std::int64_t j = 0; j < columns; ++j) row[j] += left * right[j];
          }
        }
      }
    }
    finish(o.y, std::move(y));
  }

  void operator()(const graph::Reduction& o) {
    const Dims &from = dims_of(o.x), &to = dims_of(o.y);
    const std::vector<double>& x = value(o.x);
    std::vector<double> y(static_cast<std::size_t>(count(to)),
                          o.maximum ? -std::numeric_limits<double>::infinity() : 0.0);
    for_each_element(from, [&](std::int64_t i, Dims at) {
      for (std::size_t dim = 0; dim < 4; ++dim) at[dim] /= from[dim] / to[dim];
      double& sum = y[place(to, at)];
      const double element = x[static_cast<std::size_t>(i)];
      if (o.maximum)
        sum = std::isnan(element) || element > sum ? element : sum;
      else
        sum += element;
    });
    finish(o.y, std::move(y));
  }

  void operator()(const graph::Bernoulli& o) {
    const auto integer = [&](int index) {
      return static_cast<const std::uint64_t*>(address(node(index).id))[0];
    };
    const PhiloxKey key{.seed = integer(o.seed)};
    const std::uint64_t offset = integer(o.offset);
    const std::uint32_t threshold = drop_threshold(static_cast<float>(1 - o.keep));
    std::vector<double> y(static_cast<std::size_t>(count(dims_of(o.y))));
    for (std::size_t i = 0; i < y.size(); ++i)
      y[i] = philox_u32(key, offset + i) >= threshold ? 1 : 0;
    finish(o.y, std::move(y));
  }

  void operator()(const graph::Transpose& o) {
    const Dims& dims = dims_of(o.y);
    const std::vector<double>& x = value(o.x);
    std::vector<double> y(x.size());
    for_each_element(dims, [&](std::int64_t i, Dims at) {
      std::swap(at[2], at[3]);
      y[static_cast<std::size_t>(i)] = x[place(dims_of(o.x), at)];
    });
    finish(o.y, std::move(y));
  }

 private:
  const Node& node(int index) const { return graph_.node(index); }
  const Dims& dims_of(int index) const { return node(index).layout.dims; }

  static std::size_t place(const Dims& dims, const Dims& at) {
    return static_cast<std::size_t>(((at[0] * dims[1] + at[1]) * dims[2] + at[2]) * dims[3] +
                                    at[3]);
  }

  static double apply(graph::Function function, double x, double b, double t) {
    using graph::Function;
    switch (function) {
      case Function::add:
        return x + b;
      case Function::subtract:
        return x - b;
      case Function::multiply:
        return x * b;
      case Function::divide:
        return x / b;
      case Function::exp:
        return std::exp(x);
      case Function::log:
        return std::log(x);
      case Function::identity:
      case Function::position:
        return x;
      case Function::less:
        return x < b ? 1 : 0;
      case Function::greater_equal:
        return x >= b ? 1 : 0;
      case Function::logical_and:
        return x != 0 && b != 0 ? 1 : 0;
      case Function::select:
        return t != 0 ? x : b;
    }
    return kUndefined;
  }

  double broadcast(int index, const Dims& at) {
    const Dims& dims = dims_of(index);
    Dims own;
    for (std::size_t dim = 0; dim < 4; ++dim) own[dim] = dims[dim] == 1 ? 0 : at[dim];
    return value(index)[place(dims, own)];
  }

  std::int64_t length(int index, std::int64_t sample, std::int64_t whole) {
    return index == kNone
               ? whole
               : static_cast<std::int64_t>(value(index)[static_cast<std::size_t>(sample)]);
  }

  void* address(std::int64_t id) const {
    for (const graph::Binding& binding : memory_) {
      if (binding.id == id) return binding.memory;
    }
    throw std::logic_error("interpreter: no memory for value " + std::to_string(id));
  }

  static std::int64_t offset(const Node& n, const Dims& at) {
    std::int64_t sum = 0;
    for (std::size_t dim = 0; dim < 4; ++dim) sum += at[dim] * n.layout.strides[dim];
    return sum;
  }

  // The elements in contiguous order, read from memory when first asked for.
  const std::vector<double>& value(int index) {
    std::vector<double>& x = values_[static_cast<std::size_t>(index)];
    if (!x.empty()) return x;
    const Node& n = node(index);
    if (n.place == Place::inner) throw std::logic_error("interpreter: used before it is computed");
    x.resize(static_cast<std::size_t>(count(n.layout.dims)), double{n.constant});
    if (n.place == Place::memory) {
      const void* from = address(n.id);
      for_each_element(n.layout.dims, [&](std::int64_t i, const Dims& at) {
        x[static_cast<std::size_t>(i)] = load(n.type, from, offset(n, at));
      });
    }
    return x;
  }

  void finish(int index, std::vector<double> y) {
    const Node& n = node(index);
    if (n.place == Place::memory) {
      void* to = address(n.id);
      for_each_element(n.layout.dims, [&](std::int64_t i, const Dims& at) {
        store(n.type, to, offset(n, at), y[static_cast<std::size_t>(i)]);
      });
      y.clear();  // whoever uses it next sees what was rounded
    }
    values_[static_cast<std::size_t>(index)] = std::move(y);
  }

  const graph::Graph& graph_;
  std::span<const graph::Binding> memory_;
  std::vector<std::vector<double>> values_;
};

}  // namespace

void interpret(const graph::Graph& graph, std::span<const graph::Binding> memory) {
  Interpreter interpreter(graph, memory);
  for (const graph::Operation& operation : graph.operations()) std::visit(interpreter, operation);
}

}  // namespace weft
