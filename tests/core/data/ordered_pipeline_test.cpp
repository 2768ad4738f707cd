// The pipeline keeps order, bounds what is under way, and reports errors in order.
#include "core/data/ordered_pipeline.hpp"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace weft {
namespace {

using Pipeline = OrderedPipeline<int, std::string>;

struct Outcome {
  std::vector<std::string> out;
  std::string error;
  int most_under_way = 0;
};

Outcome run(int workers, int items, int source_fails_at = -1, int work_fails_at = -1,
            int stop_at = -1) {
  Outcome r;
  std::atomic<int> under_way{0}, most{0};
  int next = 0;
  Pipeline p;
  p.source = [&](int& in) {
    if (next == source_fails_at) throw std::runtime_error("source " + std::to_string(next));
    if (next == items) return false;
    in = next++;
    most = std::max(most.load(), ++under_way);
    return true;
  };
  p.work = [&](int&& in) {
    std::this_thread::sleep_for(std::chrono::microseconds(in * 7919 % 300));
    if (in == work_fails_at) throw std::runtime_error("work " + std::to_string(in));
    return std::to_string(in);
  };
  p.sink = [&](std::string&& out) {
    --under_way;
    r.out.push_back(out);
    return static_cast<int>(r.out.size()) != stop_at;
  };
  try {
    p.run(workers);
  } catch (const std::runtime_error& e) {
    r.error = e.what();
  }
  r.most_under_way = most;
  return r;
}

std::vector<std::string> numbers(int n) {
  std::vector<std::string> all;
  for (int i = 0; i < n; ++i) all.push_back(std::to_string(i));
  return all;
}

TEST(OrderedPipeline, KeepsTheOrderForAnyNumberOfWorkers) {
  for (const int workers : {1, 2, 5}) {
    const Outcome r = run(workers, 300);
    EXPECT_EQ(r.out, numbers(300));
    EXPECT_LE(r.most_under_way, 2 * workers + 2);
  }
  EXPECT_TRUE(run(3, 0).out.empty());
}

TEST(OrderedPipeline, ErrorsComeAfterAllThatWasBefore) {
  for (const int workers : {1, 4}) {
    const Outcome in_work = run(workers, 100, -1, 37);
    EXPECT_EQ(in_work.error, "work 37");
    EXPECT_EQ(in_work.out, numbers(37));
    const Outcome in_source = run(workers, 100, 41);
    EXPECT_EQ(in_source.error, "source 41");
    EXPECT_EQ(in_source.out, numbers(41));
    EXPECT_EQ(run(workers, 100, 41, 40).error, "work 40");
  }
}

TEST(OrderedPipeline, TheSinkCanStop) {
  const Outcome r = run(3, 1000000, -1, -1, 25);
  EXPECT_EQ(r.out, numbers(25));
  EXPECT_EQ(r.error, "");
}

TEST(OrderedPipeline, AnErrorOfTheSinkEndsIt) {
  Pipeline p;
  p.source = [](int& in) { return in = 1, true; };
  p.work = [](int&&) { return std::string(); };
  p.sink = [](std::string&&) -> bool { throw std::runtime_error("disk full"); };
  EXPECT_THROW(p.run(2), std::runtime_error);
}

}  // namespace
}  // namespace weft
