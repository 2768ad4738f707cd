// The records of a run.
#include "launch/training/metrics.hpp"

#include <chrono>
#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "core/base/files.hpp"

namespace weft {

namespace {

// Ready for appending.
std::filesystem::path cut(std::filesystem::path file, const RecordOptions& options) {
  cut_metrics(file, options.first_step, options.first_evaluation);
  return file;
}

// Whether a line is a metrics object of those that stay.
bool stays(std::string_view line, std::int64_t last_step, std::int64_t last_evaluation) {
  try {
    const Json values = parse_json(line, "metrics.jsonl");
    if (!values.is_object() || !values.contains("step")) return false;
    const bool evaluation = values.contains("eval_loss");
    return values["step"].get<std::int64_t>() <= (evaluation ? last_evaluation : last_step);
  } catch (const std::exception&) {  // a line that a crash cut short
    return false;
  }
}

}  // namespace

void cut_metrics(const std::filesystem::path& file, std::int64_t last_step,
                 std::int64_t last_evaluation) {
  if (!std::filesystem::exists(file)) return;
  const std::string text = read_file(file);
  std::string kept;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string_view line(text.data() + begin, end - begin);
    if (stays(line, last_step, last_evaluation)) kept += std::string(line) + "\n";
    begin = end + 1;
  }
  if (kept != text) write_file_atomic(file, kept);
}

RunRecords::RunRecords(const std::filesystem::path& dir, const RecordOptions& options)
    : metrics_(cut(dir / "metrics.jsonl", options)), log_(dir / "log.txt") {
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

void RunRecords::flush() {
  metrics_.flush();
  log_.flush();
  if (events_) events_->flush();
}

std::string RunRecords::failure() const {
  if (!metrics_.failure().empty()) return metrics_.failure();
  if (events_ && !events_->file().failure().empty()) return events_->file().failure();
  return log_.failure();
}

}  // namespace weft
