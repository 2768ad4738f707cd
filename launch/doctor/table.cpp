// How the doctor prints what it found and measured.
#include "launch/doctor/table.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "launch/console.hpp"

namespace weft {

namespace {

using Row = std::vector<std::string>;

// Columns as wide as their widest cell, two blanks apart.
std::vector<std::string> columns(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::vector<std::string> lines;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    lines.push_back(line.substr(0, line.find_last_not_of(' ') + 1));
  }
  return lines;
}

std::string per_second(double value, const std::string& unit) {
  const std::string number = short_number(value);
  const std::size_t digits = number.find_last_of("0123456789") + 1;
  return fmt::format("{} {}{}/s", number.substr(0, digits), number.substr(digits), unit);
}

}  // namespace

std::vector<std::string> lines_of(const std::vector<Finding>& findings) {
  std::vector<Row> rows;
  for (const Finding& f : findings) {
    rows.push_back({f.name, f.missing.empty() ? f.text : "missing: " + f.missing});
    if (!f.hint.empty()) rows.push_back({"", "-> " + f.hint});
  }
  return columns(rows);
}

std::vector<std::string> lines_of(const std::vector<Rate>& rates) {
  const bool peaks =
      std::any_of(rates.begin(), rates.end(), [](const Rate& r) { return r.peak > 0; });
  std::vector<Row> rows = {{"rate", "measured", "of the peak", "size"}};
  for (const Rate& r : rates) {
    rows.push_back({r.name, per_second(r.value, r.unit),
                    r.peak > 0 ? fmt::format("{:.0f}% of {}", 100 * r.value / r.peak,
                                             per_second(r.peak, r.unit))
                               : "",
                    r.size});
  }
  if (!peaks) {  // of such a GPU they are not known
    for (Row& row : rows) row.erase(row.begin() + 2);
  }
  return columns(rows);
}

std::vector<std::string> lines_of(const std::vector<GroupRate>& rates) {
  std::vector<Row> rows = {{"all-reduce over", "ranks", "bus bandwidth", "latency"}};
  for (const GroupRate& r : rates) {
    rows.push_back({r.name, std::to_string(r.ranks), per_second(r.bus, "B"),
                    fmt::format("{:.0f} us", 1e6 * r.latency)});
  }
  return columns(rows);
}

std::string line_of(const OddRank& odd) {
  return fmt::format("rank {} on {} is slow: {} {}, the median rank's {}", odd.rank, odd.host,
                     odd.what, per_second(odd.value, "B"), per_second(odd.median, "B"));
}

Json json_of(const Finding& f) {
  Json json = {{"finding", f.name}};
  json.update(f.values);
  if (!f.missing.empty()) json["missing"] = f.missing;
  if (!f.hint.empty()) json["hint"] = f.hint;
  return json;
}

Json json_of(const Rate& r) {
  Json json = {{"rate", r.name}, {"value", r.value}, {"unit", r.unit + "/s"}, {"size", r.size}};
  if (r.peak > 0) json["peak"] = r.peak;
  return json;
}

Json json_of(const GroupRate& r) {
  return {{"group", r.name},
          {"ranks", r.ranks},
          {"bus_bytes_per_second", r.bus},
          {"latency_seconds", r.latency}};
}

Json json_of(const OddRank& odd) {
  return {{"odd_rank", odd.rank},
          {"host", odd.host},
          {"what", odd.what},
          {"value", odd.value},
          {"median", odd.median}};
}

}  // namespace weft
