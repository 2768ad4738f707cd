// How the profile of steps is printed.
#include "launch/profile/table.hpp"

#include <string_view>

#include <fmt/format.h>

namespace weft {

namespace {

constexpr int kNameWidth = 32;

class Table {
 public:
  explicit Table(const StepProfile& profile) : profile_(profile) {}

  void blank() { lines_.emplace_back(); }
  void line(std::string text) { lines_.push_back(std::move(text)); }

  void heading(std::string_view name) {
    lines_.push_back(fmt::format("{:<{}}{:>7}{:>10}{:>10}{:>9}{:>12}{:>8}", name, kNameWidth,
                                 "calls", "ms", "GFLOP/s", "GB/s", "of ceiling", "share"));
  }

  // `name` may be longer than its column: that of a product's size stands below it.
  void row(const std::string& name, const ProfileRow& row) {
    const auto rate = [&](double work) {
      return work > 0 && row.seconds > 0 ? fmt::format("{:.1f}", work / row.seconds * 1e-9) : "";
    };
    const std::string of_ceiling =
        row.seconds_at_ceiling > 0 && row.seconds > 0
            ? fmt::format("{:.0f}%", 100 * row.seconds_at_ceiling / row.seconds)
            : "";
    const bool by_flops = row.work.flops > 0;
    lines_.push_back(fmt::format("{:<{}}{:>7}{:>10}{:>10}{:>9}{:>12}{:>8}", name, kNameWidth,
                                 per_step(row.calls), milliseconds(row.seconds),
                                 rate(row.work.flops), by_flops ? "" : rate(row.work.bytes),
                                 of_ceiling, share(row.seconds)));
  }

  void total(const std::string& name, double seconds) {
    lines_.push_back(fmt::format("{:<{}}{:>7}{:>10}{:>39}", name, kNameWidth, "",
                                 milliseconds(seconds), share(seconds)));
  }

  std::vector<std::string> take() { return std::move(lines_); }

 private:
  std::string per_step(std::int64_t calls) const {
    return fmt::format("{:.4g}", static_cast<double>(calls) / static_cast<double>(profile_.steps));
  }
  std::string milliseconds(double seconds) const {
    return fmt::format("{:.3f}", 1e3 * seconds / static_cast<double>(profile_.steps));
  }
  std::string share(double seconds) const {
    return fmt::format("{:.1f}%", 100 * seconds / profile_.seconds);
  }

  const StepProfile& profile_;
  std::vector<std::string> lines_;
};

double seconds_of(const std::vector<ProfileRow>& rows) {
  double sum = 0;
  for (const ProfileRow& row : rows) sum += row.seconds;
  return sum;
}

// Those that take long; batches of their own lengths may have made many.
void add_sizes(Table& table, const ProfileRow& row, const StepProfile& profile) {
  constexpr double kLeastShare = 0.005;
  ProfileRow others;
  std::size_t count = 0;
  for (const ProfileRow& size : row.sizes) {
    if (size.seconds >= kLeastShare * profile.seconds) {
      table.row("    " + size.size, size);
      continue;
    }
    ++count;
    others.calls += size.calls;
    others.seconds += size.seconds;
    others.work.flops += size.work.flops;
    others.work.bytes += size.work.bytes;
    others.seconds_at_ceiling += size.seconds_at_ceiling;
  }
  if (count > 0)
    table.row(fmt::format("    {} other size{}", count, count == 1 ? "" : "s"), others);
}

Json json_of(const char* kind, const ProfileRow& row, const StepProfile& profile) {
  Json json = {{"profile", kind}, {"name", row.name}};
  if (!row.dtype.empty()) json["dtype"] = row.dtype;
  if (!row.size.empty()) json["size"] = row.size;
  json["calls"] = row.calls;
  json["seconds"] = row.seconds;
  json["share"] = row.seconds / profile.seconds;
  if (row.work.flops > 0) json["flops"] = row.work.flops;
  if (row.work.bytes > 0) json["bytes"] = row.work.bytes;
  if (row.seconds_at_ceiling > 0) json["of_ceiling"] = row.seconds_at_ceiling / row.seconds;
  return json;
}

}  // namespace

std::vector<std::string> lines_of(const StepProfile& profile, const Ceilings& ceilings) {
  Table table(profile);
  table.line(fmt::format("ceilings: fp32 {:.0f} GFLOP/s, bf16 {:.0f} GFLOP/s, memory {:.0f} GB/s",
                         ceilings.flops_f32 * 1e-9, ceilings.flops_bf16 * 1e-9,
                         ceilings.bytes * 1e-9));
  table.blank();
  table.heading("phase");
  for (const ProfileRow& row : profile.phases) table.row(row.name, row);
  table.blank();
  table.heading("call");
  for (const ProfileRow& row : profile.calls) {
    table.row(fmt::format("{} {}", row.name, row.dtype), row);
    if (row.sizes.size() > 1) add_sizes(table, row, profile);
  }
  table.blank();
  table.heading("outside of calls");
  for (const ProfileRow& row : profile.outside) table.row(row.name, row);
  table.blank();
  table.total("all calls", seconds_of(profile.calls));
  table.total("all outside of calls", seconds_of(profile.outside));
  table.total("step", profile.seconds);
  if (!profile.beside.empty()) {
    table.blank();
    table.heading("other threads, meanwhile");
    for (const ProfileRow& row : profile.beside) table.row(row.name, row);
  }
  return table.take();
}

std::vector<Json> json_of(const StepProfile& profile, const Ceilings& ceilings) {
  std::vector<Json> all = {{{"profile", "step"},
                            {"first_step", profile.first_step},
                            {"steps", profile.steps},
                            {"seconds", profile.seconds}},
                           {{"profile", "ceilings"},
                            {"flops_fp32", ceilings.flops_f32},
                            {"flops_bf16", ceilings.flops_bf16},
                            {"bytes", ceilings.bytes}}};
  for (const ProfileRow& row : profile.phases) all.push_back(json_of("phase", row, profile));
  for (const ProfileRow& row : profile.calls) {
    if (row.sizes.empty()) all.push_back(json_of("call", row, profile));
    for (const ProfileRow& size : row.sizes) all.push_back(json_of("call", size, profile));
  }
  for (const ProfileRow& row : profile.outside) all.push_back(json_of("outside", row, profile));
  for (const ProfileRow& row : profile.beside) all.push_back(json_of("beside", row, profile));
  return all;
}

}  // namespace weft
