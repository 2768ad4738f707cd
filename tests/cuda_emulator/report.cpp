// Counts launches, checks, barriers and waits of the host; written to a file of WEFT_KERNEL_REPORT
// when the program ends.
#include "tests/cuda_emulator/report.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include <errno.h>
#include <unistd.h>

#include "tests/cuda_emulator/fail.hpp"
#include "tests/cuda_emulator/runtime_state.hpp"
#include "tests/cuda_emulator/settings.hpp"
#include "tests/kernel_errors.hpp"

namespace cuda_emulator {

namespace {

// The worst error against fp64, from the checks that came after the fewest kernels: those tell most
// about a kernel.
struct Worst {
  double worst = 0;
  std::size_t among = 0;  // how many kernels that were; 0 before any check

  void add(double error, std::size_t kernels) {
    if (among == 0 || kernels < among) {
      among = kernels;
      worst = error;
    } else if (kernels == among) {
      worst = std::max(worst, error);
    }
  }
};

struct Kernel {
  std::string file;
  long launches = 0;
  long checks = 0;
  Worst wide, half;  // of results with 32 bits and more, and with 16: those were rounded once more
};

struct Barrier {
  const char* kind = "";
  std::string kernel;           // one that meets it
  std::set<std::string> tests;  // that meet it
};

struct Report {
  std::mutex mutex;
  std::map<std::string, Kernel> kernels;
  std::set<Kernel*> since_check;  // launched since the last check
  bool checked = false;           // since then without a launch
  std::map<std::pair<std::string, unsigned>, Barrier> barriers;
  std::map<std::string, double> seconds;                      // of each test
  std::vector<std::pair<std::string, std::string>> failures;  // tests, and why
  std::string test;

  // One line per kernel, per barrier and test, and per failure, one each of the host's
  // waits and of launched graphs; the
  // fields are separated by tabs.
  void write(const std::string& folder) {
    const std::string path =
        folder + "/" + program_invocation_short_name + "." + std::to_string(getpid()) + ".tsv";
    std::FILE* out = std::fopen(path.c_str(), "w");
    if (out == nullptr) fail("cannot write " + path);
    for (const auto& [name, k] : kernels)
      std::fprintf(out, "kernel\t%s\t%s\t%ld\t%ld\t%.3g\t%zu\t%.3g\t%zu\n", name.c_str(),
                   k.file.c_str(), k.launches, k.checks, k.wide.worst, k.wide.among, k.half.worst,
                   k.half.among);
    for (const auto& [site, b] : barriers)
      for (const std::string& t : b.tests)
        std::fprintf(out, "barrier\t%s:%u\t%s\t%s\t%s\t%.3f\n", site.first.c_str(), site.second,
                     b.kind, b.kernel.c_str(), t.c_str(), seconds[t]);
    for (const auto& [failed, why] : failures)
      std::fprintf(out, "failure\t%s\t%s\t%s\n", program_invocation_short_name, failed.c_str(),
                   why.c_str());
    std::fprintf(out, "waits\t%ld\n", host_waits());
    std::fprintf(out, "graphs\t%ld\n", graph_launches());
    std::fclose(out);
  }
};

std::atomic<Report*> existing = nullptr;

Report& report() {
  // Written by a handler of exit(), which also programs that never return to main() reach.
  static Report* r = [] {
    if (!settings().report.empty()) std::atexit([] { report().write(settings().report); });
    existing = new Report;
    return existing.load();
  }();
  return *r;
}

}  // namespace

void report_launch(const std::string& kernel, const char* file) {
  if (settings().report.empty()) return;
  Report& r = report();
  const std::scoped_lock lock(r.mutex);
  if (r.checked) r.since_check.clear();
  r.checked = false;
  Kernel& k = r.kernels[kernel];
  k.file = file;
  ++k.launches;
  r.since_check.insert(&k);
}

void report_barrier(const char* file, unsigned line, const char* kind, const std::string& kernel) {
  if (settings().report.empty()) return;
  Report& r = report();
  const std::scoped_lock lock(r.mutex);
  Barrier& b = r.barriers[{file, line}];
  b.kind = kind;
  b.kernel = kernel;
  b.tests.insert(r.test);
}

void report_test_begins(const std::string& name) {
  if (settings().report.empty()) return;
  Report& r = report();
  const std::scoped_lock lock(r.mutex);
  r.test = name;
  r.since_check.clear();
}

void report_test_ends(double seconds) {
  if (settings().report.empty()) return;
  Report& r = report();
  const std::scoped_lock lock(r.mutex);
  r.seconds[r.test] = seconds;
}

void report_failure(const std::string& why) {
  if (settings().report.empty()) return;
  Report& r = report();
  const std::scoped_lock lock(r.mutex);
  r.failures.emplace_back(r.test, why);
}

void report_end(const std::string& why) {
  Report* const r = existing.exchange(nullptr);  // once, and not before the settings are known
  if (r == nullptr || settings().report.empty()) return;
  r->failures.emplace_back(r->test, why);
  r->write(settings().report);
}

}  // namespace cuda_emulator

void weft::note_fp64_error(double relative, DType dtype) {
  using namespace cuda_emulator;
  if (settings().report.empty()) return;
  Report& r = report();
  const std::scoped_lock lock(r.mutex);
  r.checked = true;
  for (Kernel* k : r.since_check) {
    ++k->checks;
    (size_of(dtype) == 2 ? k->half : k->wide).add(relative, r.since_check.size());
  }
}
