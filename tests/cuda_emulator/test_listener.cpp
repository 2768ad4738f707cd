// Lets a fault of device code fail the test that runs, and no other; and tells the emulator which
// one that is, so that its report can name the tests that fail, and those that meet a barrier.
#include <gtest/gtest.h>

#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/report.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"

namespace {

bool explained = false;  // why the running test fails

class Listener final : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo& test) override {
    explained = false;
    cuda_emulator::report_test_begins(std::string(test.test_suite_name()) + "." + test.name());
  }
  void OnTestEnd(const testing::TestInfo& test) override {
    cuda_emulator::run_everything();  // what the test has left to be done is its own
    cuda_emulator::repair_devices();
    cuda_emulator::report_test_ends(static_cast<double>(test.result()->elapsed_time()) / 1000);
    if (test.result()->Failed() && !explained) cuda_emulator::report_failure("it has failed");
  }
};

// Before main(): the test programs' own main() knows nothing of the emulator.
const bool listening = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new Listener);
  cuda_emulator::handle_faults([](const std::string& message) {
    ADD_FAILURE() << message;
    cuda_emulator::report_failure(message);
    explained = true;
  });
  return true;
}();

}  // namespace
