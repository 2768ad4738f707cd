// Models in shards: what an index may name and what it may not.
#include "core/io/sharded.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/io/safetensors_writer.hpp"
#include "tests/scratch_dir.hpp"

namespace weft {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

void write_one(const fs::path& path, const std::string& name, float value) {
  Tensor t({1}, DType::f32);
  t.data<float>()[0] = value;
  write_safetensors(path, {{name, t}});
}

constexpr const char* kFirst = "model-00001-of-00002.safetensors";
constexpr const char* kSecond = "model-00002-of-00002.safetensors";

class Sharded : public testing::Test {
 protected:
  Sharded() {
    write_one(dir_ / kFirst, "a", 1);
    write_one(dir_ / kSecond, "b", 2);
    index(kFirst, kSecond);
  }
  void index(const std::string& a, const std::string& b) {
    put(dir_ / "model.safetensors.index.json",
        fmt::format(
            R"({{"metadata": {{"total_size": 8}}, "weight_map": {{"a": "{}", "b": "{}"}}}})", a,
            b));
  }
  std::string refusal() {
    const std::string message = error_of([&] { ShardedFiles(dir_.path(), "model"); });
    const std::string prefix = (dir_ / "model.safetensors.index.json").string() + ": ";
    return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
  }
  ScratchDir dir_;
};

TEST_F(Sharded, ReadsShards) {
  const ShardedFiles files(dir_.path(), "model");
  EXPECT_EQ(files.entries().size(), 2U);
  const auto b = files.find("b");
  ASSERT_TRUE(b);
  EXPECT_EQ(b->file->read(*b->tensor).data<float>()[0], 2);
  EXPECT_FALSE(files.find("c"));
}

TEST_F(Sharded, PrefersTheSingleFile) {
  write_one(dir_ / "model.safetensors", "only", 3);
  const ShardedFiles files(dir_.path(), "model");
  EXPECT_EQ(files.entries().size(), 1U);
  EXPECT_TRUE(files.find("only"));
}

TEST_F(Sharded, RefusesNamesThatAreNotPlain) {
  for (const char* name : {"../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", ".", "",
                           "a\\\\b.safetensors", "x\\u0000.safetensors", "x\\n", "..\\\\x"}) {
    index(kFirst, name);
    const std::string message = refusal();
    EXPECT_TRUE(message.ends_with("is not a plain file name")) << name << " -> " << message;
  }
}

TEST_F(Sharded, RefusesALinkThatLeavesTheDirectory) {
  ScratchDir other;
  write_one(other / "b.safetensors", "b", 2);
  fs::remove(dir_ / kSecond);
  fs::create_symlink(other / "b.safetensors", dir_ / kSecond);
  EXPECT_EQ(refusal(), std::string(kSecond) + " is a link that leaves the directory");
  fs::remove(dir_ / kSecond);
  write_one(dir_ / "real.safetensors", "b", 2);
  fs::create_symlink("real.safetensors", dir_ / kSecond);
  EXPECT_EQ(refusal(), "no error");
}

TEST_F(Sharded, RefusesWhatDisagreesWithTheIndex) {
  index(kSecond, kFirst);  // swapped
  EXPECT_EQ(refusal(), fmt::format("{} holds a, which the index places in {}", kFirst, kSecond));
  index(kFirst, kFirst);
  EXPECT_EQ(refusal(), fmt::format("b is not in {}, where the index places it", kFirst));
  index(kFirst, kSecond);
  write_one(dir_ / kSecond, "c", 2);
  EXPECT_EQ(refusal(), fmt::format("{} holds c, which the index does not name", kSecond));
  write_one(dir_ / kSecond, "a", 2);
  EXPECT_NE(refusal().find("tensor \"a\" is in " + std::string(kFirst) + " as well"),
            std::string::npos);
  fs::remove(dir_ / kSecond);
  EXPECT_NE(refusal().find("No such file"), std::string::npos);
}

TEST_F(Sharded, RefusesAnIndexThatIsNone) {
  const fs::path index = dir_ / "model.safetensors.index.json";
  put(index, "[]");
  EXPECT_EQ(refusal(), "no object \"weight_map\"");
  put(index, R"({"weight_map": {"a": 1}})");
  EXPECT_EQ(refusal(), "weight_map: the file of a is not text");
  put(index, R"({"weight_map": {"a": "x", "a": "y"}})");
  EXPECT_NE(refusal().find("duplicate key"), std::string::npos);
  fs::remove(index);
  EXPECT_EQ(refusal(),
            dir_.path().string() + ": neither model.safetensors nor model.safetensors.index.json");
  put(dir_ / "pytorch_model.bin", "x");
  EXPECT_EQ(refusal(),
            dir_.path().string() + ": has pytorch_model.bin only, which Weft does not read");
}

TEST_F(Sharded, RefusesADirectoryThatCannotBeLookedInto) {
  fs::create_symlink("model.safetensors", dir_ / "model.safetensors");
  EXPECT_NE(refusal().find("Too many levels of symbolic links"), std::string::npos);
}

TEST(ShardNames, AreThoseOfHuggingFace) {
  EXPECT_EQ(shard_name("model", 0, 1), "model.safetensors");
  EXPECT_EQ(shard_name("model", 1, 12), "model-00002-of-00012.safetensors");
}

TEST(SplitIntoShards, FillsOneAfterTheOther) {
  using Shards = std::vector<std::vector<std::size_t>>;
  EXPECT_EQ(split_into_shards({4, 4, 3, 9, 1}, 8), (Shards{{0, 1}, {2}, {3}, {4}}));
  EXPECT_EQ(split_into_shards({4, 4}, 100), (Shards{{0, 1}}));
  EXPECT_EQ(split_into_shards({}, 8), (Shards{{}}));
}

}  // namespace
}  // namespace weft
