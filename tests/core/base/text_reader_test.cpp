// Lines of plain and compressed files, their places, and damaged input.
#include "core/base/text_reader.hpp"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <lzma.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "core/base/error.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

class TextReaderTest : public testing::Test {
 protected:
  TextReaderTest() {
    std::string name = (fs::temp_directory_path() / "weft-text-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~TextReaderTest() override { fs::remove_all(folder_); }

  fs::path file(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return folder_ / name;
  }

  fs::path folder_;
};

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string xz(const std::string& text) {
  std::string out(lzma_stream_buffer_bound(text.size()), '\0');
  std::size_t size = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, nullptr,
                                    reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                                    reinterpret_cast<std::uint8_t*>(out.data()), &size, out.size()),
            LZMA_OK);
  out.resize(size);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::vector<std::string> lines(TextReader& reader) {
  std::vector<std::string> all;
  std::string_view line;
  while (reader.next(line)) all.emplace_back(line);
  return all;
}

std::vector<std::string> lines(const fs::path& path) {
  TextReader reader(path);
  return lines(reader);
}

std::string error_of(const fs::path& path, std::size_t max_line = TextReader::kMaxLine) {
  try {
    TextReader reader(path, max_line);
    lines(reader);
  } catch (const InputError& e) {
    return e.what();
  }
  return "no error";
}

using Lines = std::vector<std::string>;

TEST_F(TextReaderTest, CutsLinesAtBothLineEnds) {
  EXPECT_EQ(lines(file("a", "one\ntwo\r\n\n  three \rx\n")),
            (Lines{"one", "two", "", "  three \rx"}));
  EXPECT_EQ(lines(file("b", "no end")), Lines{"no end"});
  EXPECT_EQ(lines(file("c", "")), Lines{});
  EXPECT_EQ(lines(file("d", "\n")), Lines{""});
  EXPECT_EQ(lines(file("e", "x\r")), Lines{"x\r"});
  EXPECT_EQ(lines(file("f", std::string("a\0b\n", 4))), Lines{std::string("a\0b", 3)});
}

TEST_F(TextReaderTest, DropsAByteOrderMarkOnceAndRefusesUtf16) {
  EXPECT_EQ(lines(file("bom",
                       "\xef\xbb\xbf"
                       "a\n\xef\xbb\xbf"
                       "b")),
            (Lines{"a",
                   "\xef\xbb\xbf"
                   "b"}));
  EXPECT_EQ(error_of(file("utf16", std::string("\xff\xfe"
                                               "a\0",
                                               4))),
            (folder_ / "utf16").string() + ":1: the text is UTF-16");
}

TEST_F(TextReaderTest, KnowsPlaceAndProgress) {
  const fs::path path = file("p.txt", "a\nbc\n");
  TextReader reader(path);
  EXPECT_EQ(reader.line_number(), 0);
  EXPECT_EQ(reader.bytes_total(), 5U);
  std::string_view line;
  ASSERT_TRUE(reader.next(line));
  ASSERT_TRUE(reader.next(line));
  EXPECT_EQ(reader.where(), path.string() + ":2");
  EXPECT_FALSE(reader.next(line));
  EXPECT_FALSE(reader.next(line));
  EXPECT_EQ(reader.bytes_read(), 5U);
}

TEST_F(TextReaderTest, ReadsEveryCompressionWhateverTheName) {
  Lines expected;
  std::string text;
  for (int i = 0; i < 60000; ++i) {
    expected.push_back(std::string(i % 37, 'x') + std::to_string(i * 7919));
    text += expected.back() + "\n";
  }
  expected.push_back(std::string(1'000'000, 'y'));  // longer than any block
  text += expected.back();
  EXPECT_EQ(lines(file("t.txt", text)), expected);
  EXPECT_EQ(lines(file("t.gz", gzip(text))), expected);
  EXPECT_EQ(lines(file("t.xz", xz(text))), expected);
  EXPECT_EQ(lines(file("t.zst", zstd(text))), expected);
  EXPECT_EQ(lines(file("misnamed.txt", zstd(text))), expected);
}

TEST_F(TextReaderTest, ReadsConcatenatedAndEmptyStreams) {
  EXPECT_EQ(lines(file("two.gz", gzip("a\nb") + gzip("c\n"))), (Lines{"a", "bc"}));
  EXPECT_EQ(lines(file("two.xz", xz("a\nb") + xz("c\n"))), (Lines{"a", "bc"}));
  EXPECT_EQ(lines(file("two.zst", zstd("a\nb") + zstd("c\n"))), (Lines{"a", "bc"}));
  const std::string zeros(100000, '\0');
  EXPECT_EQ(lines(file("padded.gz", gzip("a\n") + zeros)), Lines{"a"});
  EXPECT_EQ(lines(file("padded.xz", xz("a\n") + zeros + xz("b\n") + std::string(4, '\0'))),
            (Lines{"a", "b"}));
  EXPECT_EQ(lines(file("none.gz", gzip(""))), Lines{});
  EXPECT_EQ(lines(file("none.xz", xz(""))), Lines{});
  EXPECT_EQ(lines(file("none.zst", zstd(""))), Lines{});
}

TEST_F(TextReaderTest, NamesDamagedAndTruncatedFiles) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += std::to_string(i * 7919) + "\n";
  int number = 0;
  for (const auto& [kind, packed] : {std::pair<std::string, std::string>{"gzip", gzip(text)},
                                     {"xz", xz(text)},
                                     {"zstd", zstd(text)}}) {
    const std::string short_error =
        error_of(file("short" + std::to_string(number), packed.substr(0, packed.size() - 5)));
    EXPECT_NE(short_error.find(": the " + kind + " file ends too early"), std::string::npos)
        << short_error;
    std::string damaged = packed;
    for (std::size_t i = packed.size() / 2; i < packed.size() / 2 + 50; ++i) damaged[i] ^= 0x55;
    const std::string damage_error = error_of(file("bad" + std::to_string(number++), damaged));
    EXPECT_NE(damage_error.find(": damaged " + kind + " file"), std::string::npos) << damage_error;
  }
  EXPECT_NE(error_of(file("tail.gz", gzip("a\n") + "tail")).find("damaged gzip file"),
            std::string::npos);
  EXPECT_NE(error_of(file("tail.xz", xz("a\n") + "tail, and more")).find("not xz"),
            std::string::npos);
}

