// A checkpoint damaged in any way is refused, and says which file.
#include <random>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/io/manifest.hpp"
#include "parallel/checkpoint_folder.hpp"
#include "tests/parallel/toy_state.hpp"

namespace weft {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

class CheckpointDamage : public testing::Test {
 protected:
  void SetUp() override {
    if (mpi_communicator()->size() > 1) GTEST_SKIP() << "one process is enough";
    const SaveOptions small{.keep = 0, .max_shard_bytes = 900, .min_shard_bytes = 100};
    checkpoint_ = save_toy(dir_.path(), 5, mesh_, small);
    for (const auto& e : fs::directory_iterator(checkpoint_)) {
      files_.emplace_back(e.path().filename().string(), read_file(e.path()));
    }
    EXPECT_EQ(refusal(), "no error");
  }
  std::string refusal() {
    const std::string message = error_of([&] { verify_checkpoint(checkpoint_); });
    const std::string prefix = checkpoint_.string() + "/";
    return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
  }

  Mesh mesh_ = Mesh::single();
  ScratchDir dir_{memory_folder()};
  fs::path checkpoint_;
  std::vector<std::pair<std::string, std::string>> files_;
};

TEST_F(CheckpointDamage, EveryTruncationOfEveryFile) {
  for (const auto& [name, whole] : files_) {
    for (std::size_t n = 0; n < whole.size(); ++n) {
      put(checkpoint_ / name, whole.substr(0, n));
      ASSERT_TRUE(refusal().starts_with(name)) << n << " bytes of " << name << ": " << refusal();
    }
    put(checkpoint_ / name, whole + " ");
    EXPECT_TRUE(refusal().starts_with(name)) << refusal();
    put(checkpoint_ / name, whole);
  }
  EXPECT_EQ(refusal(), "no error");
}

TEST_F(CheckpointDamage, OneBitOfEveryByte) {
  std::mt19937 rng(3);
  for (const auto& [name, whole] : files_) {
    for (std::size_t i = 0; i < whole.size(); ++i) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(static_cast<unsigned char>(bytes[i]) ^ (1U << rng() % 8));
      put(checkpoint_ / name, bytes);
      // A flipped letter of a name in the manifest shows as another file that is missing.
      const std::string message = refusal();
      ASSERT_TRUE(message.starts_with(name) || (name == kManifestName && message != "no error"))
          << "byte " << i << " of " << name << ": " << message;
    }
    put(checkpoint_ / name, whole);
  }
}

TEST_F(CheckpointDamage, SwappedShards) {
  fs::rename(checkpoint_ / "model-00001-of-00003.safetensors", checkpoint_ / "x");
  fs::rename(checkpoint_ / "model-00002-of-00003.safetensors",
             checkpoint_ / "model-00001-of-00003.safetensors");
  fs::rename(checkpoint_ / "x", checkpoint_ / "model-00002-of-00003.safetensors");
  EXPECT_TRUE(refusal().starts_with("model-0000")) << refusal();
}

TEST_F(CheckpointDamage, AFileOfAnotherStep) {
  const SaveOptions small{.keep = 0, .max_shard_bytes = 900, .min_shard_bytes = 100};
  const fs::path other = save_toy(dir_.path(), 6, mesh_, small);
  const auto copy = [&](const char* name) {
    fs::copy_file(other / name, checkpoint_ / name, fs::copy_options::overwrite_existing);
  };
  copy("model-00002-of-00003.safetensors");  // as long as its own
  EXPECT_EQ(refusal(),
            "model-00002-of-00003.safetensors: damaged: its checksum is not the manifest's");
  for (const auto& [name, whole] : files_) copy(name.c_str());
  EXPECT_EQ(refusal(), checkpoint_.string() + ": damaged: its manifest is that of step 6");
}

TEST_F(CheckpointDamage, MissingAndAddedFiles) {
  for (const auto& [name, whole] : files_) {
    fs::remove(checkpoint_ / name);
    EXPECT_TRUE(refusal().starts_with(name)) << refusal();
    put(checkpoint_ / name, whole);
  }
  put(checkpoint_ / "model.safetensors", files_[0].second);
  EXPECT_EQ(refusal(), "model.safetensors: not in the manifest");
  fs::remove(checkpoint_ / "model.safetensors");
  put(checkpoint_ / "notes.txt", "fine");
  EXPECT_EQ(refusal(), "no error");
}

}  // namespace
}  // namespace weft
