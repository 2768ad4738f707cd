// From our parameter names to the tensor names of Hugging Face.
#include "models/hf_names.hpp"

#include <cctype>
#include <optional>

#include "core/base/error.hpp"

namespace weft {

namespace {

struct Match {
  std::string number;  // what '#' stood for
  std::string rest;    // what followed the pattern: "" or ".weight"
};

std::optional<Match> match(std::string_view pattern, std::string_view name) {
  Match m;
  std::size_t n = 0;
  for (const char c : pattern) {
    if (c == '#') {
      while (n < name.size() && std::isdigit(static_cast<unsigned char>(name[n])))
        m.number += name[n++];
      if (m.number.empty()) return std::nullopt;
    } else if (n == name.size() || name[n++] != c) {
      return std::nullopt;
    }
  }
  m.rest = name.substr(n);
  if (!m.rest.empty() && m.rest[0] != '.') return std::nullopt;
  return m;
}

std::string fill_in(std::string_view pattern, const Match& m) {
  std::string name;
  for (const char c : pattern) name += c == '#' ? m.number : std::string(1, c);
  return name + m.rest;
}

Shape with_rows(const Shape& shape, std::int64_t rows) {
  std::vector<std::int64_t> dims(shape.dims().begin(), shape.dims().end());
  dims[0] = rows;
  return Shape(dims);
}

}  // namespace

std::vector<HfTensor> translate(std::span<const HfRule> rules, const NamedParameter& p) {
  for (const HfRule& rule : rules) {
    const auto m = match(rule.ours, p.name);
    if (!m) continue;
    const Shape& full = p.parameter->full;
    const std::int64_t rows = full[0] / static_cast<std::int64_t>(rule.theirs.size());
    std::vector<HfTensor> tensors;
    for (std::size_t i = 0; i < rule.theirs.size(); ++i) {
      tensors.push_back({.name = fill_in(rule.theirs[i], *m),
                         .first = static_cast<std::int64_t>(i) * rows,
                         .count = rows,
                         .shape = with_rows(full, rows)});
    }
    return tensors;
  }
  throw Error("no Hugging Face name for the parameter " + p.name);
}

}  // namespace weft
