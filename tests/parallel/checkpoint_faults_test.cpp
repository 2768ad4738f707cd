// Saves that fail or die at each of their system calls, one after the other.
//
// This file stands in for libc's calls in the test program. They pass everything through, but for
// calls of a thread that has armed a fault, on files below its folder.
#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <functional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "parallel/checkpoint_folder.hpp"
#include "tests/parallel/toy_state.hpp"

namespace weft {
namespace {

struct Fault {
  std::string folder;
  std::function<int(const char* call, const std::string& path)>
      on_call;  // errno to fail with, or 0
};
thread_local Fault* armed = nullptr;

// True when this call is to fail; sets errno.
bool fails(const char* call, const std::string& path) {
  if (armed == nullptr || !path.starts_with(armed->folder)) return false;
  Fault* fault = std::exchange(armed, nullptr);  // its own calls do not count
  const int error = fault->on_call(call, path);
  armed = fault;
  errno = error;
  return error != 0;
}

bool fails(const char* call, int fd) {
  if (armed == nullptr) return false;
  char path[PATH_MAX] = {};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t n = ::readlink(link.c_str(), path, sizeof path - 1);
  return n > 0 && fails(call, std::string(path, static_cast<std::size_t>(n)));
}

}  // namespace
}  // namespace weft

extern "C" {
ssize_t write(int fd, const void* data, size_t n) {
  return weft::fails("write", fd) ? -1 : ::syscall(SYS_write, fd, data, n);
}
int fsync(int fd) {
  return weft::fails("fsync", fd) ? -1 : static_cast<int>(::syscall(SYS_fsync, fd));
}
int mkdir(const char* path, mode_t mode) noexcept {
  return weft::fails("mkdir", path) ? -1 : static_cast<int>(::syscall(SYS_mkdir, path, mode));
}
int rename(const char* from, const char* to) noexcept {
  return weft::fails("rename", from) ? -1 : static_cast<int>(::syscall(SYS_rename, from, to));
}
int renameat2(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) noexcept {
  if (weft::fails("rename", from)) return -1;
  return static_cast<int>(::syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}
int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  if (weft::fails("open", path)) return -1;
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
int unlinkat(int dir, const char* path, int flags) noexcept {
  if (weft::fails("unlink", dir)) return -1;
  return static_cast<int>(::syscall(SYS_unlinkat, dir, path, flags));
}
}

namespace weft {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

const SaveOptions kOptions{.keep = 0, .max_shard_bytes = 1200, .min_shard_bytes = 100};

// What a save under `fault` throws, "no error" if nothing. `seed` decides the values.
std::string save_under(Fault& fault, const fs::path& folder, std::int64_t step, std::uint32_t seed,
                       Mesh& mesh, int keep = 0) {
  const ToyRun run(seed, tensor_rank(mesh));
  const CheckpointContent content = run.content(step);
  SaveOptions options = kOptions;
  options.keep = keep;
  armed = &fault;
  const std::string message = error_of([&] { save_checkpoint(folder, content, mesh, options); });
  armed = nullptr;
  return message;
}

// Calls of each rank fail one after the other: all ranks say so, nothing is left, the older one is
// whole.
TEST(CheckpointFaults, EveryFailingCallIsAnAgreedError) {
  const int ranks = mpi_communicator()->size();
  Mesh mesh(mpi_communicator(), ranks > 1 ? 2 : 1);
  Communicator& world = mesh.world();
  const SharedScratch scratch(world);
  save_toy(scratch.path(), 1, mesh, kOptions);
  const int stride = ranks > 2 ? 3 : 1;  // two ranks go through every call
  int failures = 0;
  for (int victim = 0; victim < ranks; ++victim) {
    for (std::int64_t k = 0;; k += stride) {
      const int error = k % 2 == 0 ? ENOSPC : EIO;
      std::int64_t calls = 0;
      Fault fault{scratch.path().string(), [&](const char* call, const std::string&) {
                    const bool counts = world.rank() == victim && call != std::string("unlink");
                    return counts && calls++ == k ? error : 0;
                  }};
      const std::string message = save_under(fault, scratch.path(), 2, 2, mesh);
      if (world.all_reduce(calls, ReduceOp::max) <= k) break;  // it has no more calls
      ++failures;
      EXPECT_NE(message.find(std::strerror(error)), std::string::npos) << message;
      EXPECT_NE(message.find(scratch.path().string()), std::string::npos) << message;
      EXPECT_EQ(message.starts_with("[rank " + std::to_string(victim)), victim != 0) << message;
      EXPECT_FALSE(fs::exists(scratch / "step-00000002.tmp"));
      const auto found = find_checkpoint(scratch.path());
      ASSERT_TRUE(found);
      EXPECT_TRUE(found->warnings.empty());
      EXPECT_TRUE(loads_toy(found->path, static_cast<std::uint32_t>(found->step), mesh));
      if (found->step == 2) {  // only the fsync after the rename failed
        world.barrier();
        if (world.rank() == 0) fs::remove_all(found->path);
        world.barrier();
      }
    }
    world.barrier();
    if (world.rank() == 0) fs::remove_all(scratch / "step-00000002");
    world.barrier();
  }
  EXPECT_GT(failures, 10 * ranks / stride);
}

class CheckpointDeath : public testing::Test {
 protected:
  void SetUp() override {
    if (mpi_communicator()->size() > 1) GTEST_SKIP() << "one process is enough";
  }

  // Saves in a child process that dies at its call number `last_call`; true when it got that far.
  bool dies_at(int last_call, std::int64_t step, std::uint32_t seed, int keep) {
    const pid_t child = ::fork();
    if (child == 0) {
      int calls = 0;
      Fault fault{dir_.path().string(), [&](const char*, const std::string&) {
                    if (calls++ == last_call) ::kill(::getpid(), SIGKILL);
                    return 0;
                  }};
      Mesh alone = Mesh::single();
      save_under(fault, dir_.path(), step, seed, alone, keep);
      ::_exit(0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
  }

  // What a restarted run finds: every bit of it must be there. Returns its step.
  std::int64_t restart(const std::vector<std::uint32_t>& seeds) {
    clean_checkpoints(dir_.path(), mesh_.world());
    for (const auto& e : fs::directory_iterator(dir_.path())) {
      EXPECT_TRUE(checkpoint_step(e.path().filename().string())) << e.path();
    }
    const auto found = find_checkpoint(dir_.path());
    if (!found) {
      ADD_FAILURE() << "no checkpoint";
      return -1;
    }
    EXPECT_TRUE(found->warnings.empty()) << found->warnings.front();
    EXPECT_TRUE(std::any_of(seeds.begin(), seeds.end(), [&](std::uint32_t seed) {
      return loads_toy(found->path, seed, mesh_);
    })) << found->step;
    return found->step;
  }

  Mesh mesh_ = Mesh::single();
  ScratchDir dir_{memory_folder()};
};

TEST_F(CheckpointDeath, AtEveryCallOfASaveThatRemovesTheOldOne) {
  int moments = 0;
  std::set<std::int64_t> found;
  for (bool died = true; died; ++moments) {
    fs::remove_all(dir_ / "step-00000002");
    if (!fs::exists(dir_ / "step-00000001")) save_toy(dir_.path(), 1, mesh_, kOptions);
    died = dies_at(moments, 2, 2, 1);
    found.insert(restart({died && !fs::exists(dir_ / "step-00000002") ? 1U : 2U}));
  }
  EXPECT_EQ(found, (std::set<std::int64_t>{1, 2}));
  EXPECT_GT(moments, 40);
}

TEST_F(CheckpointDeath, AtEveryCallOfASaveThatReplacesItsStep) {
  save_toy(dir_.path(), 1, mesh_, kOptions);
  int moments = 0;
  for (bool died = true; died; ++moments) {
    died = dies_at(moments, 1, moments % 2 == 0 ? 7 : 1, 1);
    EXPECT_EQ(restart({1, 7}), 1);
  }
  EXPECT_GT(moments, 40);
}

TEST_F(CheckpointDeath, AtRandomMoments) {
  save_toy(dir_.path(), 1, mesh_, kOptions);
  std::mt19937 rng(11);
  std::int64_t step = 1;
  for (int i = 0; i < 60; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      Mesh alone = Mesh::single();
      for (std::int64_t next = step + 1;; ++next) {
        SaveOptions options = kOptions;
        options.keep = 2;
        save_toy(dir_.path(), static_cast<std::uint32_t>(next), alone, options);
      }
    }
    ::usleep(rng() % 40000);
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    clean_checkpoints(dir_.path(), mesh_.world());
    const auto found = find_checkpoint(dir_.path());
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->warnings.empty());
    EXPECT_GE(found->step, step);  // never back behind what was there
    step = found->step;
    EXPECT_TRUE(loads_toy(found->path, static_cast<std::uint32_t>(step), mesh_));
  }
}

// Saves that succeed, fail and die in any order: a restart never finds less than was promised.
TEST_F(CheckpointDeath, RandomHistoriesNeverLoseWhatWasSaved) {
  std::mt19937 rng(29);
  save_toy(dir_.path(), 1, mesh_, kOptions);
  std::int64_t saved = 1;  // the newest that a save reported
  for (std::int64_t step = 2; step < 250; ++step) {
    const int keep = 1 + static_cast<int>(rng() % 3);
    const auto seed = static_cast<std::uint32_t>(step);
    const int moment = static_cast<int>(rng() % 60);
    const auto kind = rng() % 3;
    if (kind == 0) {
      dies_at(moment, step, seed, keep);
    } else {
      int calls = 0;
      Fault fault{dir_.path().string(), [&](const char*, const std::string&) {
                    return kind == 1 && calls++ == moment ? EIO : 0;
                  }};
      if (save_under(fault, dir_.path(), step, seed, mesh_, keep) == "no error") {
        saved = step;
        EXPECT_TRUE(kind == 1 || static_cast<int>(checkpoint_steps(dir_.path()).size()) <= keep);
      }
    }
    const auto found = find_checkpoint(dir_.path());
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->warnings.empty());
    EXPECT_GE(found->step, saved);
    EXPECT_TRUE(loads_toy(found->path, static_cast<std::uint32_t>(found->step), mesh_));
    saved = found->step;
    if (rng() % 4 == 0) clean_checkpoints(dir_.path(), mesh_.world());
  }
}

// A power cut may lose what was not fsynced: when the directory gets its name, nothing may be lost.
TEST_F(CheckpointDeath, ByPowerCutLosesNothingOnceRenamed) {
  std::set<std::string> unsynced;
  int renames = 0;
  Fault fault{dir_.path().string(), [&](const char* call, const std::string& path) {
                const std::string name = call;
                if (name == "write") unsynced.insert(path);
                if (name == "open" && !fs::exists(path)) {
                  unsynced.insert(path);
                  unsynced.insert(fs::path(path).parent_path());
                }
                if (name == "fsync") unsynced.erase(path);
                if (name == "rename") {
                  ++renames;
                  EXPECT_TRUE(unsynced.empty()) << *unsynced.begin();
                  unsynced.insert(fs::path(path).parent_path());
                }
                return 0;
              }};
  EXPECT_EQ(save_under(fault, dir_.path(), 3, 3, mesh_), "no error");
  EXPECT_EQ(renames, 1);
  EXPECT_TRUE(unsynced.empty()) << *unsynced.begin();
}

}  // namespace
}  // namespace weft
