// Checkpoints: saved on any layout, loaded on any other, bit for bit; which one is found.
#include "parallel/checkpoint.hpp"

#include <set>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/base/json.hpp"
#include "core/io/safetensors.hpp"
#include "parallel/checkpoint_folder.hpp"
#include "tests/parallel/toy_state.hpp"

namespace weft {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

int world_size() { return mpi_communicator()->size(); }

std::vector<int> tensor_sizes() {
  std::vector<int> sizes;
  for (int t = 1; t <= world_size(); t *= 2) sizes.push_back(t);
  return sizes;
}

std::set<std::string> names_in(const fs::path& directory) {
  std::set<std::string> names;
  for (const auto& e : fs::directory_iterator(directory)) names.insert(e.path().filename());
  return names;
}

TEST(Checkpoint, SavedOnAnyLayoutLoadsOnAnyOther) {
  for (const int saved : tensor_sizes()) {
    Mesh from(mpi_communicator(), saved);
    const SharedScratch scratch(from.world());
    const fs::path checkpoint = save_toy(scratch.path(), 500, from);
    EXPECT_EQ(checkpoint, scratch / "step-00000500");
    for (const int loaded : tensor_sizes()) {
      Mesh to(mpi_communicator(), loaded);
      EXPECT_TRUE(loads_toy(checkpoint, 500, to)) << "tensor " << saved << " -> " << loaded;
    }
    Mesh alone = Mesh::single();  // every rank for itself: gathered
    EXPECT_TRUE(loads_toy(checkpoint, 500, alone)) << "tensor " << saved << " -> one rank";
  }
}

TEST(Checkpoint, OfOneRankLoadsOnAnyLayout) {
  Mesh world(mpi_communicator(), 1);
  const SharedScratch scratch(world.world());
  if (world.world().rank() == 0) {
    Mesh alone = Mesh::single();
    save_toy(scratch.path(), 7, alone);
  }
  world.world().barrier();
  for (const int t : tensor_sizes()) {
    Mesh mesh(mpi_communicator(), t);
    EXPECT_TRUE(loads_toy(scratch / "step-00000007", 7, mesh)) << "tensor " << t;
  }
}

TEST(Checkpoint, HasTheSameWeightsFileOnEveryLayout) {
  ScratchDir own;
  Mesh alone = Mesh::single();
  const std::string expected =
      xxh3_128_hex_file(save_toy(own.path(), 3, alone) / "model.safetensors");
  for (const int t : tensor_sizes()) {
    Mesh mesh(mpi_communicator(), t);
    const SharedScratch scratch(mesh.world());
    const fs::path checkpoint = save_toy(scratch.path(), 3, mesh);
    EXPECT_EQ(xxh3_128_hex_file(checkpoint / "model.safetensors"), expected) << "tensor " << t;
  }
}

TEST(Checkpoint, StoresWholeTensorsByName) {
  Mesh mesh(mpi_communicator(), world_size());
  const SharedScratch scratch(mesh.world());
  const fs::path checkpoint = save_toy(scratch.path(), 9, mesh);
  EXPECT_EQ(names_in(checkpoint),
            (std::set<std::string>{"config.json", "manifest.json", "model.safetensors",
                                   "optimizer.safetensors", "trainer_state.json"}));
  const SafetensorsFile file(checkpoint / "model.safetensors");
  EXPECT_EQ(file.tensors().size(), 10U);
  EXPECT_EQ(file.at("words.weight").shape_str(), "[11, 6]");  // without the padding
  EXPECT_EQ(file.at("2.qkv.weight").shape_str(), "[8, 8]");
  std::vector<float> row(8);
  file.read_f32(file.at("2.qkv.weight"), 3 * 8, row);
  for (std::int64_t i = 0; i < 8; ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(row[static_cast<std::size_t>(i)]),
              std::bit_cast<std::uint32_t>(toy_value(9, 1, (16 + 3) * 8 + i)));
  }
  EXPECT_EQ(read_json(checkpoint / "trainer_state.json").at("step").get<int>(), 9);
}

