// Files: reads, maps, atomic writes and staged directories, with their errors.
#include "core/base/files.hpp"

#include <filesystem>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "tests/scratch_dir.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

using namespace testing_support;

class Files : public testing::Test {
 protected:
  std::size_t entries() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(dir_.path()), fs::directory_iterator()));
  }
  ScratchDir dir_;
};

std::string text_of(const MappedFile& f) {
  return std::string(reinterpret_cast<const char*>(f.bytes().data()), f.bytes().size());
}

TEST_F(Files, ReadsWholeFiles) {
  const std::string text = std::string("a\0b\n", 4) + std::string(200000, 'x');
  put(dir_ / "f", text);
  EXPECT_EQ(read_file(dir_ / "f"), text);
  EXPECT_EQ(text_of(MappedFile(dir_ / "f")), text);
  put(dir_ / "empty", "");
  EXPECT_EQ(read_file(dir_ / "empty"), "");
  EXPECT_EQ(MappedFile(dir_ / "empty").bytes().size(), 0U);
  EXPECT_NE(read_file("/proc/self/status").find("Pid:"), std::string::npos);  // says its size is 0
}

TEST_F(Files, NamesTheFileAndTheReason) {
  const std::string none = (dir_ / "none").string();
  EXPECT_EQ(error_of([&] { read_file(none); }), none + ": No such file or directory");
  EXPECT_EQ(error_of([&] { MappedFile{none}; }), none + ": No such file or directory");
  EXPECT_EQ(error_of([&] { read_file(dir_.path()); }), dir_.path().string() + ": Is a directory");
  EXPECT_THROW(read_file(none), InputError);
}

TEST_F(Files, MapsMove) {
  put(dir_ / "a", "aaa");
  put(dir_ / "b", "b");
  MappedFile a(dir_ / "a");
  MappedFile b(dir_ / "b");
  b = std::move(a);
  EXPECT_EQ(text_of(b), "aaa");
  const MappedFile c(std::move(b));
  EXPECT_EQ(text_of(c), "aaa");
  EXPECT_EQ(b.bytes().size(), 0U);
}

TEST_F(Files, AtomicWriteReplacesAndLeavesNothingBeside) {
  write_file_atomic(dir_ / "f", "one");
  write_file_atomic(dir_ / "f", "two");
  EXPECT_EQ(read_file(dir_ / "f"), "two");
  EXPECT_EQ(entries(), 1U);
  fs::create_directory(dir_ / "folder");
  put(dir_ / "folder" / "x", "x");
  EXPECT_THROW(write_file_atomic(dir_ / "folder", "three"),
               Error);  // rename onto a directory fails
  EXPECT_EQ(entries(), 2U);
  EXPECT_THROW(write_file_atomic(dir_ / "none" / "f", "x"), Error);
}

TEST_F(Files, StagedFileAppearsOnCommitOnly) {
  put(dir_ / "f", "old");
  {
    StagedFile unfinished(dir_ / "f");
    unfinished.file().write("half");
  }
  EXPECT_EQ(read_file(dir_ / "f"), "old");
  EXPECT_EQ(entries(), 1U);
  StagedFile file(dir_ / "f");
  file.file().write("a");
  file.file().write_at(3, std::as_bytes(std::span("d", 1)));
  file.file().write("b");
  file.commit();
  EXPECT_EQ(read_file(dir_ / "f"), std::string("ab\0d", 4));
  EXPECT_EQ(entries(), 1U);
}

TEST_F(Files, WriteErrorsNameTheReason) {  // /dev/full takes nothing
  EXPECT_EQ(error_of([] {
              OutputFile f("/dev/full");
              f.write("x");
              f.finish();
            }),
            "/dev/full: cannot write: No space left on device");
}

TEST_F(Files, StagedDirectoryAppearsOnCommitOnly) {
  {
    StagedDirectory staged(dir_ / "out", false);
    put(staged.path() / "f", "new");
    EXPECT_FALSE(fs::exists(dir_ / "out"));
    staged.commit();
  }
  EXPECT_EQ(read_file(dir_ / "out" / "f"), "new");
  { StagedDirectory abandoned((dir_ / "other").string() + "/", false); }
  EXPECT_EQ(entries(), 1U);
}

TEST_F(Files, StagedDirectoryRefusesAFullTargetUnlessForced) {
  fs::create_directory(dir_ / "out");
  put(dir_ / "out" / "old", "old");
  const std::string target = (dir_ / "out").string();
  EXPECT_EQ(error_of([&] { StagedDirectory(target, false); }),
            target + ": exists and is not empty");
  {
    StagedDirectory staged(target, true);
    put(staged.path() / "f", "new");
    EXPECT_TRUE(fs::exists(dir_ / "out" / "old"));
    staged.commit();
  }
  EXPECT_EQ(read_file(dir_ / "out" / "f"), "new");
  EXPECT_FALSE(fs::exists(dir_ / "out" / "old"));
  EXPECT_EQ(entries(), 1U);
}

TEST_F(Files, DirectoriesAreReplacedWhereNamesCannotBeExchangedToo) {
  for (const char* name : {"out", "new", "out.replaced"}) {
    fs::create_directory(dir_ / name);
    put(dir_ / name / name, "x");
  }
  replace_directory_by_renames(dir_ / "new", dir_ / "out");
  EXPECT_TRUE(fs::exists(dir_ / "out" / "new"));
  EXPECT_EQ(entries(), 1U);
  EXPECT_THROW(replace_directory_by_renames(dir_ / "none", dir_ / "out"), Error);
  EXPECT_TRUE(fs::exists(dir_ / "out" / "new")) << "a failed replacement took the old one away";
}

TEST_F(Files, FoldersThatCannotBeSyncedAreTaken) {  // as those of /proc
  EXPECT_NO_THROW(fsync_path("/proc"));
  EXPECT_EQ(error_of([] { fsync_path("/proc/self/status"); }),
            "/proc/self/status: cannot write: Invalid argument");
}

TEST_F(Files, APathThatCannotBeFollowedIsNotTakenForAbsent) {
  EXPECT_TRUE(path_exists(dir_.path()));
  EXPECT_FALSE(path_exists(dir_ / "none"));
  fs::create_symlink("loop", dir_ / "loop");
  EXPECT_EQ(error_of([&] { path_exists(dir_ / "loop"); }),
            (dir_ / "loop").string() + ": Too many levels of symbolic links");
  EXPECT_THROW(path_exists(dir_ / "loop"), InputError);
}

TEST_F(Files, StagedDirectoryTakesAnEmptyTargetAndRefusesAFile) {
  fs::create_directory(dir_ / "out");
  {
    StagedDirectory staged(dir_ / "out", false);
    put(staged.path() / "f", "new");
    staged.commit();
  }
  EXPECT_EQ(read_file(dir_ / "out" / "f"), "new");
  put(dir_ / "file", "x");
  EXPECT_THROW(StagedDirectory(dir_ / "file", true), InputError);
}

}  // namespace
}  // namespace weft
