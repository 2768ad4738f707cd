// Every rule of the safetensors format, broken one at a time; truncations, flipped bits, mutations.
#include <algorithm>
#include <cstring>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/io/safetensors.hpp"
#include "tests/fuzz_rounds.hpp"
#include "tests/scratch_dir.hpp"

namespace weft {
namespace {

using namespace testing_support;

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string s(8, '\0');
  std::memcpy(s.data(), &length, 8);
  return s + rest;
}

std::string file_of(const std::string& header, std::size_t data) {
  return with_length(header.size(), header + std::string(data, '\0'));
}

void parse(const std::string& file) { parse_safetensors(std::as_bytes(std::span(file)), "f"); }

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}
const std::string kFour = entry("\"F32\"", "[1]", "[0,4]");

struct Rule {
  const char* name;
  std::string file;
  const char* message;  // how it begins
};

std::vector<Rule> rules() {
  const auto one = [](const std::string& e, std::size_t data = 4) {
    return file_of("{\"a\":" + e + "}", data);
  };
  const auto two = [](const std::string& a, const std::string& b, std::size_t data) {
    return file_of("{\"a\":" + a + ",\"b\":" + b + "}", data);
  };
  const std::string deep = std::string(10000, '[') + std::string(10000, ']');
  return {
      {"Empty", "", "f: 0 bytes are too few"},
      {"TooShortForALength", "1234567", "f: 7 bytes are too few"},
      {"HeaderOver100MB", with_length(100'000'001, "{}"), "f: the header says it has 100000001"},
      {"HeaderLongerThanTheFile", with_length(3, "{}"), "f: the header says it has 3 bytes"},
      {"HeaderLengthWraps", with_length(~std::uint64_t{0}, "{}"), "f: the header says it has 1844"},
      {"HeaderLengthWrapsBy8", with_length(~std::uint64_t{0} - 7, "{}"), "f: the header says"},
      {"EmptyHeader", with_length(0, "{}"), "f: the header does not begin with '{'"},
      {"HeaderBeginsWithSpace", file_of(" {}", 0), "f: the header does not begin with '{'"},
      {"HeaderIsAList", file_of("[]", 0), "f: the header does not begin with '{'"},
      {"HeaderIsCutJson", file_of("{\"a\":", 0), "f:1: not valid JSON"},
      {"HeaderHasASecondValue", file_of("{} {}", 0), "f:1: not valid JSON"},
      {"HeaderHoldsANul", file_of(std::string("{}\0 ", 4), 0), "f:1: not valid JSON: a NUL"},
      {"InvalidUtf8", file_of("{\"\xFF\":" + kFour + "}", 4), "f:1: not valid JSON"},
      {"LoneSurrogate", file_of("{\"\\ud800\":" + kFour + "}", 4), "f:1: not valid JSON"},
      {"DeepJson", one("{\"x\":" + deep + "}"), "f:1: nested deeper"},
      {"DuplicateTensor", file_of("{\"a\":" + kFour + ",\n\"a\":" + kFour + "}", 4),
       "f:2: duplicate key \"a\""},
      {"DuplicateField", one("{\"dtype\":\"F32\",\"dtype\":\"F32\"}"), "f:1: duplicate key"},
      {"EntryIsAList", one("[\"F32\",[1],[0,4]]"), "f: tensor \"a\": its entry is not an object"},
      {"NoDtype", one("{\"shape\":[1],\"data_offsets\":[0,4]}"), "f: tensor \"a\": has no dtype"},
      {"NoShape", one("{\"dtype\":\"F32\",\"data_offsets\":[0,4]}"),
       "f: tensor \"a\": has no shape"},
      {"NoOffsets", one("{\"dtype\":\"F32\",\"shape\":[1]}"),
       "f: tensor \"a\": has no data_offsets"},
      {"UnknownDtype", one(entry("\"F33\"", "[1]", "[0,4]")),
       "f: tensor \"a\": unknown dtype \"F33\""},
      {"DtypeInLowerCase", one(entry("\"f32\"", "[1]", "[0,4]")),
       "f: tensor \"a\": unknown dtype \"f32\""},
      {"DtypeIsANumber", one(entry("32", "[1]", "[0,4]")), "f: tensor \"a\": unknown dtype 32"},
      {"ShapeIsANumber", one(entry("\"F32\"", "1", "[0,4]")),
       "f: tensor \"a\": shape is not a list"},
      {"NegativeDim", one(entry("\"F32\"", "[-1]", "[0,4]")), "f: tensor \"a\": shape holds -1"},
      {"FractionalDim", one(entry("\"F32\"", "[1.0]", "[0,4]")),
       "f: tensor \"a\": shape holds 1.0"},
      {"DimOf2To64", one(entry("\"F32\"", "[18446744073709551616,0]", "[0,0]")),
       "f: tensor \"a\": shape holds 1.8"},
      {"DimIsText", one(entry("\"F32\"", "[\"1\"]", "[0,4]")),
       "f: tensor \"a\": shape holds \"1\""},
      {"ThreeOffsets", one(entry("\"F32\"", "[1]", "[0,4,4]")),
       "f: tensor \"a\": data_offsets is not a list of two"},
      {"NegativeOffset", one(entry("\"F32\"", "[1]", "[-4,0]")),
       "f: tensor \"a\": data_offsets holds -4"},
      {"BackwardOffsets", one(entry("\"F32\"", "[1]", "[4,0]")),
       "f: tensor \"a\": data_offsets [4, 0] run backwards"},
      {"ElementCountOverflows", one(entry("\"U8\"", "[4294967296,4294967296,1]", "[0,4]")),
       "f: tensor \"a\": the size of U8"},
      {"ByteCountOverflows", one(entry("\"F32\"", "[9223372036854775807]", "[0,4]")),
       "f: tensor \"a\": the size of F32"},
      {"OverflowHiddenByZero", one(entry("\"F32\"", "[9223372036854775808,4,0]", "[0,0]"), 0),
       "f: tensor \"a\": the size of F32"},
      {"HalfAByte", one(entry("\"F4\"", "[3]", "[0,1]"), 1),
       "f: tensor \"a\": F4 [3] does not fill whole bytes"},
      {"SizeAndShapeDisagree", one(entry("\"F32\"", "[2]", "[0,4]")),
       "f: tensor \"a\": has 4 bytes, F32 [2] takes 8"},
      {"DoesNotBeginAtZero", one(entry("\"F32\"", "[1]", "[4,8]"), 8),
       "f: tensor \"a\": begins at byte 4 of the data, after a gap from byte 0"},
      {"Gap", two(kFour, entry("\"F32\"", "[1]", "[8,12]"), 12),
       "f: tensor \"b\": begins at byte 8 of the data, after a gap from byte 4"},
      {"Overlap", two(kFour, entry("\"F32\"", "[1]", "[2,6]"), 6),
       "f: tensor \"b\": begins at byte 2 of the data, overlapping what ends at byte 4"},
      {"SameBytesTwice", two(kFour, kFour, 4), "f: tensor \"b\": begins at byte 0"},
      {"EmptyTensorInsideAnother", two(kFour, entry("\"F32\"", "[0]", "[2,2]"), 4),
       "f: tensor \"b\": begins at byte 2"},
      {"EndsBeyondTheFile", one(kFour, 3), "f: tensor \"a\": ends at byte 4 of the data, the file"},
      {"OffsetsWrap", one(entry("\"U8\"", "[18446744073709551615]", "[0,18446744073709551615]")),
       "f: tensor \"a\": ends at byte 18446744073709551615"},
      {"BytesThatBelongToNobody", one(kFour, 5), "f: its tensors take 4 bytes, 5 follow"},
      {"MetadataIsAList", file_of("{\"__metadata__\":[]}", 0), "f: __metadata__ is not an object"},
      {"MetadataValueIsANumber", file_of("{\"__metadata__\":{\"k\":1}}", 0),
       "f: __metadata__: the value of \"k\" is not text"},
  };
}

