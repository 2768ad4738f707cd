// Reads {"text"} and {"a", "b"} lines.
#include "core/text/jsonl.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"

namespace weft {
namespace {

const Json* string_member(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? &*found : nullptr;
}

}  // namespace

LineTexts parse_line_texts(std::string_view line, const std::string& where) {
  const Json json = parse_json(line, where);
  if (json.is_object()) {
    if (const Json* text = string_member(json, "text")) return {text->get<std::string>(), {}};
    const Json* a = string_member(json, "a");
    const Json* b = string_member(json, "b");
    if (a && b) return {a->get<std::string>(), b->get<std::string>()};
  }
  throw InputError(where + ": no string \"text\", nor \"a\" and \"b\"",
                   R"(write {"text": ".."} or {"a": "..", "b": ".."})");
}

}  // namespace weft