TEST(Checkpoint, SpreadsLargeStateOverShardsAndRanks) {
  for (const int t : tensor_sizes()) {
    Mesh mesh(mpi_communicator(), t);
    const SharedScratch scratch(mesh.world());
    const SaveOptions small{.keep = 0, .max_shard_bytes = 600, .min_shard_bytes = 100};
    const fs::path checkpoint = save_toy(scratch.path(), 4, mesh, small);
    const auto names = names_in(checkpoint);
    EXPECT_TRUE(names.contains("model.safetensors.index.json"));
    EXPECT_FALSE(names.contains("model.safetensors"));
    EXPECT_TRUE(names.contains("optimizer.safetensors.index.json"));
    for (const std::string& name : names) {
      if (name.ends_with(".safetensors")) {
        const SafetensorsFile f(checkpoint / name);
        EXPECT_LE(f.tensors().back().end, 600U) << name;
      }
    }
    const Json index = read_json(checkpoint / "model.safetensors.index.json");
    EXPECT_EQ(index.at("metadata").at("total_size").get<int>(),
              4 * (11 * 6 + 24 * 8 + 24 + 8 * 16 + 8 + 11));
    EXPECT_EQ(index.at("weight_map").size(), 10U);
    EXPECT_TRUE(loads_toy(checkpoint, 4, mesh));
    Mesh alone = Mesh::single();
    EXPECT_TRUE(loads_toy(checkpoint, 4, alone));
  }
}

TEST(Checkpoint, RoundsToTheDtypeItIsLoadedInto) {
  Mesh mesh(mpi_communicator(), world_size());
  const SharedScratch scratch(mesh.world());
  const fs::path checkpoint = save_toy(scratch.path(), 5, mesh);
  const TensorRank at = tensor_rank(mesh);
  const std::vector<Tensor> exact = toy_locals(5, at);
  std::vector<Tensor> rounded;
  for (const Tensor& x : exact) rounded.emplace_back(x.shape(), DType::bf16);
  const std::uint64_t version = rounded[0].storage().version();
  load_checkpoint(checkpoint, toy_state(rounded), {}, mesh);
  EXPECT_GT(rounded[0].storage().version(), version);
  for (std::size_t p = 0; p < exact.size(); ++p) {
    for (std::int64_t i = 0; i < exact[p].numel(); ++i) {
      ASSERT_EQ(rounded[p].data<bfloat16>()[i].bits, bfloat16(exact[p].data<float>()[i]).bits);
    }
  }
}

TEST(Checkpoint, FindsTheNewestThatIsWhole) {
  Mesh mesh(mpi_communicator(), 1);
  Communicator& world = mesh.world();
  const SharedScratch scratch(world);
  EXPECT_FALSE(find_checkpoint(scratch / "none"));
  for (const std::uint32_t step : {1U, 2U, 3U}) save_toy(scratch.path(), step, mesh);
  auto found = find_checkpoint(scratch.path());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->step, 3);
  EXPECT_EQ(found->path, scratch / "step-00000003");
  EXPECT_TRUE(found->warnings.empty());

  const auto damage = [&](const char* step, const char* file) {
    world.barrier();
    if (world.rank() == 0) {
      std::string bytes = read_file(scratch / step / file);
      bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
      put(scratch / step / file, bytes);
    }
    world.barrier();
  };
  damage("step-00000003", "optimizer.safetensors");
  found = find_checkpoint(scratch.path());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->step, 2);
  ASSERT_EQ(found->warnings.size(), 1U);
  EXPECT_EQ(found->warnings[0],
            "passed over step-00000003: " + (scratch / "step-00000003").string() +
                "/optimizer.safetensors: damaged: its checksum is not the manifest's");
  damage("step-00000002", "manifest.json");
  damage("step-00000001", "config.json");
  const std::string message = error_of([&] { find_checkpoint(scratch.path()); });
  EXPECT_TRUE(message.starts_with(scratch.path().string() +
                                  ": none of its 3 checkpoints is whole; of the newest: "))
      << message;
}

