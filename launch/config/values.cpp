// Typed values of a configuration.
#include "launch/config/values.hpp"

#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/suggest.hpp"

namespace weft {

namespace {

// Digits only: no leading zero, which some readers of YAML take for octal, no underscore, no hex.
bool plain_number(const std::string& s) {
  const std::size_t first = s.starts_with("-") ? 1 : 0;
  if (first >= s.size() || s[first] < '0' || s[first] > '9') return false;
  return s[first] != '0' || first + 1 == s.size() || s[first + 1] < '0' || s[first + 1] > '9';
}

template <class T>
std::optional<T> number_of(const ConfigNode& node) {
  if (node.kind != ConfigNode::Kind::scalar || node.quoted || !plain_number(node.text)) {
    return std::nullopt;
  }
  T value{};
  const char* end = node.text.data() + node.text.size();
  const auto [rest, error] = std::from_chars(node.text.data(), end, value);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return value;
}

std::string text_of(const ConfigNode& node, const std::string& path, const std::string& wanted) {
  if (node.kind != ConfigNode::Kind::scalar || node.text.empty()) refuse_value(node, path, wanted);
  return node.text;
}

double number_in(const ConfigNode& node, const std::string& path, const RealRange& range,
                 const std::string& wanted) {
  const auto x = number_of<double>(node);
  if (!x || !std::isfinite(*x) || *x < range.min || *x > range.max ||
      (range.open && *x == range.min)) {
    refuse_value(node, path, wanted);
  }
  return *x;
}

std::string wanted_number(const RealRange& r) {
  return fmt::format("a number {} {} up to {}", r.open ? "above" : "from", r.min, r.max);
}

bool plain_text(const std::string& s) {
  const auto fits = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '/' || c == '-' || c == '.';
  };
  return !s.empty() && std::isalpha(static_cast<unsigned char>(s[0])) != 0 &&
         std::all_of(s.begin(), s.end(), fits) && s != "true" && s != "false" && s != "null";
}

// "data/wiki" or {path: data/wiki, weight: 2}.
DataSource read_source(const ConfigNode& node, const std::string& path) {
  const std::string wanted = "a source such as {path: data/wiki, weight: 1.0}";
  if (node.kind == ConfigNode::Kind::scalar) return {.path = text_of(node, path, wanted)};
  if (node.kind != ConfigNode::Kind::map) refuse_value(node, path, wanted);
  const std::vector<std::string> names = {"path", "weight"};
  DataSource source;
  for (const auto& [name, child] : node.entries) {
    if (name == "path") {
      source.path = text_of(child, path + ".path", "the prefix of token files");
    } else if (name == "weight") {
      const RealRange range = above(0, 1e9);
      source.weight = number_in(child, path + ".weight", range, wanted_number(range));
    } else {
      const std::string near = nearest(name, names);
      throw InputError(
          fmt::format("{}: unknown key '{}.{}'", child.where, path, name),
          near.empty() ? "a source has: path, weight" : fmt::format("did you mean '{}'?", near));
    }
  }
  if (source.path.empty()) {
    throw InputError(key_at(node.where, path) + ": a source without a path",
                     "write {path: PREFIX}, as given to weft prepare --output");
  }
  return source;
}

}  // namespace

void refuse_value(const ConfigNode& node, const std::string& path, const std::string& wanted) {
  std::string is;
  switch (node.kind) {
    case ConfigNode::Kind::null:
      is = "has no value";
      break;
    case ConfigNode::Kind::list:
      is = "is a list";
      break;
    case ConfigNode::Kind::map:
      is = "is a section";
      break;
    case ConfigNode::Kind::scalar:
      is = node.quoted ? fmt::format("\"{}\" is not possible", node.text)
                       : fmt::format("'{}' is not possible", node.text);
  }
  const bool quoted_number = node.quoted && plain_number(node.text);
  throw InputError(fmt::format("{}: {}", key_at(node.where, path), is),
                   "use " + wanted + (quoted_number ? ", without quotes" : ""));
}

std::string one_of(const std::vector<std::string>& names) {
  return names.size() == 1 ? names[0] : fmt::format("one of: {}", fmt::join(names, ", "));
}

std::size_t read_choice(const ConfigNode& node, const std::string& path,
                        const std::vector<std::string>& names) {
  const std::string text = text_of(node, path, one_of(names));
  const auto it = std::find(names.begin(), names.end(), text);
  if (it == names.end()) {
    const std::string near = nearest(text, names);
    refuse_value(node, path,
                 one_of(names) + (near.empty() ? "" : fmt::format("; did you mean {}?", near)));
  }
  return static_cast<std::size_t>(it - names.begin());
}

ConfigKey text_key(std::string path, std::string& field, std::string doc, Effect effect) {
  ConfigKey key{.path = path, .doc = std::move(doc), .wanted = kAnyText, .effect = effect};
  key.read = [path, &field](const ConfigNode& n) { field = text_of(n, path, kAnyText); };
  key.value = [&field] { return Json(field); };
  return key;
}

