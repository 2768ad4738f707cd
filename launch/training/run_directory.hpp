// A run's directory while the run is at work in it.
#pragma once

#include <memory>
#include <optional>

#include "core/base/file_lock.hpp"
#include "launch/training/resume_point.hpp"
#include "parallel/communicator.hpp"

namespace weft {

// Which kernels multiply in this run, where a measured table says so; see run_products.hpp.
inline constexpr const char* kProductsFile = "products.yaml";

// Rank 0 keeps the directory locked, looks what is in it and decides; the other ranks are told, as
// their view of a shared file system may be an older one. All calls are collective over the world
// and fail on all ranks.
class RunDirectory {
 public:
  // Throws InputError when the directory holds something that is no run, when another process is at
  // work in it, and as choose_resume_point(). Nothing is made or changed but the lock of a
  // directory that is there. What is passed outlives this object.
  RunDirectory(const Config& config, const ResumeOptions& options, const Tokenizer& tokenizer,
               const Console& console, Communicator& world);

  // The checkpoint to continue from, or nothing for a new run.
  const std::optional<ResumePoint>& resume() const { return resume_; }

  // Makes the directory, writes config.yaml and clears away what a new run must not find: with
  // --resume never --force all of the old run. Otherwise no checkpoint is ever deleted; newer ones
  // than resume(), which did not verify, are renamed. Killed at any moment it leaves a directory
  // that the next start accepts.
  void prepare();

 private:
  void lock();
  void make();
  void forget_run() const;
  void forget_records() const;
  void set_aside_newer() const;

  const Config& config_;
  const ResumeOptions options_;
  const Console& console_;
  Communicator& world_;
  std::unique_ptr<FileLock> lock_;  // of rank 0
  std::optional<ResumePoint> resume_;
};

}  // namespace weft
