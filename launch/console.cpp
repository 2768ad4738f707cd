// The console: plain stdio, one write per line.
#include "launch/console.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "launch/arguments.hpp"
#include "launch/process.hpp"

namespace weft {

namespace {

void write_line(std::FILE* file, std::string_view prefix, std::string_view line) {
  std::string all(prefix);
  all += line;
  all += '\n';
  std::fwrite(all.data(), 1, all.size(), file);
  std::fflush(file);
}

// Cut to what fits on one line of the terminal: a longer one could not be overwritten.
std::string fitting(std::string line) {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) {
    line = line.substr(0, size.ws_col - 1U);
  }
  return line;
}

std::string bar_of(double fraction) {
  constexpr int kWidth = 24;
  const int full = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kWidth);
  return fmt::format("[{:=<{}}{: <{}}]", "", full, "", kWidth - full);
}

}  // namespace

Console::Console(Level level, bool speaks)
    : level_(level),
      speaks_(speaks),
      terminal_(isatty(STDERR_FILENO) == 1),
      colour_(terminal_ && std::getenv("NO_COLOR") == nullptr) {}

void Console::info(std::string_view line) const {
  if (!quiet()) write_line(stderr, "", line);
}

void Console::verbose(std::string_view line) const {
  if (speaks_ && level_ == Level::verbose) write_line(stderr, "", line);
}

void Console::warn(std::string_view line) const {
  if (speaks_) write_line(stderr, colour_ ? "\x1b[33mwarning:\x1b[0m " : "warning: ", line);
}

void Console::result(std::string_view line) const {
  if (speaks_) write_line(stdout, "", line);
}

void Console::result_text(std::string_view text) const {
  if (speaks_) std::fwrite(text.data(), 1, text.size(), stdout);
}

Console make_console(const Arguments& arguments) {
  const auto level = arguments.quiet()     ? Console::Level::quiet
                     : arguments.verbose() ? Console::Level::verbose
                                           : Console::Level::normal;
  return Console(level, launched_rank().rank == 0);
}

Progress::Progress(const Console& console, std::string title, double total, std::string unit)
    : console_(&console), title_(std::move(title)), unit_(std::move(unit)), total_(total) {}

Progress::~Progress() { finish(); }

void Progress::update(double done, std::string_view note) {
  if (console_->quiet()) return;
  done_ = done;
  note_ = note;
  const auto now = Clock::now();
  const double since = std::chrono::duration<double>(now - drawn_).count();
  if (console_->terminal()) {
    if (visible_ && since < 0.1) return;
    const std::string text = "\r" + fitting(line(done, note, true)) + "\x1b[K";
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
    visible_ = true;
  } else {
    if (since < plain_interval_) return;
    console_->info(line(done, note, false));
    reported_ = true;
  }
  drawn_ = now;
}

void Progress::clear() {
  if (!visible_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  visible_ = false;
}

void Progress::finish() {
  if (finished_ || console_->quiet()) return;
  finished_ = true;
  if (!visible_ && !reported_) return;
  clear();
  console_->info(line(done_, note_, false));
}

std::string Progress::line(double done, std::string_view note, bool bar) const {
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = elapsed > 0 ? (done - first_) / elapsed : 0;
  std::string s = title_;
  if (total_ > 0) {
    if (bar) s += " " + bar_of(done / total_);
    s += fmt::format(" {:.0f}/{:.0f} {} {:.0f}%", done, total_, unit_, 100 * done / total_);
  } else {
    s += fmt::format(" {:.0f} {}", done, unit_);
  }
  if (rate > 0) s += fmt::format(", {}/s", short_number(rate));
  // The first moments, when everything is met for the first time, tell little.
  const bool steady = elapsed > 30 || done - first_ >= 0.01 * (total_ - first_);
  if (rate > 0 && total_ > done && steady) s += ", ETA " + duration((total_ - done) / rate);
  if (!note.empty()) s += fmt::format(", {}", note);
  return s;
}

std::string short_number(double x) {
  constexpr const char* kUnits[] = {"", "k", "M", "G", "T", "P"};
  std::size_t unit = 0;
  while (std::abs(x) >= 999.5 && unit + 1 < std::size(kUnits)) {
    x /= 1000;
    ++unit;
  }
  return fmt::format("{:.3g}{}", x, kUnits[unit]);
}

std::string duration(double seconds) {
  const auto s = static_cast<std::int64_t>(std::llround(seconds));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

}  // namespace weft
