// Event files, read back frame by frame with every checksum; and the lines of metrics.jsonl.
#include "launch/training/event_file.hpp"

#include <csignal>
#include <cstring>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "launch/training/metrics.hpp"
#include "tests/launch/event_reader.hpp"
#include "tests/scratch_dir.hpp"

namespace weft {
namespace {

using testing_support::put;
using testing_support::ScratchDir;

// RFC 3720, B.4: CRC-32C of well-known data.
TEST(EventFile, Crc32cOfTheStandardsExamples) {
  std::string rising, falling;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i);
  for (int i = 31; i >= 0; --i) falling += static_cast<char>(i);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43U);
  EXPECT_EQ(crc32c(rising), 0x46DD794EU);
  EXPECT_EQ(crc32c(falling), 0x113FDB5CU);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(""), 0U);
}

TEST(AppendedFile, WhatAFullDiskRefusedIsWrittenLater) {
  const ScratchDir dir;
  AppendedFile file(dir / "log.txt");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{.rlim_cur = 10, .rlim_max = before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  file.append("first\n");
  EXPECT_EQ(file.failure(), "");
  file.append("second\n");
  file.append("third\n");
  const std::string failure = file.failure();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(failure, (dir / "log.txt").string() + ": cannot write: File too large");
  EXPECT_EQ(read_file(dir / "log.txt"), "first\nseco");
  file.append("fourth\n");
  EXPECT_EQ(file.failure(), "");
  EXPECT_EQ(read_file(dir / "log.txt"), "first\nsecond\nthird\nfourth\n");
}

TEST(EventFile, ScalarsReadBack) {
  const ScratchDir dir;
  std::filesystem::path path;
  {
    EventWriter writer(dir / "tensorboard", 0);
    path = writer.file().path();
    writer.write(1, 1700000000.5, {{"loss", 9.25}, {"lr", 1e-4}});
    writer.write(std::int64_t{1} << 40, 1700000001.5, {{"loss", -0.5}});
  }
  EXPECT_TRUE(path.filename().string().starts_with("events.out.tfevents."));
  const std::vector<ReadEvent> events = read_events(path);
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].file_version, "brain.Event:2");
  EXPECT_EQ(events[1].step, 1);
  EXPECT_EQ(events[1].wall_time, 1700000000.5);
  ASSERT_EQ(events[1].scalars.size(), 2U);
  EXPECT_EQ(events[1].scalars[0], (std::pair<std::string, float>("loss", 9.25F)));
  EXPECT_EQ(events[1].scalars[1], (std::pair<std::string, float>("lr", 1e-4F)));
  EXPECT_EQ(events[2].step, std::int64_t{1} << 40);
}

TEST(EventFile, AResumedRunStartsASession) {
  const ScratchDir dir;
  const EventWriter writer(dir.path(), 500);
  const std::vector<ReadEvent> events = read_events(writer.file().path());
  ASSERT_EQ(events.size(), 2U);
  EXPECT_TRUE(events[1].session_start);
  EXPECT_EQ(events[1].step, 501);
}

// The reader itself must notice damage, or the tests above prove nothing.
TEST(EventFile, TheReaderRefusesAFlippedBit) {
  const ScratchDir dir;
  std::filesystem::path path;
  {
    EventWriter writer(dir.path(), 0);
    path = writer.file().path();
    writer.write(1, 1.0, {{"loss", 1.0}});
  }
  const std::string good = read_file(path);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 4);
    put(dir / "bad", bad);
    EXPECT_THROW(read_events(dir / "bad"), Error) << "byte " << i;
  }
}

TEST(RunRecords, MetricsKeepFullPrecisionAndAppend) {
  const ScratchDir dir;
  const double value = 1.0 / 3.0;
  for (int start = 0; start < 2; ++start) {
    RunRecords records(dir.path(), {.tensorboard = false, .first_step = start});
    records.metrics({{"step", start + 1}, {"loss", value}, {"mfu", nullptr}});
    records.log("hello");
  }
  const std::string text = read_file(dir / "metrics.jsonl");
  const Json first = parse_json(text.substr(0, text.find('\n')), "first line");
  EXPECT_EQ(first["loss"].get<double>(), value);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  const std::string log = read_file(dir / "log.txt");
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 2);
  EXPECT_FALSE(std::filesystem::exists(dir / "tensorboard"));
}

TEST(RunRecords, ResumingCutsWhatCameLaterAndHalfALine) {
  const ScratchDir dir;
  put(dir / "metrics.jsonl",
      "{\"step\":1,\"loss\":3.0}\n{\"step\":2,\"loss\":2.0}\n{\"step\":2,\"eval_loss\":2.5}\n"
      "{\"step\":3,\"loss\":1.0}\n{\"step\":4,\"lo");
  cut_metrics(dir / "metrics.jsonl", 2, 2);
  const std::string steps = "{\"step\":1,\"loss\":3.0}\n{\"step\":2,\"loss\":2.0}\n";
  EXPECT_EQ(read_file(dir / "metrics.jsonl"), steps + "{\"step\":2,\"eval_loss\":2.5}\n");
  cut_metrics(dir / "metrics.jsonl", 2, 1);  // that evaluation will be made again
  EXPECT_EQ(read_file(dir / "metrics.jsonl"), steps);
}

}  // namespace
}  // namespace weft
