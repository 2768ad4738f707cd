// How the doctor prints what it found and measured.
#include "launch/doctor/table.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/backend/work.hpp"
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

std::string name_of(const MeasuredProduct& p) {
  return work::product_name(p.call.transpose_a(), p.call.transpose_b());
}

std::string size_of(const MeasuredProduct& p) {
  const ProductShape& s = p.call.shape;
  return fmt::format("{} x {} x {}", s.m, s.n, s.k);
}

const KernelTimes* times_of(const MeasuredProduct& p, ProductKernel kernel) {
  const auto it = std::find_if(p.times.begin(), p.times.end(),
                               [&](const KernelTimes& t) { return t.kernel == kernel; });
  return it == p.times.end() ? nullptr : &*it;
}

double rate_of(const MeasuredProduct& p, const KernelTimes& times) {
  const ProductShape& s = p.call.shape;
  return 2 * static_cast<double>(s.m * s.n * s.k) / times.median();
}

// How many times as fast as the rule's kernel the fastest other one is.
double gain_of(const MeasuredProduct& p) {
  double least = HUGE_VAL;
  for (const KernelTimes& t : p.times) {
    if (t.kernel != p.by_rule) least = std::min(least, t.median());
  }
  return times_of(p, p.by_rule)->median() / least;
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

std::vector<std::string> lines_of(const std::vector<MeasuredProduct>& products) {
  Row heading = {"product", "dtype", "size", "calls"};
  for (const ProductKernel kernel : kProductKernels) heading.emplace_back(name_of(kernel));
  for (const char* name : {"of the peak", "other / rule", "rule", "chosen"}) {
    heading.emplace_back(name);
  }
  std::vector<Row> rows = {heading};
  for (const MeasuredProduct& p : products) {
    Row row = {name_of(p), std::string(name_of(p.call.shape.dtype)), size_of(p),
               std::to_string(p.calls)};
    for (const ProductKernel kernel : kProductKernels) {
      const KernelTimes* times = times_of(p, kernel);
      row.push_back(times == nullptr ? "" : fmt::format("{:.1f}", 1e-9 * rate_of(p, *times)));
    }
    row.push_back(fmt::format("{:.0f}%", 100 * rate_of(p, *times_of(p, p.chosen)) / p.peak));
    row.push_back(fmt::format("{:.3f}", gain_of(p)));
    row.emplace_back(name_of(p.by_rule));
    row.emplace_back(name_of(p.chosen));
    rows.push_back(std::move(row));
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

Json json_of(const MeasuredProduct& p) {
  Json rates = Json::object();
  for (const KernelTimes& t : p.times) rates[std::string(name_of(t.kernel))] = rate_of(p, t);
  return {{"product", name_of(p)},
          {"dtype", name_of(p.call.shape.dtype)},
          {"size", size_of(p)},
          {"weight", p.call.b_is_weight},
          {"calls", p.calls},
          {"flops_per_second", rates},
          {"peak", p.peak},
          {"gain", gain_of(p)},
          {"rule", name_of(p.by_rule)},
          {"chosen", name_of(p.chosen)}};
}

Json json_of(const OddRank& odd) {
  return {{"odd_rank", odd.rank},
          {"host", odd.host},
          {"what", odd.what},
          {"value", odd.value},
          {"median", odd.median}};
}

}  // namespace weft
