// JSON parsing: what is kept, what is refused, and at which line.
#include "core/base/json.hpp"

#include <string>

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace weft {
namespace {

std::string refusal(std::string_view text) {
  try {
    parse_json(text, "f.json");
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

TEST(Json, KeepsValuesAndOrder) {
  const Json j =
      parse_json("{\"z\": [1, -2, 2.5, true, null],\n \"a\": {\"k\": \"\xC3\xA9\\n\"}}", "f");
  EXPECT_EQ(j.dump(), "{\"z\":[1,-2,2.5,true,null],\"a\":{\"k\":\"\xC3\xA9\\n\"}}");
  EXPECT_EQ(j.at("z").at(1).get<int>(), -2);
  EXPECT_EQ(parse_json(" 7 ", "f").get<int>(), 7);
  EXPECT_EQ(parse_json("18446744073709551615", "f").get<std::uint64_t>(), 18446744073709551615U);
}

TEST(Json, ManyKeysAreFast) {  // quadratic insertion would take minutes here
  std::string text = "{";
  for (int i = 0; i < 200000; ++i) text += (i ? ",\"" : "\"") + std::to_string(i) + "\":1";
  EXPECT_EQ(parse_json(text + "}", "f").size(), 200000U);
}

TEST(Json, RefusesDuplicateKeysWithTheLine) {
  EXPECT_EQ(refusal("{\n\"a\": 1,\n\"a\": 2}"), "f.json:3: duplicate key \"a\"");
  EXPECT_EQ(refusal("[{\"x\": {\"b\": 1, \"\\u0062\": 2}}]"), "f.json:1: duplicate key \"b\"");
  EXPECT_EQ(refusal("[{\"a\": 1}, {\"a\": 1, \"b\": {\"a\": 1}}]"), "accepted");
}

TEST(Json, RefusesDeepNesting) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(refusal(nested(256)), "accepted");
  EXPECT_EQ(refusal(nested(257)), "f.json:1: nested deeper than 256 levels");
  EXPECT_EQ(refusal(nested(100000)), "f.json:1: nested deeper than 256 levels");
}

TEST(Json, NamesTheLineOfASyntaxError) {
  EXPECT_EQ(refusal("{\n\n\"a\" 1}").substr(0, 26), "f.json:3: not valid JSON: ");
  EXPECT_EQ(refusal("[1,\n2").substr(0, 26), "f.json:2: not valid JSON: ");
  EXPECT_EQ(refusal("").substr(0, 10), "f.json:1: ");
}

TEST(Json, RefusesWhatIsNotOneValueInUtf8) {
  for (const std::string& text :
       {std::string("\"\xFF\""), std::string("\"\xC0\xAF\""), std::string("\"\xED\xA0\x80\""),
        std::string("{} {}"), std::string("[1,]"), std::string("nul"), std::string("\"\\ud800\""),
        std::string("1e999"), std::string("{}\0{", 4), std::string("\"a\0b\"", 5),
        std::string("'a'"), std::string("NaN"), std::string("// c\n1"), std::string("\"\n\"")}) {
    EXPECT_EQ(refusal(text).substr(0, 7), "f.json:") << text;
  }
}

TEST(Json, MissingFileIsAnInputError) {
  EXPECT_THROW(read_json("/nonexistent/x.json"), InputError);
}

// Each would take 48 bytes of memory or more.
TEST(Json, RefusesMillionsOfEmptyLists) {
  std::string text = "[[]";
  while (text.size() < std::size_t{4} << 20) text += ",[]";
  EXPECT_EQ(refusal(text + "]"), "f.json:1: too many values for a text of this size");
}

}  // namespace
}  // namespace weft
