// The records of a run: metrics.jsonl, event files and log.txt, written by rank 0.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/json.hpp"
#include "launch/training/event_file.hpp"

namespace weft {

struct RecordOptions {
  bool tensorboard = true;
  std::int64_t first_step = 0;  // of a resumed run: records of later steps are cut
};

class RunRecords {
 public:
  // `dir` exists. Opens what is there and appends.
  RunRecords(std::filesystem::path dir, const RecordOptions& options);
  ~RunRecords();
  RunRecords(const RunRecords&) = delete;
  RunRecords& operator=(const RunRecords&) = delete;

  // One object with a member "step" to metrics.jsonl, in one write; its numbers to the event file.
  void metrics(const Json& values);
  // A line to log.txt with date and time.
  void log(std::string_view line);

 private:
  std::filesystem::path dir_;
  int metrics_file_ = -1;
  int log_file_ = -1;
  std::unique_ptr<EventWriter> events_;
};

// Drops from a file of JSON lines those with a "step" above `last`, and an incomplete last line.
void cut_json_lines(const std::filesystem::path& file, std::int64_t last);

}  // namespace weft
