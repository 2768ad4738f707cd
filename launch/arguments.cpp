// Arguments: parsing and checking.
#include "launch/arguments.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include <fmt/format.h>

#include "core/backend/cuda.hpp"
#include "core/base/error.hpp"
#include "core/base/number.hpp"
#include "core/base/suggest.hpp"
#include "launch/device.hpp"
#include "launch/process.hpp"

namespace weft {

namespace {

std::string join(const std::vector<std::string>& names, std::string_view between) {
  return fmt::format("{}", fmt::join(names, between));
}

std::string range_of(const Option& o) {
  const bool low = o.min > std::numeric_limits<double>::lowest();
  const bool high = o.max < std::numeric_limits<double>::max();
  if (low && high) return fmt::format("a number from {} to {}", o.min, o.max);
  if (low) return fmt::format("a number not below {}", o.min);
  return high ? fmt::format("a number up to {}", o.max) : "a number";
}

void check_number(const Option& o, const std::string& value) {
  const bool whole = o.kind == Option::Kind::integer;
  std::optional<double> x;
  if (whole) {
    if (const auto n = parse_number<std::int64_t>(value)) x = static_cast<double>(*n);
  } else {
    x = parse_number<double>(value);
  }
  if (!x || !std::isfinite(*x)) {
    throw InputError(
        fmt::format("--{}: '{}' is not a {}", o.name, value, whole ? "whole number" : "number"),
        fmt::format("give {}", range_of(o)));
  }
  if (*x < o.min || *x > o.max) {
    throw InputError(fmt::format("--{}: {} is out of range", o.name, value),
                     fmt::format("give {}", range_of(o)));
  }
}

}  // namespace

Option force_option() { return {.name = "force", .help = "replace an existing, non-empty target"}; }

const std::vector<Option>& common_options() {
  static const std::vector<Option> options = {
      {.name = "device",
       .kind = Option::Kind::text,
       .value = "NAME",
       .help = "where to compute; auto is a GPU when there is one",
       .fallback = "auto",
       .allowed = {"auto", "cpu", "cuda"}},
      {.name = "threads",
       .kind = Option::Kind::integer,
       .value = "N",
       .help = "threads of each process (default: its share of the cores)",
       .min = 1,
       .max = 4096},
      {.name = "precision",
       .kind = Option::Kind::text,
       .value = "TYPE",
       .help = "number format of the computation",
       .allowed = {"fp32", "bf16", "fp16"}},
      {.name = "json", .help = "print one JSON object per line on stdout"},
      {.name = "quiet", .help = "print errors and results only", .short_name = "q"},
      {.name = "verbose", .help = "print more", .short_name = "v"},
      {.name = "help", .help = "print this help", .short_name = "h"},
  };
  return options;
}

Arguments::Arguments(const Command& command, const std::vector<std::string>& words)
    : command_(&command) {
  bool options_end = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (options_end || word.size() < 2 || word[0] != '-') {
      positionals_.push_back(word);
    } else if (word == "--") {
      options_end = true;
    } else {
      i = parse_option(words, i);
    }
  }
  if (help()) return;
  check_required();
  check_positionals();
}

const Option* Arguments::find(const std::string& name) const {
  const auto matches = [&](const Option& o) { return o.name == name || o.short_name == name; };
  for (const auto* list : {&command_->options, &common_options()}) {
    const auto it = std::find_if(list->begin(), list->end(), matches);
    if (it != list->end()) return &*it;
  }
  return nullptr;
}

