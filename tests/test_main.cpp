// main() of every test program: MPI is up before any test; ranks other than 0 print failures only,
// and a failure on any rank counts.
#include <gtest/gtest.h>
#include <mpi.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include <iostream>
#include <string>

namespace {

// What a rank other than 0 says.
class FailuresOnly final : public testing::EmptyTestEventListener {
 public:
  explicit FailuresOnly(int rank) : rank_(rank) {}
  // UnitTest is locked while a result is told, so the name is taken before.
  void OnTestStart(const testing::TestInfo& test) override { test_ = test.name(); }
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::cerr << "rank " << rank_ << ", " << test_ << ": " << result.file_name() << ":"
              << result.line_number() << "\n"
              << result.summary() << std::endl;
  }

 private:
  int rank_;
  std::string test_;
};

// Looks for leaks now: after MPI_Finalize the leaks of libraries that Open MPI has unloaded can no
// longer be told from ours.
bool leaks_found() {
#ifdef __SANITIZE_ADDRESS__
  return __lsan_do_recoverable_leak_check() != 0;
#else
  return false;
#endif
}

}  // namespace

namespace weft {
const char* const kTestDir = WEFT_TEST_DIR_PATH;
const char* const kWeftBinary = WEFT_BINARY_PATH;
}  // namespace weft

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  testing::InitGoogleTest(&argc, argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank != 0) {
    testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailuresOnly(rank));
  }
  int failed = RUN_ALL_TESTS();
  if (leaks_found()) failed = 1;
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  MPI_Finalize();
  return failed;
}
