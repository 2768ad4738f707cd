// Trace events.
#include "launch/profile/trace.hpp"

#include <algorithm>

#include "core/base/json.hpp"

namespace weft {

namespace {

Json metadata(const char* name, int rank, int thread, const std::string& value) {
  return {{"ph", "M"}, {"name", name}, {"pid", rank}, {"tid", thread}, {"args", {{"name", value}}}};
}

Json event(const Span& span, double start, int rank) {
  Json json = {{"ph", "X"},
               {"name", span.name},
               {"cat", span.is_call ? "call" : "range"},
               {"pid", rank},
               {"tid", span.thread},
               {"ts", 1e6 * (span.begin - start)},
               {"dur", 1e6 * span.seconds()}};
  if (!span.is_call) return json;
  Json& args = json["args"];
  args["dtype"] = name_of(span.dtype);
  if (!span.size.empty()) args["size"] = span.size;
  if (span.work.flops > 0) args["GFLOP/s"] = span.work.flops / span.seconds() * 1e-9;
  args["GB/s"] = span.work.bytes / span.seconds() * 1e-9;
  return json;
}

}  // namespace

std::string trace_of(const Timeline& timeline, int rank, const std::string& process) {
  // One by one: a million of them at once would take gigabytes.
  std::string events = metadata("process_name", rank, 0, process).dump();
  const auto append = [&](const Json& json) { events.append(",\n").append(json.dump()); };
  for (std::size_t i = 0; i < timeline.threads.size(); ++i) {
    append(metadata("thread_name", rank, static_cast<int>(i), timeline.threads[i]));
  }
  const auto earlier = [](const Span& a, const Span& b) { return a.begin < b.begin; };
  const auto first = std::min_element(timeline.spans.begin(), timeline.spans.end(), earlier);
  for (const Span& span : timeline.spans) append(event(span, first->begin, rank));
  return "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" + events + "\n]}\n";
}

}  // namespace weft
