// Tells the emulator which test runs, so that its report can name the tests that meet a barrier.
#include <gtest/gtest.h>

#include "tests/cuda_emulator/report.hpp"

namespace {

class TestNames final : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo& test) override {
    cuda_emulator::report_test_begins(std::string(test.test_suite_name()) + "." + test.name());
  }
  void OnTestEnd(const testing::TestInfo& test) override {
    cuda_emulator::report_test_ends(static_cast<double>(test.result()->elapsed_time()) / 1000);
  }
};

// Before main(): the test programs' own main() knows nothing of the emulator.
const bool listening = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new TestNames);
  return true;
}();

}  // namespace
