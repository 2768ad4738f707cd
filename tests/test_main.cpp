// main() of the test programs that run in one process.
#include <gtest/gtest.h>

#include "tests/leak_check.hpp"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const int failed = RUN_ALL_TESTS();
  return weft::leaks_found() ? 1 : failed;
}
