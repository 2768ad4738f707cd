// The file of measured products: what it holds, and what is refused.
#include "launch/products/product_file.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace weft {
namespace {

const ProductClass kForward{
    .dtype = DType::bf16, .transpose_b = true, .b_is_weight = true, .m = 1024, .n = 768, .k = 768};
const ProductClass kGradient{
    .dtype = DType::f32, .transpose_a = true, .m = 768, .n = 768, .k = 1024};

ProductFile sample() {
  return {
      .setting = {.cpu = "Some CPU: \"quoted\", family 1 model 2, AMX", .threads = 3, .ranks = 2},
      .table = {{kForward, ProductKernel::tiles}, {kGradient, ProductKernel::onednn}}};
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
  for (const ProductFile& file : {sample(), ProductFile{}}) {
    const ProductFile back = read(to_yaml(file));
    EXPECT_EQ(back.setting, file.setting);
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

TEST(ProductFile, ReadsTheOldNameOfTheTiles) {
  const ProductFile back = read(changed("kernel: tiles", "kernel: bf16_tiles"));
  EXPECT_EQ(back.table, sample().table);
}

TEST(ProductFile, RefusesWhatItDoesNotWrite) {
  const std::string whole = to_yaml(sample());
  const std::pair<std::string, std::string> cases[] = {
      {"", "FILE: format is missing"},
      {"weft", "FILE:1: "},
      {"format: [", "FILE:1: "},
      {whole.substr(0, whole.find("products:")), "FILE: products is missing"},
      {whole.substr(0, whole.rfind("  -")), "FILE:8: products: 1 of 2 are there"},
      {whole.substr(0, whole.size() - 9), "FILE:10: "},
      {changed("format: 2", "format: 1"), "FILE:3: format: 2 is expected"},
      {changed("format: 2", "format: 2\nmore: 1"), "FILE:4: unknown key 'more'"},
      {changed("threads: 3", "threads: 0"), "FILE:5: threads: a whole number"},
      {changed("threads: 3", "threads: many"), "FILE:5: threads: a whole number"},
      {changed("ranks: 2\n", ""), "FILE: ranks is missing"},
      {changed("kernel: onednn", "kernel: mkl"), "kernel: 'mkl' is not possible"},
      {changed("weight: true", "weight: yes"), "weight: 'yes' is not possible"},
      {changed("dtype: f32", "dtype: f16"), "dtype: 'f16' is not possible"},
      {changed("matmul A B^T", "matmul B A"), "product: 'matmul B A' is not possible"},
      {changed("m: 1024", "m: 1000"), "m: the least size of a class, such as 768,"},
      {changed("m: 1024", "m: 99999999999999999999"), "m: a whole number"},
      {changed("m: 1024, ", ""), "m is missing"},
      {changed("m: 1024", "m: 1024, z: 1"), "unknown key 'z'"},
      {changed("  - {", "  - none\n  - {"), "FILE:9: keys with values are expected"},
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
  file.setting.cpu = this_cpu();
  const std::string got = refusal_of(to_yaml(file));
  EXPECT_NE(got.find("FILE:9: kernel: onednn_packed does not compute such products on this CPU"),
            std::string::npos)
      << got;
}

}  // namespace
}  // namespace weft
