// weft doctor --products: what it measures, remembers and refuses.
#include <sstream>

#include <gtest/gtest.h>

#include "core/backend/cpu/onednn.hpp"
#include "core/base/files.hpp"
#include "core/base/plural.hpp"
#include "launch/products/remembered.hpp"
#include "tests/launch/tiny_run.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

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
  EXPECT_EQ(products > 0, has_choice_in_bf16());
  if (products == 0) {
    EXPECT_EQ(remembered, "");
    EXPECT_NE(r.err.find("nothing to choose"), std::string::npos) << r.err;
    return;
  }
  const ProductSetting setting{.cpu = this_cpu()};
  EXPECT_EQ(remembered, *remembered_products(setting));
  EXPECT_EQ(remembered_from(read_file(remembered), remembered, setting).table.size(), products);
}

// Longer sequences make other classes of products; runs of either length find theirs.
TEST(DoctorOfProducts, RemembersSeveralConfigurations) {
  if (!has_choice_in_bf16()) GTEST_SKIP() << "this CPU has no choice of kernels";
  const Variable cache("XDG_CACHE_HOME", new_directory("cache"));
  const ProductSetting setting{.cpu = this_cpu()};
  const fs::path path = *remembered_products(setting);
  const std::string doctor = "OMP_NUM_THREADS=1 $WEFT doctor --precision bf16 --products " +
                             write_config(tiny_config("nowhere")).string();
  const auto measure = [&](const std::string& options) {
    const ProgramResult r = run_shell(doctor + options);
    EXPECT_EQ(r.status, 0) << r.err;
    return r.out;
  };
  const auto table = [&] { return remembered_from(read_file(path), path, setting).table; };
  const std::string out = measure("");
  const ProductTable first = table();
  const std::string news = counted(static_cast<std::int64_t>(first.size()), "new choice");
  EXPECT_NE(out.find(news + ", 0 kept from before"), std::string::npos) << out;

  const std::string out_of_both = measure(" --set data.seq_length=64");
  const ProductTable both = table();
  EXPECT_GT(both.size(), first.size());
  for (const auto& [product, kernel] : first) EXPECT_TRUE(both.contains(product));
  EXPECT_NE(out_of_both.find(" kept from before"), std::string::npos) << out_of_both;
  EXPECT_EQ(out_of_both.find(", 0 kept from before"), std::string::npos) << out_of_both;
}

TEST(DoctorOfProducts, MeasuresWhatEachRankOfAMeshComputes) {
  const Variable cache("XDG_CACHE_HOME", new_directory("cache"));
  const ProgramResult r = run_shell(mpirun(2) + "$WEFT doctor --products " +
                                    write_config(tiny_config("nowhere")).string() +
                                    " --set parallel.tensor=2 --set train.precision=bf16 --json");
  ASSERT_EQ(r.status, 0) << r.err;
  if (!has_choice_in_bf16()) GTEST_SKIP() << "this CPU has no choice of kernels";
  // Apart from what one rank alone would measure.
  EXPECT_TRUE(fs::exists(*remembered_products({.cpu = this_cpu(), .ranks = 2})));
  EXPECT_FALSE(fs::exists(*remembered_products({.cpu = this_cpu(), .ranks = 1})));
  EXPECT_NE(r.out.find("\"64 x 48 x 32\""), std::string::npos) << r.out;  // half of q, k and v
}

// They have not the same choice of kernels, and so not the same measurements to take together.
TEST(DoctorOfProducts, RefusesRanksWhoseCpusDiffer) {
  if (!cpu_has_avx512()) GTEST_SKIP() << "DNNL_MAX_CPU_ISA=AVX2 changes nothing on this CPU";
  const Variable cache("XDG_CACHE_HOME", new_directory("cache"));
  const ProgramResult r = run_shell(
      "timeout 100 env " + mpirun(2) +
      "sh -c 'test $OMPI_COMM_WORLD_RANK = 0 || export DNNL_MAX_CPU_ISA=AVX2; exec \"$0\" doctor "
      "--products " +
      write_config(tiny_config("nowhere")).string() + " --precision bf16' \"$WEFT\"");
  EXPECT_EQ(r.status, 2) << r.err;
  EXPECT_NE(r.err.find("[rank 1 on "), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("--products: this rank computes on "), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("DNNL_MAX_CPU_ISA on all ranks alike"), std::string::npos) << r.err;
}

TEST(DoctorOfProducts, NeedsAPlaceToRememberThemBeforeItMeasures) {
  const std::string doctor =
      "$WEFT doctor --products " + write_config(tiny_config("nowhere")).string();
  for (const std::string& command :
       {"env -u XDG_CACHE_HOME -u HOME " + doctor, "XDG_CACHE_HOME=/dev/null " + doctor}) {
    const ProgramResult r = run_shell(command);
    EXPECT_EQ(r.status, 1) << command;
    EXPECT_NE(r.err.find("set XDG_CACHE_HOME to a folder"), std::string::npos) << r.err;
    EXPECT_EQ(r.out.find("GFLOP/s of products"), std::string::npos) << r.out;
  }
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