ConfigKey flag_key(std::string path, bool& field, std::string doc, Effect effect) {
  const std::string wanted = "true or false";
  ConfigKey key{.path = path, .doc = std::move(doc), .wanted = wanted, .effect = effect};
  key.read = [path, wanted, &field](const ConfigNode& n) {
    if (n.quoted || (n.text != "true" && n.text != "false")) refuse_value(n, path, wanted);
    field = n.text == "true";
  };
  key.value = [&field] { return Json(field); };
  return key;
}

ConfigKey whole_key(std::string path, std::int64_t& field, WholeRange range, std::string doc,
                    Effect effect) {
  const std::string wanted = fmt::format("a whole number from {} to {}", range.min, range.max);
  ConfigKey key{.path = path, .doc = std::move(doc), .wanted = wanted, .effect = effect};
  key.read = [path, wanted, range, &field](const ConfigNode& n) {
    const auto x = number_of<std::int64_t>(n);
    if (!x || *x < range.min || *x > range.max) refuse_value(n, path, wanted);
    field = *x;
  };
  key.value = [&field] { return Json(field); };
  return key;
}

ConfigKey seed_key(std::string path, std::uint64_t& field, std::string doc) {
  const std::string wanted = "a whole number from 0 to 18446744073709551615";
  ConfigKey key{.path = path, .doc = std::move(doc), .wanted = wanted};
  key.read = [path, wanted, &field](const ConfigNode& n) {
    const auto x = number_of<std::uint64_t>(n);
    if (!x) refuse_value(n, path, wanted);
    field = *x;
  };
  key.value = [&field] { return Json(field); };
  return key;
}

ConfigKey real_key(std::string path, double& field, RealRange range, std::string doc,
                   Effect effect) {
  const std::string wanted = wanted_number(range);
  ConfigKey key{.path = path, .doc = std::move(doc), .wanted = wanted, .effect = effect};
  key.read = [path, wanted, range, &field](const ConfigNode& n) {
    field = number_in(n, path, range, wanted);
  };
  key.value = [&field] { return Json(field); };
  return key;
}

ConfigKey betas_key(std::string path, std::array<double, 2>& field, std::string doc) {
  const std::string wanted = "two numbers from 0 to below 1, as [0.9, 0.999]";
  ConfigKey key{.path = path, .doc = std::move(doc), .wanted = wanted};
  key.read = [path, wanted, &field](const ConfigNode& n) {
    if (n.items.size() != 2) refuse_value(n, path, wanted);
    for (std::size_t i = 0; i < 2; ++i) {
      field[i] = number_in(n.items[i], path, {0, std::nextafter(1.0, 0.0), false}, wanted);
    }
  };
  key.value = [&field] { return Json(field); };
  return key;
}

ConfigKey sources_key(std::string path, std::vector<DataSource>& field, std::string doc,
                      Effect effect, bool may_be_empty) {
  const std::string wanted = "a list such as [{path: data/wiki, weight: 1.0}]";
  ConfigKey key{.path = path, .doc = std::move(doc), .wanted = wanted, .effect = effect};
  key.read = [path, wanted, may_be_empty, &field](const ConfigNode& n) {
    if (n.kind != ConfigNode::Kind::list) refuse_value(n, path, wanted);
    if (n.items.empty() && !may_be_empty) refuse_value(n, path, wanted);
    field.clear();
    for (std::size_t i = 0; i < n.items.size(); ++i) {
      field.push_back(read_source(n.items[i], fmt::format("{}[{}]", path, i)));
    }
  };
  key.value = [&field] {
    Json list = Json::array();
    for (const DataSource& s : field)
      list.push_back({{"path", s.path.string()}, {"weight", s.weight}});
    return list;
  };
  return key;
}

Json model_value(const ConfigNode& node, const std::string& path) {
  if (node.kind != ConfigNode::Kind::scalar) refuse_value(node, path, "a number or a text");
  if (node.quoted) return node.text;
  if (node.text == "true" || node.text == "false") return node.text == "true";
  if (const auto whole = number_of<std::int64_t>(node)) return *whole;
  if (const auto real = number_of<double>(node)) return *real;
  return node.text;
}

std::string yaml_value(const Json& v) {
  if (v.is_string()) return plain_text(v.get<std::string>()) ? v.get<std::string>() : v.dump();
  if (!v.is_structured()) return v.dump();
  std::vector<std::string> parts;
  for (const auto& [key, item] : v.items()) {
    parts.push_back(v.is_object() ? key + ": " + yaml_value(item) : yaml_value(item));
  }
  return fmt::format("{}{}{}", v.is_object() ? "{" : "[", fmt::join(parts, ", "),
                     v.is_object() ? "}" : "]");
}

}  // namespace weft
