// The file that remembers measured products, and weft doctor --products, which writes it.
#include <cstdlib>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "launch/products/product_file.hpp"
#include "tests/launch/tiny_run.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

const ProductClass kForward{
    .dtype = DType::bf16, .transpose_b = true, .b_is_weight = true, .m = 1024, .n = 768, .k = 768};
const ProductClass kGradient{
    .dtype = DType::f32, .transpose_a = true, .m = 768, .n = 768, .k = 1024};

ProductFile sample() {
  return {.cpu = "Some CPU: \"quoted\", family 1 model 2, AMX",
          .threads = 3,
          .table = {{kForward, ProductKernel::bf16_tiles}, {kGradient, ProductKernel::onednn}}};
}

ProductFile read(const std::string& yaml) { return product_file_from(yaml, "FILE", "HINT"); }

// Message and hint.
std::string refusal_of(const std::string& yaml) {
  try {
    read(yaml);
    return "none";
  } catch (const InputError& e) {
    return std::string(e.what()) + "\n" + e.hint();
  }
}

TEST(ProductFile, ReadsWhatItWrites) {
  for (const ProductFile& file : {sample(), ProductFile{.cpu = "", .table = {}}}) {
    const ProductFile back = read(to_yaml(file));
    EXPECT_EQ(back.cpu, file.cpu);
    EXPECT_EQ(back.threads, file.threads);
    EXPECT_EQ(back.table, file.table);
  }
}

// The sample with one text in place of another.
std::string changed(const std::string& from, const std::string& to) {
  std::string yaml = to_yaml(sample());
  const std::size_t at = yaml.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return yaml.replace(at, from.size(), to);
}

TEST(ProductFile, RefusesWhatItDoesNotWrite) {
  const std::string whole = to_yaml(sample());
  const std::pair<std::string, std::string> cases[] = {
      {"", "FILE: format is missing"},
      {"weft", "FILE:1: "},
      {"format: [", "FILE:1: "},
      {whole.substr(0, whole.find("products:")), "FILE: products is missing"},
      {whole.substr(0, whole.rfind("  -")), "FILE:7: products: 1 of 2 are there"},
      {whole.substr(0, whole.size() - 9), "FILE:9: "},
      {changed("format: 1", "format: 2"), "FILE:3: format: 1 is expected"},
      {changed("format: 1", "format: 1\nmore: 1"), "FILE:4: unknown key 'more'"},
      {changed("threads: 3", "threads: 0"), "FILE:5: threads: a whole number"},
      {changed("threads: 3", "threads: many"), "FILE:5: threads: a whole number"},
      {changed("kernel: onednn", "kernel: mkl"), "kernel: 'mkl' is not possible"},
      {changed("weight: true", "weight: yes"), "weight: 'yes' is not possible"},
      {changed("dtype: f32", "dtype: f16"), "dtype: 'f16' is not possible"},
      {changed("matmul A B^T", "matmul B A"), "product: 'matmul B A' is not possible"},
      {changed("m: 1024", "m: 1000"), "m: the least size of a class, such as 768,"},
      {changed("m: 1024", "m: 99999999999999999999"), "m: a whole number"},
      {changed("m: 1024, ", ""), "m is missing"},
      {changed("m: 1024", "m: 1024, z: 1"), "unknown key 'z'"},
      {changed("  - {", "  - none\n  - {"), "FILE:8: keys with values are expected"},
      {changed("\n  - {", "\n" + whole.substr(whole.rfind("  -")) + "  - {"),
       "the same product is there twice"}};
  for (const auto& [yaml, message] : cases) {
    const std::string got = refusal_of(yaml);
    EXPECT_NE(got.find(message), std::string::npos) << yaml << "\n" << got;
    EXPECT_EQ(got.substr(0, 4), "FILE") << got;
    EXPECT_NE(got.find("HINT"), std::string::npos) << got;
  }
}

// That of another CPU is no matter: its table is not used here.
TEST(ProductFile, RefusesKernelsThatThisCpuDoesNotHave) {
  ProductFile file = sample();
  file.table = {{kGradient, ProductKernel::onednn_packed}};  // there is no weight to pack
  EXPECT_EQ(read(to_yaml(file)).table, file.table);
  file.cpu = this_cpu();
  const std::string got = refusal_of(to_yaml(file));
  EXPECT_NE(got.find("FILE:8: kernel: onednn_packed does not compute such products on this CPU"),
            std::string::npos)
      << got;
}

TEST(ProductFile, IsOneForEachCpuAndNumberOfThreads) {
  const Variable cache("XDG_CACHE_HOME", "/somewhere");
  EXPECT_EQ(remembered_products("Some (R) CPU @ 2GHz, AMX", 8),
            "/somewhere/weft/products-some-r-cpu-2ghz-amx-threads-8.yaml");
  const Variable no_cache("XDG_CACHE_HOME", ""), home("HOME", "/home/me");
  EXPECT_EQ(remembered_products("c", 1), "/home/me/.cache/weft/products-c-threads-1.yaml");
  const Variable no_home("HOME", "");
  EXPECT_EQ(remembered_products("c", 1), std::nullopt);
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
  const ProductFile file = read(read_file(remembered));
  EXPECT_EQ(file.cpu, this_cpu());
  EXPECT_EQ(file.threads, 1);
  EXPECT_EQ(file.table.size(), products);
  EXPECT_EQ(products > 0, product_kernels(kForward).size() > 1);
}

TEST(DoctorOfProducts, MeasuresWhatEachRankOfAMeshComputes) {
  const Variable cache("XDG_CACHE_HOME", new_directory("cache"));
  const ProgramResult r = run_shell(mpirun(2) + "$WEFT doctor --products " +
                                    write_config(tiny_config("nowhere")).string() +
                                    " --set parallel.tensor=2 --set train.precision=bf16 --json");
  ASSERT_EQ(r.status, 0) << r.err;
  if (product_kernels(kForward).size() == 1) GTEST_SKIP() << "this CPU has no choice of kernels";
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
