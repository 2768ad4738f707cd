// Walking a tree of modules.
#include "core/nn/module.hpp"

namespace weft {

void Visitor::operator()(std::string_view name, Module& m) {
  const std::string outer = prefix_;
  prefix_ = join(name);
  m.visit(*this);
  prefix_ = outer;
}

std::vector<NamedParameter> parameters(Module& m) {
  std::vector<NamedParameter> list;
  Visitor visitor([&](const std::string& name, Parameter& p) { list.push_back({name, &p}); });
  m.visit(visitor);
  return list;
}

}  // namespace weft