TEST_F(TextReaderTest, RefusesOverlongLinesFoldersAndMissingFiles) {
  const fs::path path = file("long", "ab\nabcde\nabcdef\n");
  EXPECT_EQ(error_of(path, 5), path.string() + ":3: the line is longer than 5 bytes");
  const fs::path open_end = file("open", std::string(3'000'000, 'a'));
  EXPECT_EQ(error_of(open_end, 1'000'000),
            open_end.string() + ":1: the line is longer than 1000000 bytes");
  EXPECT_EQ(error_of(folder_), folder_.string() + ": is a folder, not a file");
  EXPECT_EQ(error_of(folder_ / "none"),
            (folder_ / "none").string() + ": cannot be opened: No such file or directory");
}

TEST_F(TextReaderTest, ReadsAPipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "a\nb", 3), 3);
  close(ends[1]);
  {
    TextReader reader(ends[0], "stdin");
    EXPECT_EQ(reader.bytes_total(), 0U);
    EXPECT_EQ(lines(reader), (Lines{"a", "b"}));
    EXPECT_EQ(reader.where(), "stdin:2");
  }
  close(ends[0]);
}

TEST(IsJsonl, LooksBehindTheCompression) {
  EXPECT_TRUE(is_jsonl("a/b.jsonl"));
  EXPECT_TRUE(is_jsonl("b.jsonl.xz"));
  EXPECT_FALSE(is_jsonl("b.txt"));
  EXPECT_FALSE(is_jsonl("jsonl.gz"));
}

}  // namespace
}  // namespace weft
