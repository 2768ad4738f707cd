// The console: messages and progress on stderr, results on stdout.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace weft {

// Where and how much to speak. Ranks other than 0 are silent, errors excepted.
class Console {
 public:
  enum class Level { quiet, normal, verbose };

  Console(Level level, bool speaks);

  void info(std::string_view line) const;         // stderr, unless quiet
  void verbose(std::string_view line) const;      // stderr, with -v
  void warn(std::string_view line) const;         // stderr: "warning: ..."
  void result(std::string_view line) const;       // stdout, one line
  void result_text(std::string_view text) const;  // stdout, as it is

  bool speaks() const { return speaks_; }
  bool quiet() const { return level_ == Level::quiet || !speaks_; }
  bool terminal() const { return terminal_; }  // stderr is one
  bool colour() const { return colour_; }      // ... and NO_COLOR is not set

 private:
  Level level_;
  bool speaks_;
  bool terminal_, colour_;
};

class Arguments;
// The console that the options --quiet and -v and this process's rank ask for.
Console make_console(const Arguments& arguments);

// How far a long task is: a bar with rate and ETA on a terminal, else a plain line now and then.
class Progress {
 public:
  // `total` 0: not known beforehand. `unit` such as "steps", "MB".
  Progress(const Console& console, std::string title, double total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` counts from the start of the task; work of an earlier run is given to start_at().
  void start_at(double done) { first_ = done; }
  // `note` is shown behind the numbers. Cheap: draws ten times a second at most, plain lines every
  // `interval` seconds.
  void update(double done, std::string_view note = {});
  // Removes the bar, so that a line can be printed above it; the next update draws it again.
  void clear();
  void finish();
  void plain_interval(double seconds) { plain_interval_ = seconds; }

 private:
  std::string line(double done, std::string_view note, bool bar) const;

  using Clock = std::chrono::steady_clock;
  const Console* console_;
  std::string title_, unit_;
  double total_, first_ = 0;
  double plain_interval_ = 10;
  double done_ = 0;
  std::string note_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_;
  bool visible_ = false, reported_ = false, finished_ = false;
};

// "1.2k", "3.4M": three significant digits.
std::string short_number(double x);
// "48 s", "12:05", "3:04:05".
std::string duration(double seconds);

}  // namespace weft