TEST(Checkpoint, KeepsTheNewestAndCleansLeftovers) {
  Mesh mesh(mpi_communicator(), 1);
  const SharedScratch scratch(mesh.world());
  for (const std::uint32_t step : {10U, 20U, 30U, 40U}) {
    save_toy(scratch.path(), step, mesh, {.keep = 2});
  }
  mesh.world().barrier();
  EXPECT_EQ(checkpoint_steps(scratch.path()), (std::vector<std::int64_t>{40, 30}));
  mesh.world().barrier();
  if (mesh.world().rank() == 0) {
    fs::create_directory(scratch / "step-00000050.tmp");
    put(scratch / "step-00000050.tmp" / "model.safetensors", "half");
    fs::create_directory(scratch / "step-00000020.deleting");
    fs::create_directory(scratch / "notes.tmp");
  }
  clean_checkpoints(scratch.path(), mesh.world());
  EXPECT_EQ(names_in(scratch.path()),
            (std::set<std::string>{"notes.tmp", "step-00000030", "step-00000040"}));
}

TEST(Checkpoint, OneThatADeadSaveWasReplacingComesBack) {
  Mesh mesh = Mesh::single();
  const ScratchDir dir;
  save_toy(dir.path(), 10, mesh);
  save_toy(dir.path(), 20, mesh);
  fs::rename(dir / "step-00000010", dir / "step-00000010.replaced");
  fs::create_directory(dir / "step-00000010.tmp");
  fs::create_directory(dir / "step-00000020.replaced");  // its successor is there
  restore_replaced(dir.path());
  clean_checkpoints(dir.path(), mesh.world());
  EXPECT_EQ(names_in(dir.path()), (std::set<std::string>{"step-00000010", "step-00000020"}));
  EXPECT_TRUE(loads_toy(dir / "step-00000010", 10, mesh));
}

TEST(Checkpoint, PruningNeverCountsNewerOnes) {
  Mesh mesh = Mesh::single();
  ScratchDir dir;
  for (const std::uint32_t step : {10U, 90U, 20U}) save_toy(dir.path(), step, mesh, {.keep = 1});
  // 90 belongs to another course of the run and may be damaged; 20 is what was just written.
  EXPECT_EQ(checkpoint_steps(dir.path()), (std::vector<std::int64_t>{90, 20}));
}

TEST(Checkpoint, AStepSavedAgainReplacesTheOldOne) {
  Mesh mesh(mpi_communicator(), 1);
  const SharedScratch scratch(mesh.world());
  save_toy(scratch.path(), 6, mesh);
  save_toy(scratch.path(), 6, mesh, {.max_shard_bytes = 600});
  mesh.world().barrier();
  EXPECT_EQ(names_in(scratch.path()), std::set<std::string>{"step-00000006"});
  EXPECT_TRUE(loads_toy(scratch / "step-00000006", 6, mesh));
  EXPECT_FALSE(fs::exists(scratch / "step-00000006" / "model.safetensors"));
}

TEST(Checkpoint, StepNamesAreExact) {
  EXPECT_EQ(checkpoint_name(500), "step-00000500");
  EXPECT_EQ(checkpoint_name(1234567890), "step-1234567890");
  EXPECT_EQ(checkpoint_step("step-00000500"), 500);
  EXPECT_EQ(checkpoint_step("step-1234567890"), 1234567890);
  for (const char* name : {"step-500", "step-00000500.tmp", "step-0000050x", "step--0000001",
                           "best", "step-000000500", "step-99999999999999999999"}) {
    EXPECT_FALSE(checkpoint_step(name)) << name;
  }
}

TEST(Checkpoint, LoadNamesTheTensorThatDoesNotFit) {
  Mesh mesh(mpi_communicator(), 1);
  const SharedScratch scratch(mesh.world());
  const fs::path checkpoint = save_toy(scratch.path(), 8, mesh);
  const std::string file = checkpoint.string() + "/model.safetensors";
  const auto refusal = [&](const std::vector<StateTensor>& model) {
    return error_of([&] { load_checkpoint(checkpoint, model, {}, mesh); });
  };
  auto model = toy_state(toy_locals(8, {}));
  model[0].shape = {12, 6};
  EXPECT_EQ(refusal(model), file + ": words.weight is [11, 6], the configuration wants [12, 6]");
  model = toy_state(toy_locals(8, {}));
  model[0].name = "word.weight";
  EXPECT_EQ(refusal(model), checkpoint.string() + ": no tensor word.weight");
  model = toy_state(toy_locals(8, {}));
  model.pop_back();
  EXPECT_EQ(refusal(model), file + ": vocab.bias is no tensor of this model");
}

}  // namespace
}  // namespace weft
