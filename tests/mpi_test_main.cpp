// main() of the test programs that run under mpirun: MPI is up before any test; ranks other than 0
// print failures only, and a failure on any rank counts.
#include <iostream>
#include <string>

#include <gtest/gtest.h>
#include <mpi.h>

#include "core/backend/cuda.hpp"
#include "tests/leak_check.hpp"
#include "tests/test_device.hpp"

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

// What is no matter of a device.
constexpr const char* kHostSuites =
    "*OnCpu.*:Agree.*:Checkpoint*:CommunicationThread.*:Mesh.*:Pretrained*";

}  // namespace

// Open MPI's leaks are known by their libraries (tests/sanitizers/lsan.supp), which are found in
// the call stack only when it is unwound with care: that is slow, so other programs do without.
extern "C" const char* __asan_default_options() { return "fast_unwind_on_malloc=0"; }

int main(int argc, char** argv) {
  if (const std::string missing = weft::missing_test_device(); !missing.empty()) {
    std::cout << "skipped: " << missing << std::endl;
    return weft::kSkipped;
  }
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  testing::InitGoogleTest(&argc, argv);
  if (!weft::on_cpu()) {
    GTEST_FLAG_SET(filter, weft::filter_without(kHostSuites, GTEST_FLAG_GET(filter)));
  }
  weft::set_cuda_options({.exact_attention_dropout = true});  // results are compared with the CPU's
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank != 0) {
    testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailuresOnly(rank));
  }
  int failed = RUN_ALL_TESTS();
  if (weft::leaks_found()) failed = 1;
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  MPI_Finalize();
  return failed;
}
