// Help texts, made from what the commands declare.
#include "launch/help.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace weft {

namespace {

std::string with_value(const Option& o) {
  std::string s = o.short_name.empty() ? "" : fmt::format("-{}, ", o.short_name);
  s += "--" + o.name;
  return o.kind == Option::Kind::flag ? s : s + " " + o.value;
}

std::string explanation(const Option& o) {
  std::string s = o.help;
  if (!o.allowed.empty()) s += fmt::format(": {}", fmt::join(o.allowed, ", "));
  if (!o.fallback.empty()) s += fmt::format(" (default: {})", o.fallback);
  if (o.required) s += " (required)";
  if (o.repeated) s += " (may be repeated)";
  return s;
}

using Rows = std::vector<std::pair<std::string, std::string>>;

std::string section(const std::string& title, const Rows& rows) {
  if (rows.empty()) return "";
  std::size_t width = 0;
  for (const auto& [left, right] : rows) width = std::max(width, left.size());
  std::string s = "\n" + title + ":\n";
  for (const auto& [left, right] : rows) s += fmt::format("  {:<{}}  {}\n", left, width, right);
  return s;
}

Rows rows_of(const std::vector<Option>& options) {
  Rows rows;
  for (const Option& o : options) rows.emplace_back(with_value(o), explanation(o));
  return rows;
}

std::string indented(const std::string& lines) {
  std::string s = "  ";
  for (const char c : lines) s += c == '\n' ? std::string("\n  ") : std::string(1, c);
  return s + "\n";
}

}  // namespace

std::string usage_line(const Command& command) {
  std::string s = "weft " + command.name;
  for (const Option& o : command.options) {
    if (o.required) s += fmt::format(" --{} {}", o.name, o.value);
  }
  for (const Positional& p : command.positionals) {
    const std::string name = p.max > 1 ? p.name + "..." : p.name;
    s += p.min == 0 ? fmt::format(" [{}]", name) : " " + name;
  }
  return s + " [OPTION]...";
}

std::string help_text(const Command& command) {
  std::string s = fmt::format("usage: {}\n\n{}\n", usage_line(command), command.summary);
  if (!command.details.empty()) s += command.details + "\n";
  Rows arguments;
  for (const Positional& p : command.positionals) arguments.emplace_back(p.name, p.help);
  s += section("Arguments", arguments);
  s += section("Options", rows_of(command.options));
  s += section("Common options", rows_of(common_options()));
  if (!command.example.empty()) s += "\nExample:\n" + indented(command.example);
  return s;
}

std::string overview(std::span<const Command> commands) {
  Rows rows;
  for (const Command& c : commands) rows.emplace_back(c.name, c.summary);
  return "usage: weft COMMAND [OPTION]... [ARGUMENT]...\n\n"
         "Weft pretrains, checks and runs BERT-family transformers.\n" +
         section("Commands", rows) +
         "\nweft help COMMAND explains a command with an example; weft --version says what this "
         "build contains.\n";
}

std::string bash_completion(std::span<const Command> commands) {
  std::vector<std::string> names;
  std::string cases;
  for (const Command& c : commands) {
    names.push_back(c.name);
    std::string words;
    for (const auto* list : {&c.options, &common_options()}) {
      for (const Option& o : *list) words += " --" + o.name;
    }
    cases += fmt::format("    {}) words='{}' ;;\n", c.name, words.substr(1));
  }
  std::string values;
  for (const Command& c : commands) {
    for (const auto* list : {&c.options, &common_options()}) {
      for (const Option& o : *list) {
        const std::string line =
            fmt::format("    {}:--{}) words='{}' ;;\n", c.name, o.name, fmt::join(o.allowed, " "));
        if (!o.allowed.empty()) values += line;
      }
    }
  }
  return fmt::format(R"bash(# bash completion for weft: eval "$(weft completion bash)"
_weft() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} words=''
  if [ "$COMP_CWORD" = 1 ] || [ "${{COMP_WORDS[1]}}" = help ]; then
    COMPREPLY=($(compgen -W '{} --version --help' -- "$current"))
    return
  fi
  case ${{COMP_WORDS[1]}}:$previous in
{}  esac
  if [ -z "$words" ] && [[ $current == -* ]]; then
    case ${{COMP_WORDS[1]}} in
{}    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ ${{#COMPREPLY[@]}} != 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}}
complete -o filenames -F _weft weft
)bash",
                     fmt::join(names, " "), values, cases);
}

}  // namespace weft
