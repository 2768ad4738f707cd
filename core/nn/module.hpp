// Modules and parameters; one visit() names every member and feeds optimizer, buckets and
// checkpoints.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/autograd/var.hpp"

namespace weft {

// How a parameter is cut over the tensor axis: along `dim`, within each of `segments` equal parts
// of that dim (a fused qkv weight has three). -1: every tensor rank holds it whole.
struct Shard {
  int dim = -1;
  int segments = 1;
};

// How a parameter starts. Values depend on (seed, name, position in the full tensor) alone.
struct Init {
  enum class Kind { zeros, ones, normal, truncated_normal } kind = Kind::zeros;
  float std = 0;
  std::int64_t zero_row = -1;  // a row of the full tensor that starts at zero: the padding id
};

struct Parameter {
  Var var;     // this rank's part, in the compute dtype
  Shape full;  // shape of the whole, logical tensor
  Shard shard;
  Init init;
  bool decay = true;  // weight decay applies: false for norms and biases
};

class Module;

// Called for each member by name. Names are joined with dots.
class Visitor {
 public:
  using OnParameter = std::function<void(const std::string& name, Parameter& p)>;
  explicit Visitor(OnParameter on_parameter) : on_parameter_(std::move(on_parameter)) {}

  void operator()(std::string_view name, Parameter& p) { on_parameter_(join(name), p); }
  void operator()(std::string_view name, Module& m);
  template <class M>
  void operator()(std::string_view name, std::vector<M>& list) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      (*this)(std::string(name) + "." + std::to_string(i), list[i]);
    }
  }

 private:
  std::string join(std::string_view name) const {
    return prefix_.empty() ? std::string(name) : prefix_ + "." + std::string(name);
  }
  OnParameter on_parameter_;
  std::string prefix_;
};

class Module {
 public:
  virtual ~Module() = default;
  virtual void visit(Visitor& v) = 0;
};

// All parameters in visiting order, with their dotted names.
struct NamedParameter {
  std::string name;
  Parameter* parameter;
};
std::vector<NamedParameter> parameters(Module& m);

}  // namespace weft
