// weft doctor --products: what it measures, remembers and refuses.
#include <sstream>

#include <gtest/gtest.h>

#include "core/base/files.hpp"
#include "launch/products/product_file.hpp"
#include "launch/products/remembered.hpp"
#include "launch/products/this_cpu.hpp"
#include "tests/launch/tiny_run.hpp"

namespace weft {
namespace {

bool has_choice_in_bf16() {
  return product_kernels({.dtype = DType::bf16, .b_is_weight = true, .m = 1024, .n = 768, .k = 768})
             .size() > 1;
}

// Without data: random words have the shapes.
TEST(DoctorOfProducts, MeasuresAndRemembers) {
  const Variable cache("XDG_CACHE_HOME", new_directory("cache"));
  std::vector<std::string> lines = tiny_config("nowhere");
  lines[4] = "  train: [{path: nowhere}]";
  lines[5] = "";
  lines[13] = "";
  const ProgramResult r = run_shell("OMP_NUM_THREADS=1 $WEFT doctor --products " +
                                    write_config(lines).string() + " --precision bf16 --json");
  ASSERT_EQ(r.status, 0) << r.err;
  std::istringstream out(r.out);
  std::string remembered;
  std::size_t products = 0;
  for (std::string line; std::getline(out, line);) {
    const Json json = parse_json(line, "doctor");
    if (json.contains("products_file")) remembered = json["products_file"];
    if (!json.contains("product")) continue;
    ++products;
    EXPECT_EQ(json["dtype"], "bf16");
    EXPECT_TRUE(json["flops_per_second"].contains(json["chosen"].get<std::string>())) << line;
    EXPECT_TRUE(json["flops_per_second"].contains(json["rule"].get<std::string>())) << line;
  }
  EXPECT_EQ(remembered, *remembered_products(this_cpu(), 1));
  const ProductFile file = product_file_from(read_file(remembered), remembered, "");
  EXPECT_EQ(file.cpu, this_cpu());
  EXPECT_EQ(file.threads, 1);
  EXPECT_EQ(file.table.size(), products);
  EXPECT_EQ(products > 0, has_choice_in_bf16());
}

TEST(DoctorOfProducts, MeasuresWhatEachRankOfAMeshComputes) {
  const Variable cache("XDG_CACHE_HOME", new_directory("cache"));
  const ProgramResult r = run_shell(mpirun(2) + "$WEFT doctor --products " +
                                    write_config(tiny_config("nowhere")).string() +
                                    " --set parallel.tensor=2 --set train.precision=bf16 --json");
  ASSERT_EQ(r.status, 0) << r.err;
  if (!has_choice_in_bf16()) GTEST_SKIP() << "this CPU has no choice of kernels";
  EXPECT_NE(r.out.find("\"64 x 48 x 32\""), std::string::npos) << r.out;  // half of q, k and v
}

TEST(DoctorOfProducts, RefusesWhatIsNoRunOfACpu) {
  const std::string config = write_config(tiny_config("nowhere")).string();
  const std::pair<std::string, std::string> cases[] = {
      {"$WEFT doctor --products nowhere.yaml", "nowhere.yaml: no such file"},
      {"$WEFT doctor --products " + config + " --device cuda", "--device"},
      {"$WEFT doctor --products " + config + " --set train.micro_batch=3", "train.micro_batch"},
      {"$WEFT doctor --set train.micro_batch=3", "add --products CONFIG"}};
  for (const auto& [command, message] : cases) {
    const ProgramResult r = run_shell(command);
    EXPECT_EQ(r.status, 2) << command;
    EXPECT_NE(r.err.find(message), std::string::npos) << r.err;
  }
}

}  // namespace
}  // namespace weft
