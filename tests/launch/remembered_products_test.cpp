// Where measured products are remembered.
#include <gtest/gtest.h>

#include "launch/products/remembered.hpp"
#include "tests/launch/tiny_run.hpp"

namespace weft {
namespace {

TEST(ProductFile, IsOneForEachCpuAndNumberOfThreads) {
  const Variable cache("XDG_CACHE_HOME", "/somewhere");
  EXPECT_EQ(remembered_products("Some (R) CPU @ 2GHz, AMX", 8),
            "/somewhere/weft/products-some-r-cpu-2ghz-amx-threads-8.yaml");
  const Variable no_cache("XDG_CACHE_HOME", ""), home("HOME", "/home/me");
  EXPECT_EQ(remembered_products("c", 1), "/home/me/.cache/weft/products-c-threads-1.yaml");
  const Variable no_home("HOME", "");
  EXPECT_EQ(remembered_products("c", 1), std::nullopt);
}

}  // namespace
}  // namespace weft
