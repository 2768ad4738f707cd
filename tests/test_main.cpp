// main() of the test programs that run in one process.
#include <iostream>

#include <gtest/gtest.h>

#include "core/backend/cuda.hpp"
#include "tests/leak_check.hpp"
#include "tests/test_device.hpp"

int main(int argc, char** argv) {
  if (const std::string missing = weft::missing_test_device(); !missing.empty()) {
    std::cout << "skipped: " << missing << std::endl;
    return weft::kSkipped;
  }
  testing::InitGoogleTest(&argc, argv);
  if (!weft::on_cpu()) {
    GTEST_FLAG_SET(filter, weft::filter_without(weft::kSuitesOnCpu, GTEST_FLAG_GET(filter)));
  }
  weft::set_cuda_options({.exact_attention_dropout = true});  // results are compared with the CPU's
  const int failed = RUN_ALL_TESTS();
  return weft::leaks_found() ? 1 : failed;
}
