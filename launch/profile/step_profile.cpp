// Where the time of training steps went.
#include "launch/profile/step_profile.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/backend/cpu_peaks.hpp"

namespace weft {

namespace {

// A span with what is known of its surroundings.
struct Placed {
  const Span* span;
  int depth = 0;  // 0: within no other span of its thread
  bool in_step = false;
  double inner = 0;  // seconds of the spans right within it
};

// Of one thread: outer spans before inner ones.
std::vector<Placed> placed_spans(const Timeline& timeline, int thread) {
  std::vector<Placed> spans;
  // An outer span was recorded after those within it.
  for (auto it = timeline.spans.rbegin(); it != timeline.spans.rend(); ++it) {
    if (it->thread == thread) spans.push_back({.span = &*it});
  }
  std::stable_sort(spans.begin(), spans.end(), [](const Placed& a, const Placed& b) {
    return a.span->begin != b.span->begin ? a.span->begin < b.span->begin
                                          : a.span->end > b.span->end;
  });
  std::vector<Placed*> around;
  for (Placed& p : spans) {
    while (!around.empty() && around.back()->span->end <= p.span->begin) around.pop_back();
    p.depth = static_cast<int>(around.size());
    p.in_step = p.span->name == std::string_view(kStepRange);
    if (!around.empty()) {
      around.back()->inner += p.span->seconds();
      p.in_step = p.in_step || around.back()->in_step;
    }
    around.push_back(&p);
  }
  return spans;
}

double seconds_at_ceiling(const Span& span, const Ceilings& ceilings) {
  const Work& work = span.work;
  const double ceiling = work.flops > 0 ? ceilings.flops(span.dtype) : ceilings.bytes;
  return ceiling > 0 ? (work.flops > 0 ? work.flops : work.bytes) / ceiling : 0;
}

void add(ProfileRow& row, const Span& span, double seconds, const Ceilings& ceilings) {
  row.calls += 1;
  row.seconds += seconds;
  row.work.flops += span.work.flops;
  row.work.bytes += span.work.bytes;
  row.seconds_at_ceiling += seconds_at_ceiling(span, ceilings);
}

ProfileRow& row_of(std::vector<ProfileRow>& rows, const std::string& name, const std::string& dtype,
                   const std::string& size = "") {
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const ProfileRow& r) {
    return r.name == name && r.dtype == dtype && r.size == size;
  });
  if (it != rows.end()) return *it;
  rows.push_back({.name = name, .dtype = dtype, .size = size});
  return rows.back();
}

void add_call(std::vector<ProfileRow>& rows, const Span& span, double seconds,
              const Ceilings& ceilings) {
  ProfileRow& row = row_of(rows, span.name, std::string(name_of(span.dtype)));
  add(row, span, seconds, ceilings);
  if (!span.size.empty()) {
    add(row_of(row.sizes, row.name, row.dtype, span.size), span, seconds, ceilings);
  }
}

void sort_longest_first(std::vector<ProfileRow>& rows) {
  std::stable_sort(rows.begin(), rows.end(),
                   [](const ProfileRow& a, const ProfileRow& b) { return a.seconds > b.seconds; });
  for (ProfileRow& row : rows) sort_longest_first(row.sizes);
}

}  // namespace

Ceilings cpu_ceilings() {
  return {.flops_f32 = cpu_peak_flops(DType::f32),
          .flops_bf16 = cpu_peak_flops(DType::bf16),
          .bytes = cpu_peak_bytes()};
}

StepProfile profile_of(const Timeline& timeline, const Ceilings& ceilings) {
  StepProfile profile;
  const auto is_step = [](const Span& s) { return s.name == std::string_view(kStepRange); };
  const auto first = std::find_if(timeline.spans.begin(), timeline.spans.end(), is_step);
  if (first == timeline.spans.end()) return profile;
  const int own_thread = first->thread;
  const double begin = first->begin;
  double end = first->end;
  for (const Placed& p : placed_spans(timeline, own_thread)) {
    if (!p.in_step) continue;
    const Span& span = *p.span;
    const double own = span.seconds() - p.inner;
    if (is_step(span)) {
      profile.steps += 1;
      profile.seconds += span.seconds();
      end = span.end;
    } else if (p.depth == 1) {
      add(row_of(profile.phases, span.name, ""), span, span.seconds(), ceilings);
    }
    if (span.is_call) {
      add_call(profile.calls, span, own, ceilings);
    } else {
      add(row_of(profile.outside, span.name, ""), span, own, ceilings);
    }
  }
  for (int thread = 0; thread < static_cast<int>(timeline.threads.size()); ++thread) {
    if (thread == own_thread) continue;
    for (const Placed& p : placed_spans(timeline, thread)) {
      if (p.depth > 0 || p.span->begin < begin || p.span->begin > end) continue;
      const std::string name =
          timeline.threads[static_cast<std::size_t>(thread)] + ": " + p.span->name;
      add(row_of(profile.beside, name, ""), *p.span, p.span->seconds(), ceilings);
    }
  }
  sort_longest_first(profile.calls);
  return profile;
}

}  // namespace weft
