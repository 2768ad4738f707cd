// Repair of ill-formed UTF-8 as Python's errors="replace" does it.
#include "core/text/utf8.hpp"

#include <string>

#include <gtest/gtest.h>

namespace weft {
namespace {

const std::string R = "\xef\xbf\xbd";  // U+FFFD

std::string repaired(std::string_view text) {
  std::string storage;
  return std::string(to_valid_utf8(text, storage));
}

TEST(Utf8, ValidTextIsHandedThrough) {
  const std::string text =
      "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80 \xef\xbf\xbd\xf4\x8f\xbf\xbf, long";
  std::string storage;
  EXPECT_EQ(to_valid_utf8(text, storage).data(), text.data());
  EXPECT_TRUE(is_valid_utf8(text));
  EXPECT_TRUE(is_valid_utf8(""));
  EXPECT_EQ(count_code_points(text), 13);
}

// Expected values: bytes.decode("utf-8", errors="replace") of CPython 3.11.
TEST(Utf8, EachMaximalIllFormedPartIsReplacedOnce) {
  EXPECT_EQ(repaired("a\xff"
                     "b"),
            "a" + R + "b");
  EXPECT_EQ(repaired("\x80\xbf"), R + R);
  EXPECT_EQ(repaired("\xc3"), R);
  EXPECT_EQ(repaired("\xc3("), R + "(");
  EXPECT_EQ(repaired("\xc0\xaf"), R + R);                  // overlong
  EXPECT_EQ(repaired("\xe0\x80\x80"), R + R + R);          // overlong
  EXPECT_EQ(repaired("\xed\xa0\x80"), R + R + R);          // surrogate
  EXPECT_EQ(repaired("\xf4\x90\x80\x80"), R + R + R + R);  // above U+10FFFF
  EXPECT_EQ(repaired("\xe4\xb8"), R);                      // truncated: one part
  EXPECT_EQ(repaired("\xe4\xb8z"), R + "z");
  EXPECT_EQ(repaired("\xf0\x9f\x98"), R);
  EXPECT_EQ(repaired("\xf0\x9f\x98\xf0\x9f\x98\x80"), R + "\xf0\x9f\x98\x80");
  EXPECT_EQ(repaired("\xf0\x9f\x41"), R + "A");
  EXPECT_EQ(repaired("\xf5\x80"), R + R);
  EXPECT_EQ(repaired("12345678\xc3"
                     "12345678"),
            "12345678" + R + "12345678");
}

TEST(Utf8, CodePointsGoThereAndBack) {
  for (const char32_t c : {0U, 0x7FU, 0x80U, 0x7FFU, 0x800U, 0xFFFFU, 0x10000U, 0x10FFFFU}) {
    std::string text;
    append_code_point(c, text);
    EXPECT_TRUE(is_valid_utf8(text));
    const char* p = text.data();
    EXPECT_EQ(next_code_point(p), c);
    EXPECT_EQ(p, text.data() + text.size());
  }
}

}  // namespace
}  // namespace weft