// Takes the option at words[i]; returns the index of the last word it used.
std::size_t Arguments::parse_option(const std::vector<std::string>& words, std::size_t i) {
  const std::string& word = words[i];
  const bool is_long = word.starts_with("--");
  const std::size_t equals = is_long ? word.find('=') : std::string::npos;
  const std::string name =
      word.substr(is_long ? 2 : 1, equals == std::string::npos ? equals : equals - 2);
  const Option* option = find(name);
  if (option == nullptr || (!is_long && option->short_name != name)) {
    std::vector<std::string> names;
    for (const Option& o : command_->options) names.push_back(o.name);
    for (const Option& o : common_options()) names.push_back(o.name);
    const std::string near = nearest(name, names);
    throw InputError(
        fmt::format("weft {}: unknown option {}", command_->name, word.substr(0, equals)),
        near.empty() ? fmt::format("weft help {} lists the options", command_->name)
                     : fmt::format("did you mean --{}?", near));
  }
  if (option->kind == Option::Kind::flag) {
    if (equals != std::string::npos) {
      throw InputError(fmt::format("--{} takes no value", option->name),
                       fmt::format("write --{} alone", option->name));
    }
    values_[option->name] = {"true"};
    return i;
  }
  std::string value;
  if (equals != std::string::npos) {
    value = word.substr(equals + 1);
  } else if (i + 1 < words.size() && !words[i + 1].starts_with("--")) {
    value = words[++i];
  } else {
    throw InputError(fmt::format("--{} needs a value", option->name),
                     fmt::format("write --{} {}", option->name, option->value));
  }
  check_value(*option, value);
  auto& list = values_[option->name];
  if (!list.empty() && !option->repeated) {
    throw InputError(fmt::format("--{} is given twice", option->name), "give it once");
  }
  list.push_back(value);
  return i;
}

void Arguments::check_value(const Option& option, const std::string& value) const {
  if (option.kind == Option::Kind::integer || option.kind == Option::Kind::real) {
    check_number(option, value);
  }
  const auto& allowed = option.allowed;
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
    throw InputError(fmt::format("--{}: '{}' is not possible", option.name, value),
                     "use one of: " + join(allowed, ", "));
  }
}

void Arguments::check_required() const {
  for (const Option& o : command_->options) {
    if (o.required && !given(o.name)) {
      throw InputError(fmt::format("weft {} needs --{} {}", command_->name, o.name, o.value),
                       o.help);
    }
  }
}

void Arguments::check_positionals() const {
  std::size_t least = 0;
  std::size_t most = 0;
  for (const Positional& p : command_->positionals) {
    if (positionals_.size() < least + p.min) {
      throw InputError(fmt::format("weft {} needs {}", command_->name, p.name),
                       fmt::format("{} (weft help {} has an example)", p.help, command_->name));
    }
    least += p.min;
    most = p.max == kAnyNumber ? kAnyNumber : most + p.max;
  }
  if (positionals_.size() > most) {
    throw InputError(
        fmt::format("weft {}: '{}' is one argument too many", command_->name, positionals_[most]),
        fmt::format("weft help {} shows what it takes", command_->name));
  }
}

bool Arguments::given(const std::string& name) const { return values_.contains(name); }

std::string Arguments::text(const std::string& name) const {
  const auto it = values_.find(name);
  if (it != values_.end()) return it->second.back();
  const Option* option = find(name);
  assert(option != nullptr && "an option that the command does not declare");
  return option != nullptr ? option->fallback : "";
}

std::int64_t Arguments::integer(const std::string& name) const {
  return parse_number<std::int64_t>(text(name)).value_or(0);
}

double Arguments::real(const std::string& name) const {
  return parse_number<double>(text(name)).value_or(0);
}

std::vector<std::string> Arguments::all(const std::string& name) const {
  const auto it = values_.find(name);
  return it == values_.end() ? std::vector<std::string>{} : it->second;
}

std::string Arguments::positional(std::size_t i) const {
  return i < positionals_.size() ? positionals_[i] : "";
}

Device Arguments::device() const {
  return choose_device(text("device"), launched_rank(), cuda_device_count());
}

std::optional<DType> Arguments::precision() const {
  if (!given("precision")) return std::nullopt;
  const std::string p = text("precision");
  if (p != "fp16") return p == "bf16" ? DType::bf16 : DType::f32;
  if (device().type == DeviceType::cpu) {
    throw InputError("--precision fp16: CPUs do not compute in fp16", "use fp32 or bf16");
  }
  return DType::f16;
}

}  // namespace weft
