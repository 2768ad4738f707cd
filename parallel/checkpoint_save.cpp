// Saving a checkpoint: all ranks write, none of it counts before the last rename.
#include <algorithm>
#include <exception>
#include <functional>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/io/manifest.hpp"
#include "core/io/safetensors_writer.hpp"
#include "parallel/agree.hpp"
#include "parallel/checkpoint.hpp"
#include "parallel/checkpoint_folder.hpp"
#include "parallel/checkpoint_plan.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

// The files one rank writes, tensor by tensor. After a failure the remaining tensors are taken and
// dropped, because the others are sending them; the failure is thrown by records().
class FileSequence {
 public:
  FileSequence(fs::path directory, std::vector<const PlannedFile*> files)
      : directory_(std::move(directory)), files_(std::move(files)) {}

  void write(const Tensor& whole) {
    if (failure_) return;
    attempt([&] {
      if (!writer_) open_next();
      writer_->write({static_cast<const std::byte*>(whole.raw()), whole.bytes()});
      if (++written_ == files_[next_ - 1]->tensors.size()) finish();
    });
  }

  std::vector<WrittenFile> records() {
    if (failure_) std::rethrow_exception(failure_);
    return records_;
  }

 private:
  void attempt(const std::function<void()>& work) {
    try {
      work();
    } catch (...) {
      failure_ = std::current_exception();
      writer_.reset();
    }
  }

  void open_next() {
    const PlannedFile& f = *files_[next_++];
    std::vector<TensorSpec> specs;
    for (const StateTensor* t : f.tensors) specs.push_back({t->name, "F32", t->shape});
    writer_.emplace(directory_ / f.name, std::move(specs));
    written_ = 0;
  }

  void finish() {
    records_.push_back(writer_->finish());
    writer_.reset();
  }

  fs::path directory_;
  std::vector<const PlannedFile*> files_;
  std::size_t next_ = 0, written_ = 0;
  std::optional<SafetensorsWriter> writer_;
  std::vector<WrittenFile> records_;
  std::exception_ptr failure_;
};

// The tensors of this tensor group's writers, taken in turn: in each round every writer gathers one
// tensor, then all write at the same time.
void write_tensors(const CheckpointPlan& plan, Mesh& mesh, FileSequence& mine) {
  Communicator& group = mesh.tensor();
  const int first = mesh.data().rank() * group.size();  // world rank of the group's rank 0
  std::vector<std::vector<const StateTensor*>> queues(static_cast<std::size_t>(group.size()));
  std::size_t rounds = 0;
  for (const PlannedFile& f : plan.files) {
    const int r = f.writer - first;
    if (r < 0 || r >= group.size()) continue;
    auto& queue = queues[static_cast<std::size_t>(r)];
    queue.insert(queue.end(), f.tensors.begin(), f.tensors.end());
    rounds = std::max(rounds, queue.size());
  }
  for (std::size_t round = 0; round < rounds; ++round) {
    Tensor whole;
    bool have = false;
    for (int r = 0; r < group.size(); ++r) {
      const auto& queue = queues[static_cast<std::size_t>(r)];
      if (round >= queue.size()) continue;
      Tensor gathered = gather_state(*queue[round], r, group);
      if (r != group.rank()) continue;
      whole = std::move(gathered);
      have = true;
    }
    if (have) mine.write(whole);
  }
}

WrittenFile write_small(const fs::path& directory, const SmallFile& f) {
  const auto bytes = std::as_bytes(std::span(f.content));
  OutputFile file(directory / f.name);
  file.write(bytes);
  file.finish();
  return {.name = f.name, .size = bytes.size(), .xxh3_128 = xxh3_128_hex(bytes)};
}

// What every rank wrote, on every rank.
std::vector<WrittenFile> collect(const std::vector<WrittenFile>& own, Communicator& world) {
  std::vector<WrittenFile> all;
  for (int r = 0; r < world.size(); ++r) {
    Json told = Json::array();
    if (r == world.rank()) {
      for (const WrittenFile& f : own) told.push_back({f.name, f.size, f.xxh3_128});
    }
    for (const Json& f : parse_json(world.broadcast(told.dump(), r), "written files")) {
      all.push_back(
          {f.at(0).get<std::string>(), f.at(1).get<std::uint64_t>(), f.at(2).get<std::string>()});
    }
  }
  std::sort(all.begin(), all.end(),
            [](const WrittenFile& a, const WrittenFile& b) { return a.name < b.name; });
  return all;
}

void prepare(const fs::path& folder, const fs::path& staging) {
  std::error_code error;
  fs::remove_all(staging, error);
  if (!error) fs::create_directories(folder, error);
  if (!error) fs::create_directory(staging, error);
  if (error) throw Error(staging.string() + ": cannot create: " + error.message());
  fsync_path(fs::absolute(folder).parent_path());  // the folder may be new
}

// Writes all files of this rank and returns what the manifest says of those of all ranks.
std::vector<WrittenFile> write_files(const fs::path& staging, const CheckpointContent& content,
                                     const SaveOptions& options, Mesh& mesh) {
  Communicator& world = mesh.world();
  const CheckpointPlan plan = plan_checkpoint(content, options, world.size());
  std::vector<const PlannedFile*> mine;
  for (const PlannedFile& f : plan.files) {
    if (f.writer == world.rank()) mine.push_back(&f);
  }
  FileSequence sequence(staging, std::move(mine));
  write_tensors(plan, mesh, sequence);
  std::vector<WrittenFile> records;
  agree(world, [&] {
    records = sequence.records();
    if (world.rank() != 0) return;
    for (const SmallFile& f : plan.indices) records.push_back(write_small(staging, f));
    for (const SmallFile& f : content.files) {
      require_plain_name(f.name, "checkpoint");
      records.push_back(write_small(staging, f));
    }
  });
  return collect(records, world);
}

}  // namespace

SavedCheckpoint save_checkpoint(const fs::path& folder, const CheckpointContent& content,
                                Mesh& mesh, const SaveOptions& options) {
  Communicator& world = mesh.world();
  const bool leads = world.rank() == 0;
  SavedCheckpoint saved{.path = folder / checkpoint_name(content.step), .warnings = {}};
  const fs::path staging = saved.path.string() + ".tmp";
  try {
    agree(world, [&] {
      if (leads) prepare(folder, staging);
    });
    const std::vector<WrittenFile> files = write_files(staging, content, options, mesh);
    agree(world, [&] {
      if (!leads) return;
      write_small(staging, {std::string(kManifestName),
                            manifest_text({.step = content.step, .files = files})});
      fsync_path(staging);
      publish_checkpoint(staging, saved.path);
    });
  } catch (...) {
    std::error_code ignored;
    if (leads) fs::remove_all(staging, ignored);
    throw;
  }
  try {
    if (leads) prune_checkpoints(folder, content.step, options.keep);
  } catch (const std::exception& e) {
    saved.warnings.emplace_back(e.what());
  }
  return saved;
}

}  // namespace weft
