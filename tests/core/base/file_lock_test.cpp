// Locks of files and directories.
#include "core/base/file_lock.hpp"

#include <csignal>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/files.hpp"
#include "tests/scratch_dir.hpp"

namespace weft {
namespace {

using namespace testing_support;
using namespace std::chrono_literals;

TEST(FileLock, KeepsOthersAwayWhileItLives) {
  const ScratchDir dir;
  for (const auto& path : {dir.path(), dir / "lock"}) {
    auto first = take_lock(path, 0ms);
    ASSERT_TRUE(first);
    EXPECT_FALSE(take_lock(path, 30ms));
    first.reset();
    EXPECT_TRUE(take_lock(path, 0ms));
  }
}

TEST(FileLock, HoldsTheLastNoteForWhoFindsItLocked) {
  const ScratchDir dir;
  const auto lock = take_lock(dir / "lock", 0ms);
  lock->note("a long first note");
  lock->note("second");
  EXPECT_EQ(read_file(dir / "lock"), "second");
}

TEST(FileLock, WhatCannotBeLockedIsFree) {
  const ScratchDir dir;
  const auto lock = take_lock(dir / "none" / "lock", 0ms);
  ASSERT_TRUE(lock);
  lock->note("nowhere");
}

TEST(FileLock, GoesWithItsProcessAndIsWaitedFor) {
  const ScratchDir dir;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = take_lock(dir / "lock", 0ms);
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_FALSE(take_lock(dir / "lock", 0ms));
  ::kill(child, SIGKILL);
  EXPECT_TRUE(take_lock(dir / "lock", 5s));
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace weft
