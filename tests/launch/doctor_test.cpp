// weft doctor: what it prints, as a table and as JSON, and what it cannot do.
#include <sstream>

#include <gtest/gtest.h>

#include "core/base/json.hpp"
#include "launch/doctor/groups.hpp"
#include "launch/doctor/machine.hpp"
#include "launch/doctor/table.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/launch/tiny_run.hpp"

namespace weft {
namespace {

// The objects that have `key`, by its value.
std::map<std::string, Json> objects(const std::string& lines, const std::string& key) {
  std::map<std::string, Json> found;
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) {
    const Json json = parse_json(line, "doctor");
    if (json.contains(key)) found[json[key].get<std::string>()] = json;
  }
  return found;
}

TEST(Doctor, TellsWhatIsThereAndHowToGetTheRest) {
  const ProgramResult r = run_weft({"doctor"});
  EXPECT_EQ(r.status, 0) << r.err;
  for (const char* part : {"Weft ", "CPU ", "memory ", "oneDNN ", "MPI ", "CUDA "}) {
    EXPECT_NE(r.out.find(part), std::string::npos) << part;
  }
  for (const auto& [name, finding] : objects(run_weft({"doctor", "--json"}).out, "finding")) {
    EXPECT_EQ(finding.contains("missing"), finding.contains("hint")) << name;
  }
}

TEST(Doctor, MeasuresTheCpuWhereNoGpuIsWanted) {
  const ProgramResult r = run_weft({"doctor", "--gpu", "--device", "cpu", "--json"});
  EXPECT_EQ(r.status, 0) << r.err;
  const auto rates = objects(r.out, "rate");
  for (const char* name :
       {"matmul bf16", "matmul fp32", "memory", "attention forward", "attention backward"}) {
    ASSERT_TRUE(rates.contains(name)) << name;
    EXPECT_GT(rates.at(name)["value"].get<double>(), 0) << name;
    EXPECT_GT(rates.at(name)["peak"].get<double>(), 0) << name;
  }
}

TEST(Doctor, MeasuresTheExchangeBetweenRanks) {
  const ProgramResult r =
      run_shell(mpirun(4) + "$WEFT doctor --comm --tensor 2 --device cpu --json");
  EXPECT_EQ(r.status, 0) << r.err;
  const auto groups = objects(r.out, "group");
  ASSERT_EQ(groups.size(), 3U) << r.out;
  EXPECT_EQ(groups.at("world")["ranks"], 4);
  for (const char* name : {"data", "tensor"}) {
    EXPECT_EQ(groups.at(name)["ranks"], 2);
    EXPECT_GT(groups.at(name)["bus_bytes_per_second"].get<double>(), 0);
  }
}

TEST(Doctor, RefusesWhatCannotBeMeasured) {
  const ProgramResult alone = run_weft({"doctor", "--comm"});
  EXPECT_EQ(alone.status, 2);
  EXPECT_NE(alone.err.find("mpirun -np 2 weft doctor --comm"), std::string::npos) << alone.err;
  const ProgramResult uneven = run_shell(mpirun(2) + "$WEFT doctor --comm --tensor 3 --device cpu");
  EXPECT_EQ(uneven.status, 2);
  for (const char* start :
       {"$WEFT doctor --tensor 2", "$WEFT doctor --gpu --device cpu --tensor 2"}) {
    const ProgramResult groupless = run_shell(start);
    EXPECT_EQ(groupless.status, 2) << start;
    EXPECT_NE(groupless.err.find("add --comm"), std::string::npos) << groupless.err;
    EXPECT_EQ(groupless.out, "") << start;
  }
}

TEST(Doctor, CountsOneThreadAsOne) {
  const ProgramResult r = run_weft({"doctor", "--threads", "1"});
  EXPECT_NE(r.out.find(" 1 thread of this process"), std::string::npos) << r.out;
}

// The column is there for those rates whose peak is known.
TEST(Doctor, HasNoColumnOfPeaksThatNobodyKnows) {
  const Rate unknown{.name = "memory", .size = "1 MB", .value = 1e9, .unit = "B", .peak = 0};
  Rate known = unknown;
  known.peak = 2e9;
  EXPECT_EQ(lines_of(std::vector<Rate>{unknown}),
            (std::vector<std::string>{"rate    measured  size", "memory  1 GB/s    1 MB"}));
  EXPECT_EQ(lines_of(std::vector<Rate>{unknown, known}),
            (std::vector<std::string>{"rate    measured  of the peak    size",
                                      "memory  1 GB/s                   1 MB",
                                      "memory  1 GB/s    50% of 2 GB/s  1 MB"}));
}

TEST(Doctor, PrintsTheProductsWithWhatEachKernelReaches) {
  const auto times = [](ProductKernel kernel, double seconds) {
    return KernelTimes{.kernel = kernel, .seconds = {seconds, seconds, seconds}};
  };
  MeasuredProduct product{.call = {}, .calls = 12, .times = {}};
  product.call.shape = {.m = 1000, .n = 500, .k = 100, .dtype = DType::bf16};
  product.call.shape.b_column = 100;
  product.times = {times(ProductKernel::onednn, 1e-3), times(ProductKernel::tiles, 8e-4)};
  product.by_rule = ProductKernel::onednn;
  product.chosen = ProductKernel::tiles;
  product.peak = 250e9;
  EXPECT_EQ(lines_of(std::vector<MeasuredProduct>{product}),
            (std::vector<std::string>{
                "product       dtype  size              calls  onednn  onednn_packed  tiles  "
                "of the peak  other / rule  rule    chosen",
                "matmul A B^T  bf16   1000 x 500 x 100  12     100.0                  125.0  "
                "50%          1.250         onednn  tiles"}));
  const Json json = json_of(product);
  EXPECT_EQ(json["size"], "1000 x 500 x 100");
  EXPECT_NEAR(json["flops_per_second"]["tiles"].get<double>(), 1.25e11, 1e3);
  EXPECT_EQ(json["chosen"], "tiles");
}

TEST(Doctor, TellsWhatIsThereBeforeItTellsThatTheDeviceIsNot) {
  const ProgramResult r = run_shell("CUDA_VISIBLE_DEVICES= $WEFT doctor --gpu --device cuda");
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.out.find("CUDA "), std::string::npos) << r.out;
  EXPECT_NE(r.err.find("--device cuda: "), std::string::npos) << r.err;
}

