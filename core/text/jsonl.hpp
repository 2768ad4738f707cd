// The texts of one line of a .jsonl file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weft {

struct LineTexts {
  std::string a;
  std::optional<std::string> b;  // of a pair
};

// {"text": ".."} or {"a": "..", "b": ".."}; other keys are left aside. Throws InputError
// "WHERE: ...", where WHERE is the place of the line.
LineTexts parse_line_texts(std::string_view line, const std::string& where);

}  // namespace weft
