// The records of a run.
#include "launch/training/metrics.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"

namespace weft {

namespace {

int open_append(const std::filesystem::path& path) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) throw Error(path.string() + ": " + std::strerror(errno));
  return file;
}

// A line goes out in one write to a file opened for appending: a reader never sees half of one.
void append_line(int file, const std::filesystem::path& path, std::string line) {
  line += '\n';
  if (write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    throw Error(path.string() + ": " + std::strerror(errno));
  }
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

RunRecords::RunRecords(std::filesystem::path dir, const RecordOptions& options)
    : dir_(std::move(dir)) {
  cut_json_lines(dir_ / "metrics.jsonl", options.first_step);
  metrics_file_ = open_append(dir_ / "metrics.jsonl");
  log_file_ = open_append(dir_ / "log.txt");
  if (options.tensorboard) {
    events_ = std::make_unique<EventWriter>(dir_ / "tensorboard", options.first_step);
  }
}

RunRecords::~RunRecords() {
  if (metrics_file_ >= 0) close(metrics_file_);
  if (log_file_ >= 0) close(log_file_);
}

void RunRecords::metrics(const Json& values) {
  append_line(metrics_file_, dir_ / "metrics.jsonl", values.dump());
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
  append_line(log_file_, dir_ / "log.txt",
              fmt::format("{:%Y-%m-%d %H:%M:%S} {}", fmt::localtime(time), line));
}

}  // namespace weft
