// The manifest: no damage passes.
#include "core/io/manifest.hpp"

#include <random>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "tests/fuzz_rounds.hpp"
#include "tests/scratch_dir.hpp"

namespace weft {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

WrittenFile record(const fs::path& path) {
  return {path.filename().string(), fs::file_size(path), xxh3_128_hex_file(path)};
}

class ManifestTest : public testing::Test {
 protected:
  ManifestTest() {
    put(dir_ / "config.json", "{}\n");
    put(dir_ / "model.safetensors", std::string(300, 'x'));
    manifest_ = {.step = 500,
                 .files = {record(dir_ / "config.json"), record(dir_ / "model.safetensors")}};
    put(dir_ / "manifest.json", manifest_text(manifest_));
  }
  std::string refusal() {
    const std::string message = error_of([&] { verify_directory(dir_.path()); });
    const std::string prefix = dir_.path().string() + "/";
    return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
  }
  ScratchDir dir_;
  Manifest manifest_;
};

TEST_F(ManifestTest, AcceptsWhatWasWritten) {
  const Manifest m = verify_directory(dir_.path());
  EXPECT_EQ(m.step, 500);
  ASSERT_EQ(m.files.size(), 2U);
  EXPECT_EQ(m.files[1].name, "model.safetensors");
  EXPECT_EQ(m.files[1].size, 300U);
  EXPECT_EQ(manifest_text(m), manifest_text(manifest_));
}

TEST_F(ManifestTest, RefusesEveryFlippedBitAndEveryTruncation) {
  const std::string whole = manifest_text(manifest_);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string s = whole;
      s[i] = static_cast<char>(static_cast<unsigned char>(s[i]) ^ (1U << bit));
      EXPECT_THROW(parse_manifest(s, "m"), Error) << "byte " << i << " bit " << bit;
    }
    EXPECT_THROW(parse_manifest(whole.substr(0, i), "m"), Error) << i << " bytes";
  }
  EXPECT_THROW(parse_manifest(whole + "\n", "m"), Error);
}

TEST_F(ManifestTest, RefusesDamagedFiles) {
  put(dir_ / "model.safetensors", std::string(299, 'x'));
  EXPECT_EQ(refusal(), "model.safetensors: damaged: 299 bytes, the manifest says 300");
  put(dir_ / "model.safetensors", std::string(299, 'x') + "y");
  EXPECT_EQ(refusal(), "model.safetensors: damaged: its checksum is not the manifest's");
  fs::remove(dir_ / "model.safetensors");
  EXPECT_EQ(refusal(), "model.safetensors: missing");
  fs::create_directory(dir_ / "model.safetensors");
  EXPECT_EQ(refusal(), "model.safetensors: not a regular file");
}

TEST_F(ManifestTest, RefusesLinks) {
  fs::rename(dir_ / "config.json", dir_ / "elsewhere.json");
  fs::create_symlink("elsewhere.json", dir_ / "config.json");
  EXPECT_EQ(refusal(), "config.json: not a regular file");
}

TEST_F(ManifestTest, AddedNotesAreFineAddedTensorsAreNot) {
  put(dir_ / "README.md", "notes");
  EXPECT_EQ(refusal(), "no error");
  put(dir_ / "model.safetensors.index.json", "{}");
  EXPECT_EQ(refusal(), "model.safetensors.index.json: not in the manifest");
}

TEST_F(ManifestTest, NamesMustBePlain) {
  for (const char* name : {"../config.json", "/etc/passwd", "a/b", ""}) {
    const Manifest m{.step = 1, .files = {{name, 0, "00"}}};
    EXPECT_THROW(parse_manifest(manifest_text(m), "m"), Error) << name;
  }
}

TEST_F(ManifestTest, OtherFormatsAndVersionsSaySo) {
  std::string text = manifest_text(manifest_);
  text.replace(text.find("\"version\": 1"), 12, "\"version\": 2");
  EXPECT_EQ(error_of([&] { parse_manifest(text, "m"); }), "m: format version 2; this Weft reads 1");
  EXPECT_EQ(error_of([&] { parse_manifest("{\"format\": \"x\"}", "m"); }),
            "m: not the manifest of a Weft checkpoint");
  fs::remove(dir_ / "manifest.json");
  EXPECT_EQ(refusal(), "manifest.json: No such file or directory");
}

TEST_F(ManifestTest, MutationsNeverCrashAndNeverPass) {
  const std::string whole = manifest_text(manifest_);
  const std::string pieces[] = {"{", "}",    "\"", "9223372036854775808", "-1", "\"size\"", ":",
                                ",", "null", "[]"};
  std::mt19937_64 rng(7);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(rng() % n); };
  for (int i = 0; i < fuzz_rounds(50000); ++i) {
    std::string s = whole;
    for (std::size_t edits = 1 + below(3); edits > 0; --edits) {
      const std::size_t at = below(s.size());
      if (below(2) == 0) {
        s[at] = static_cast<char>(rng());
      } else {
        s.replace(at, below(4), pieces[below(std::size(pieces))]);
      }
    }
    if (s == whole) continue;
    EXPECT_THROW(parse_manifest(s, "m"), Error) << s;
  }
}

}  // namespace
}  // namespace weft
