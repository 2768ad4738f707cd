// The records of a run: metrics.jsonl, event files and log.txt, written by rank 0.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/json.hpp"
#include "launch/training/appended_file.hpp"
#include "launch/training/event_file.hpp"

namespace weft {

struct RecordOptions {
  bool tensorboard = true;
  // Of a resumed run: records of later steps, and of later evaluations, are cut.
  std::int64_t first_step = 0, first_evaluation = -1;
};

class RunRecords {
 public:
  // `dir` exists. Opens what is there and appends.
  RunRecords(const std::filesystem::path& dir, const RecordOptions& options);

  // One object with a member "step" to metrics.jsonl; its numbers to the event file.
  void metrics(const Json& values);
  // A line to log.txt with date and time.
  void log(std::string_view line);

  void flush();  // what waits
  // Why records wait in memory for a disk that takes them; empty when none do.
  std::string failure() const;

 private:
  AppendedFile metrics_, log_;
  std::unique_ptr<EventWriter> events_;
};

// Drops from a metrics.jsonl the lines of steps above `last_step`, those of evaluations above
// `last_evaluation`, and an incomplete last line.
void cut_metrics(const std::filesystem::path& file, std::int64_t last_step,
                 std::int64_t last_evaluation);

}  // namespace weft