TEST(OddRanks, AreThoseClearlyBelowTheMedian) {
  EXPECT_EQ(clearly_below_median({10, 11, 9, 3, 10}), (std::vector<std::size_t>{3}));
  EXPECT_EQ(clearly_below_median({10, 11, 9, 8}), std::vector<std::size_t>{});
  EXPECT_EQ(clearly_below_median({10, 1}), std::vector<std::size_t>{});  // who is to say which
  EXPECT_EQ(clearly_below_median({100, 1, 10}), (std::vector<std::size_t>{1}));
}

TEST(Machine, IsReadFromTheKernelsFiles) {
  const Machine m = read_machine(
      "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: Some CPU\nphysical id\t: "
      "0\ncore id\t\t: 0\n"
      "flags\t\t: fpu avx2 avx512f amx_bf16\n\n"
      "processor\t: 1\nmodel name\t: Some CPU\nphysical id\t: 0\ncore id\t\t: 0\n\n"
      "processor\t: 2\nmodel name\t: Some CPU\nphysical id\t: 1\ncore id\t\t: 0\n",
      "MemTotal:       1000 kB\nMemAvailable:    250 kB\n");
  EXPECT_EQ(m.processor, "Some CPU");
  EXPECT_EQ(m.family + "/" + m.model, "25/17");
  EXPECT_EQ(m.cores, 2);
  EXPECT_EQ(m.instructions, (std::vector<std::string>{"AVX2", "AVX-512", "AMX bf16"}));
  EXPECT_EQ(m.memory, 1024000);
  EXPECT_EQ(m.free_memory, 256000);
}

}  // namespace
}  // namespace weft