TEST(SafetensorsRefused, EveryBrokenRule) {
  for (const Rule& rule : rules()) {
    const std::string message = error_of([&] { parse(rule.file); });
    EXPECT_EQ(message.substr(0, std::strlen(rule.message)), rule.message) << rule.name;
  }
}

TEST(SafetensorsRefused, NotWhatTheFormatAllows) {
  for (const std::string& header :
       {std::string("{}"), "{\"a\":" + kFour + "}  \n\t ",
        "{\"__metadata__\":null,\"a\":" + kFour + "}",
        "{\"a\":" + kFour + ",\"b\":" + entry("\"F32\"", "[0]", "[4,4]") +
            ",\"c\":" + entry("\"F32\"", "[0,9]", "[0,0]") + "}",
        "{\"\":" + entry("\"F32\"", "[]", "[0,4]") + "}",
        "{\"a\":" + entry("\"F32\"", "[0,9223372036854775808,4]", "[0,0]") + ",\"b\":" + kFour +
            "}",
        "{\"a\":" + entry("\"F4\"", "[8]", "[0,4]") + "}"}) {
    EXPECT_EQ(error_of([&] { parse(file_of(header, header == "{}" ? 0 : 4)); }), "no error")
        << header;
  }
}

TEST(SafetensorsRefused, EveryTruncation) {
  const std::string whole =
      read_file(std::string(WEFT_TEST_DIR) + "/data/safetensors/every_dtype.safetensors");
  EXPECT_NO_THROW(parse(whole));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    EXPECT_THROW(parse(whole.substr(0, n)), InputError) << n << " bytes";
  }
  EXPECT_THROW(parse(whole + '\0'), InputError);
}

