// TensorBoard event files: frames with masked CRC-32C around hand-encoded protobuf messages.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "launch/training/appended_file.hpp"

namespace weft {

// CRC-32C (Castagnoli polynomial 0x1EDC6F41, reflected), as iSCSI and TensorFlow records use it.
std::uint32_t crc32c(std::string_view bytes);
// TFRecord's mask: CRCs of data that itself contains CRCs are weak.
std::uint32_t masked_crc32c(std::string_view bytes);

using Scalars = std::vector<std::pair<std::string, double>>;

// Appends scalar summaries to one file, which TensorBoard reads while it grows.
class EventWriter {
 public:
  // Makes DIR if needed and a new file events.out.tfevents.<seconds>.<host>.<pid>.<n> in it. The
  // event "brain.Event:2" opens it. Events of an earlier run at steps above `first_step` are hidden
  // by a session-start event.
  EventWriter(const std::filesystem::path& dir, std::int64_t first_step);

  // All values of one step.
  void write(std::int64_t step, double wall_time, const Scalars& scalars);

  void flush() { file_.flush(); }  // what waits for a full disk

  const AppendedFile& file() const { return file_; }

 private:
  void frame(const std::string& event);

  AppendedFile file_;
};

}  // namespace weft
