// Which kernels multiply in a run: what was remembered when it began, and that alone.
#include "launch/training/run_products.hpp"

#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "launch/products/remembered.hpp"
#include "tests/launch/training/pretrain_helpers.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

// The cache is the test's own, and empty at first.
class RunProductsOfPretraining : public testing::Test {
 protected:
  static ProductSetting setting(int ranks = 1) { return {.cpu = this_cpu(), .ranks = ranks}; }
  static fs::path remembered(int ranks = 1) { return *remembered_products(setting(ranks)); }

  void put(const fs::path& file, const std::string& text) const {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  // Four steps in bf16, a checkpoint at every second one.
  std::vector<std::string> config(const fs::path& run_dir) const {
    std::vector<std::string> lines = tiny_config(run_dir);
    lines[5] = "";
    lines[9] = "schedule: {type: linear, warmup_steps: 2, decay_steps: 20}";
    lines[10] = "train: {steps: 4, global_batch: 8, micro_batch: 4, precision: bf16}";
    lines[11] = "checkpoint: {every: 2, keep: 3}";
    lines[13] = "";
    return lines;
  }

  // The gradients of the layers' weights by another kernel than the rule's: it adds up those of the
  // biases in another order.
  static ProductFile other_kernels(int ranks = 1) {
    ProductFile file{.setting = setting(ranks), .table = {}};
    for (const std::int64_t outputs : {16, 32, 48, 64, 96}) {
      for (const std::int64_t inputs : {16, 32, 64}) {
        const ProductClass product{
            .dtype = DType::bf16, .transpose_a = true, .m = outputs, .n = inputs, .k = 128};
        file.table.emplace(product, product_kernels(product).back());
      }
    }
    return file;
  }

  fs::path cache_ = new_directory("cache");
  Variable variable_{"XDG_CACHE_HOME", cache_};
};

class RunProductsInBf16 : public RunProductsOfPretraining {
 protected:
  void SetUp() override {
    if (other_kernels().table.begin()->second == ProductKernel::onednn) {
      GTEST_SKIP() << "this CPU has one kernel for products in bf16";
    }
  }
};

constexpr const char* kLast = "step-00000004";

TEST_F(RunProductsInBf16, DecideABeginningRunAndStayWithIt) {
  const fs::path by_rule = new_directory("runs") / "r", by_table = by_rule.parent_path() / "t";
  ASSERT_EQ(pretrain(config(by_rule)).status, 0);
  EXPECT_FALSE(fs::exists(by_rule / "products.yaml"));

  put(remembered(), to_yaml(other_kernels()));
  const ProgramResult whole = pretrain(config(by_table));
  ASSERT_EQ(whole.status, 0) << whole.err;
  EXPECT_EQ(occurrences(whole.err, "products: " + remembered().string() + " chooses"), 1)
      << whole.err;
  EXPECT_EQ(occurrences(read_file(by_table / "log.txt"), "products: "), 1);
  EXPECT_EQ(read_file(by_table / "products.yaml"), read_file(remembered()));
  EXPECT_FALSE(weights_of(by_table, kLast) == weights_of(by_rule, kLast));

  // What is remembered afterwards, or no more, changes no run that has begun.
  for (const bool has_table : {false, true}) {
    const fs::path run = by_rule.parent_path() / (has_table ? "resumed-t" : "resumed-r");
    put(remembered(), to_yaml(other_kernels()));
    if (!has_table) fs::remove(remembered());
    ASSERT_EQ(pretrain(config(run), "--set train.steps=2").status, 0);
    if (has_table) fs::remove(remembered());
    if (!has_table) put(remembered(), to_yaml(other_kernels()));
    const ProgramResult r = pretrain(config(run));
    ASSERT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(occurrences(r.err, "products: " + run.string() + "/products.yaml chooses"),
              has_table ? 1 : 0)
        << r.err;
    EXPECT_TRUE(weights_of(run, kLast) == weights_of(has_table ? by_table : by_rule, kLast));
  }

  // A new run in the place of the old one has its own beginning.
  fs::remove(remembered());
  const ProgramResult anew = pretrain(config(by_table), "--resume never --force");
  ASSERT_EQ(anew.status, 0) << anew.err;
  EXPECT_FALSE(fs::exists(by_table / "products.yaml"));
  EXPECT_TRUE(weights_of(by_table, kLast) == weights_of(by_rule, kLast));
}

// The ranks of a tensor group hold copies of the same weights. Rank 1 sees another cache.
TEST_F(RunProductsInBf16, AreThoseOfRankZeroOnAllRanks) {
  const fs::path dir = new_directory("runs");
  put(remembered(2), to_yaml(other_kernels(2)));
  const auto run = [&](const std::string& name, const std::string& cache_of_rank_1) {
    const ProgramResult r = run_shell(
        mpirun(2) + "sh -c 'test $OMPI_COMM_WORLD_RANK = 0 || export XDG_CACHE_HOME=" +
        cache_of_rank_1 + "; exec \"$0\" pretrain " + write_config(config(dir / name)).string() +
        " --set parallel.tensor=2' \"$WEFT\"");
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(occurrences(r.err, "products: "), 1) << r.err;
    return weights_of(dir / name, kLast);
  };
  EXPECT_TRUE(run("same", cache_.string()) == run("apart", (dir / "empty").string()));
}

TEST_F(RunProductsOfPretraining, OfAnotherCpuAreLeftToTheRule) {
  const fs::path by_rule = new_directory("runs") / "r", moved = by_rule.parent_path() / "m";
  ASSERT_EQ(pretrain(config(by_rule)).status, 0);
  ASSERT_EQ(pretrain(config(moved), "--set train.steps=2").status, 0);
  ProductFile elsewhere = other_kernels();
  elsewhere.setting.cpu = "Another CPU";
  put(moved / "products.yaml", to_yaml(elsewhere));
  const ProgramResult r = pretrain(config(moved));
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(occurrences(r.err, "was measured on Another CPU"), 1) << r.err;
  EXPECT_TRUE(weights_of(moved, kLast) == weights_of(by_rule, kLast));
}

// A service that has another user's HOME may not look into it.
TEST_F(RunProductsOfPretraining, AreNoneInACacheThatCannotBeUsed) {
  const fs::path dir = new_directory("runs");
  const auto is_passed_over = [&](const std::string& why) {
    const ProgramResult r = pretrain(config(dir / "r"), "--force --resume never");
    ASSERT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(occurrences(read_file(dir / "r/log.txt"), "products: " + remembered().string() + why),
              1)
        << r.err;
    EXPECT_FALSE(fs::exists(dir / "r/products.yaml"));
  };
  put(remembered(), "format: 2\ncpu: x\nthreads: 1\nranks: 1\ncount: 1\nproducts:\n");
  is_passed_over(":6: products: a list is expected: the rule");
  put(remembered(), "format: 9\n");  // of another version of Weft
  is_passed_over(":1: format: 2 is expected: the rule");
  ProductFile foreign = other_kernels();
  foreign.setting.threads = 2;
  put(remembered(), to_yaml(foreign));
  is_passed_over(": cpu, threads, ranks: measured on");
  fs::remove(remembered());

  const auto is_left_to_the_rule = [&](const fs::path& cache) {
    const Variable variable("XDG_CACHE_HOME", cache);
    const ProgramResult r = pretrain(config(dir / "r"), "--force --resume never");
    ASSERT_EQ(r.status, 0) << r.err;
    const std::string log = read_file(dir / "r/log.txt");
    EXPECT_EQ(occurrences(log, "products: " + cache.string() + "/weft"), 1) << log;
    EXPECT_EQ(occurrences(log, "the rule chooses their kernels; "), 1) << log;
  };
  fs::create_symlink("loop", dir / "loop");
  is_left_to_the_rule(dir / "loop");
  if (::geteuid() == 0) GTEST_SKIP() << "root may look into every folder";
  fs::create_directory(dir / "locked");
  fs::permissions(dir / "locked", fs::perms::owner_read);
  is_left_to_the_rule(dir / "locked");
  fs::permissions(dir / "locked", fs::perms::owner_all);
}

TEST_F(RunProductsOfPretraining, OfTheRunItselfMustBeReadable) {
  const fs::path run = new_directory("runs") / "r";
  ASSERT_EQ(pretrain(config(run), "--set train.steps=2").status, 0);
  put(run / "products.yaml", "format: 3\n");
  const ProgramResult r = pretrain(config(run));
  EXPECT_EQ(r.status, 2) << r.err;
  EXPECT_NE(r.err.find("error: " + (run / "products.yaml").string() + ":1: format: 2 is expected"),
            std::string::npos)
      << r.err;
  EXPECT_NE(r.err.find("put back what the run"), std::string::npos) << r.err;
}

TEST_F(RunProductsOfPretraining, StayWhenTheRunGoesOnWithOtherThreads) {
  const fs::path run = new_directory("runs") / "r";
  put(remembered(), to_yaml(other_kernels()));
  ASSERT_EQ(pretrain(config(run), "--set train.steps=2").status, 0);
  const ProgramResult r = pretrain(config(run), "--threads 2");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(occurrences(r.err, "it was measured with " + in_words(other_kernels().setting)), 1)
      << r.err;
}

}  // namespace
}  // namespace weft