// Mutations of valid files: whatever comes, either an InputError or tensors within the file.
TEST(SafetensorsFuzz, MutationsNeverCrash) {
  const std::string seeds[] = {
      read_file(std::string(WEFT_TEST_DIR) + "/data/safetensors/every_dtype.safetensors"),
      read_file(std::string(WEFT_TEST_DIR) + "/data/safetensors/no_metadata.safetensors"),
      file_of("{\"a\":" + kFour + ",\"b\":" + entry("\"BF16\"", "[2,1]", "[4,8]") + "}", 8)};
  const std::string pieces[] = {"18446744073709551615",
                                "9223372036854775808",
                                "-1",
                                "0",
                                "4",
                                "[",
                                "]",
                                "{",
                                "}",
                                ",",
                                ":",
                                "\"",
                                "\"F64\"",
                                "1e308",
                                "\\u0000",
                                "null",
                                "[0,0]"};
  std::mt19937_64 rng(20240501);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(rng() % n); };
  int accepted = 0;
  for (int i = 0; i < fuzz_rounds(150000); ++i) {
    std::string s = seeds[1 + below(2)];
    if (i % 16 == 0) s = seeds[0];
    for (std::size_t edits = 1 + below(3); edits > 0 && !s.empty(); --edits) {
      const std::size_t at = below(s.size());
      switch (below(5)) {
        case 0:
          s[at] = static_cast<char>(static_cast<unsigned char>(s[at]) ^ (1U << below(8)));
          break;
        case 1:
          s[at] = static_cast<char>(rng());
          break;
        case 2:
          s.erase(at, 1 + below(8));
          break;
        case 3:
          s.insert(at, pieces[below(std::size(pieces))]);
          break;
        default:
          s.resize(at);
      }
    }
    if (below(2) == 0 && s.size() >= 8) {  // a length that fits lets the mutation reach the header
      const std::uint64_t length = std::min<std::uint64_t>(s.rfind('}') + 1 - 8, s.size() - 8);
      std::memcpy(s.data(), &length, 8);
    }
    try {
      const auto bytes = std::as_bytes(std::span(s));
      const SafetensorsHeader header = parse_safetensors(bytes, "f");
      ++accepted;
      for (const TensorInfo& t : header.tensors) ASSERT_LE(header.data + t.end, s.size());
    } catch (const InputError&) {
    }
  }
  EXPECT_GT(accepted, fuzz_rounds(1000));  // the mutations are not all hopeless
}

// The format allows it, since the file holds no element; no tensor of ours can have the shape.
TEST(SafetensorsRefused, AShapeWhoseSizeOverflowsIsNotRead) {
  const ScratchDir dir;
  put(dir / "f",
      file_of("{\"a\":" + entry("\"F32\"", "[4611686018427387904,2,0]", "[0,0]") + "}", 0));
  const SafetensorsFile file(dir / "f");
  EXPECT_EQ(error_of([&] { file.read(file.at("a")); }),
            (dir / "f").string() + ": tensor \"a\" has the shape [4611686018427387904, 2, 0]");
}

}  // namespace
}  // namespace weft
