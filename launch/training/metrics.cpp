// The records of a run.
#include "launch/training/metrics.hpp"

#include <chrono>
#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "core/base/files.hpp"

namespace weft {

namespace {

// Ready for appending what follows step `last`.
std::filesystem::path cut(std::filesystem::path file, std::int64_t last) {
  cut_json_lines(file, last);
  return file;
}

// The step of a line; -1 for what is not a metrics object.
std::int64_t step_of(std::string_view line, const std::string& origin) {
  try {
    const Json values = parse_json(line, origin);
    if (values.is_object() && values.contains("step")) return values["step"].get<std::int64_t>();
  } catch (const std::exception&) {  // a line that a crash cut short
  }
  return -1;
}

}  // namespace

void cut_json_lines(const std::filesystem::path& file, std::int64_t last) {
  if (!std::filesystem::exists(file)) return;
  const std::string text = read_file(file);
  std::string kept;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string_view line(text.data() + begin, end - begin);
    const std::int64_t step = step_of(line, file.string());
    if (step >= 0 && step <= last) kept += std::string(line) + "\n";
    begin = end + 1;
  }
  if (kept != text) write_file_atomic(file, kept);
}

RunRecords::RunRecords(const std::filesystem::path& dir, const RecordOptions& options)
    : metrics_(cut(dir / "metrics.jsonl", options.first_step)), log_(dir / "log.txt") {
  if (options.tensorboard) {
    events_ = std::make_unique<EventWriter>(dir / "tensorboard", options.first_step);
  }
}

void RunRecords::metrics(const Json& values) {
  metrics_.append(values.dump() + "\n");
  if (!events_) return;
  Scalars scalars;
  for (const auto& [name, value] : values.items()) {
    if (name != "step" && value.is_number()) scalars.emplace_back(name, value.get<double>());
  }
  const auto time = std::chrono::system_clock::now().time_since_epoch();
  events_->write(values.at("step").get<std::int64_t>(), std::chrono::duration<double>(time).count(),
                 scalars);
}

void RunRecords::log(std::string_view line) {
  const std::time_t time = std::time(nullptr);
  log_.append(fmt::format("{:%Y-%m-%d %H:%M:%S} {}\n", fmt::localtime(time), line));
}

std::string RunRecords::failure() const {
  if (!metrics_.failure().empty()) return metrics_.failure();
  if (events_ && !events_->file().failure().empty()) return events_->file().failure();
  return log_.failure();
}

}  // namespace weft
