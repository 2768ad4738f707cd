// Where measured products are remembered, and what is kept of what was there.
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "launch/products/remembered.hpp"
#include "tests/launch/tiny_run.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

const ProductSetting kSetting{.cpu = "Some (R) CPU @ 2GHz, AMX", .threads = 8, .ranks = 2};
const ProductClass kForward{
    .dtype = DType::bf16, .transpose_b = true, .b_is_weight = true, .m = 1024, .n = 768, .k = 768};
const ProductClass kGradient{
    .dtype = DType::f32, .transpose_a = true, .m = 768, .n = 768, .k = 1024};

TEST(RememberedProducts, HaveAFileForEachSetting) {
  const Variable cache("XDG_CACHE_HOME", "/somewhere");
  EXPECT_EQ(remembered_products(kSetting),
            "/somewhere/weft/products-some-r-cpu-2ghz-amx-threads-8-ranks-2.yaml");
  const Variable no_cache("XDG_CACHE_HOME", ""), home("HOME", "/home/me");
  EXPECT_EQ(remembered_products({.cpu = "c"}),
            "/home/me/.cache/weft/products-c-threads-1-ranks-1.yaml");
  const Variable no_home("HOME", "");
  EXPECT_EQ(remembered_products(kSetting), std::nullopt);
}

TEST(RememberedProducts, SayWhatTheyWereMeasuredWith) {
  EXPECT_EQ(in_words(kSetting),
            "Some (R) CPU @ 2GHz, AMX with 8 threads on each of 2 ranks of a host");
  EXPECT_EQ(in_words({.cpu = "c"}), "c with 1 thread");
}

TEST(RememberedProducts, KeepWhatIsNotMeasuredAgain) {
  const fs::path path = new_directory("cache") / "products.yaml";
  const auto remember = [&](const ProductTable& table) {
    return remember_products(path, {.setting = kSetting, .table = table});
  };
  const auto table = [&] { return remembered_from(read_file(path), path, kSetting).table; };
  const ProductTable first = {{kForward, ProductKernel::tiles}};
  Remembered r = remember(first);
  EXPECT_EQ(r.measured, 1U);
  EXPECT_EQ(r.kept, 0U);
  EXPECT_EQ(r.unusable, "");
  EXPECT_EQ(table(), first);

  r = remember({{kGradient, ProductKernel::onednn}});
  EXPECT_EQ(r.measured, 1U);
  EXPECT_EQ(r.kept, 1U);
  EXPECT_EQ(table(),
            (ProductTable{{kForward, ProductKernel::tiles}, {kGradient, ProductKernel::onednn}}));

  r = remember({{kForward, ProductKernel::onednn_packed}});
  EXPECT_EQ(r.kept, 1U);
  EXPECT_EQ(table(), (ProductTable{{kForward, ProductKernel::onednn_packed},
                                   {kGradient, ProductKernel::onednn}}));
}

TEST(RememberedProducts, ReplaceAFileThatCannotBeUsed) {
  const fs::path path = new_directory("cache") / "products.yaml";
  const ProductFile measured{.setting = kSetting, .table = {{kGradient, ProductKernel::onednn}}};
  ProductFile elsewhere = measured;
  elsewhere.setting.ranks = 1;
  elsewhere.table = {{kForward, ProductKernel::tiles}};
  for (const std::string& text : {std::string("weft"), to_yaml(elsewhere)}) {
    write_file_atomic(path, text);
    const Remembered r = remember_products(path, measured);
    EXPECT_EQ(r.kept, 0U);
    EXPECT_EQ(r.unusable.find(path.string() + ":"), 0U) << r.unusable;
    EXPECT_EQ(read_file(path), to_yaml(measured));
  }
}

TEST(RememberedProducts, MakeTheirFolderAndLeaveNothingElseThere) {
  const Variable cache("XDG_CACHE_HOME", new_directory("cache") / "deep");
  const fs::path place = place_for_products(kSetting);
  EXPECT_EQ(place, *remembered_products(kSetting));
  EXPECT_TRUE(fs::is_empty(place.parent_path()));
}

// Message and hint.
std::string refusal_of_place() {
  try {
    return place_for_products(kSetting);
  } catch (const Error& e) {
    return std::string(e.what()) + "\n" + e.hint();
  }
}

TEST(RememberedProducts, TellWhichFolderIsMissing) {
  const char* const hint = "\nset XDG_CACHE_HOME to a folder";
  const fs::path file = new_directory("cache") / "file";
  write_file_atomic(file, "");
  {
    const Variable cache("XDG_CACHE_HOME", file);
    const std::string got = refusal_of_place();
    EXPECT_EQ(got.find((file / "weft").string() + ": cannot create: "), 0U) << got;
    EXPECT_NE(got.find(hint), std::string::npos) << got;
  }
  const Variable cache("XDG_CACHE_HOME", ""), home("HOME", "");
  const std::string got = refusal_of_place();
  EXPECT_NE(got.find("neither XDG_CACHE_HOME nor HOME is set"), std::string::npos) << got;
  EXPECT_NE(got.find(hint), std::string::npos) << got;
}

TEST(RememberedProducts, TellWhenTheirFolderCannotBeWritten) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const fs::path dir = new_directory("cache");
  const Variable cache("XDG_CACHE_HOME", dir);
  fs::create_directories(dir / "weft");
  for (const fs::path& folder : {dir / "weft", dir}) {
    fs::permissions(folder, fs::perms::owner_read | fs::perms::owner_exec);
    const std::string got = refusal_of_place();
    fs::permissions(folder, fs::perms::owner_all);
    EXPECT_NE(got.find("Permission denied\nset XDG_CACHE_HOME"), std::string::npos) << got;
    fs::remove(dir / "weft");
  }
}

}  // namespace
}  // namespace weft
