// How fast ranks exchange tensors.
#include "launch/doctor/groups.hpp"

#include <algorithm>
#include <chrono>
#include <functional>

#include "core/backend/backend.hpp"
#include "core/base/host.hpp"

namespace weft {

namespace {

constexpr std::int64_t kBytes = std::int64_t{64} << 20;  // of an all-reduce
constexpr std::int64_t kLinkBytes = std::int64_t{16} << 20;
constexpr int kRuns = 5;
constexpr double kClearly = 0.7;  // of the median

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Tensor zeros(std::int64_t bytes, Device device) {
  Tensor x({bytes / 4}, DType::f32, device);
  backend(x).fill(x, 0);
  return x;
}

// Seconds of the fastest of some runs that the ranks of the group begin together. The number of
// runs is fixed, as all of them must make the same calls.
double best_run(Communicator& group, Device device, const std::function<void()>& run) {
  run();
  double best = 1e30;
  for (int i = 0; i < kRuns; ++i) {
    backend(device).synchronize();
    group.barrier();
    const double start = now();
    run();
    backend(device).synchronize();
    best = std::min(best, now() - start);
  }
  return best;
}

GroupRate measure(const std::string& name, Communicator& group, Mesh& mesh) {
  Communicator& world = mesh.world();
  GroupRate rate{.name = name};
  rate.ranks = static_cast<int>(world.all_reduce(std::int64_t{group.size()}, ReduceOp::max));
  if (rate.ranks == 1) return rate;
  const double n = group.size();
  const auto seconds = [&](std::int64_t bytes) {
    Tensor x = zeros(bytes, mesh.device());
    return best_run(group, mesh.device(), [&] { group.all_reduce(x, ReduceOp::sum); });
  };
  // Each byte crosses a link 2 (n - 1) / n times, whatever the algorithm.
  const double bus =
      n == 1 ? 1e30 : 2 * (n - 1) / n * static_cast<double>(kBytes) / seconds(kBytes);
  rate.bus = world.all_reduce(bus, ReduceOp::min);
  rate.latency = world.all_reduce(n == 1 ? 0 : seconds(4), ReduceOp::max);
  return rate;
}

// Number of each rank's host, and each rank's place among the ranks there.
struct Places {
  std::vector<int> host, place;
};

Places places_of(const std::vector<std::string>& hosts) {
  Places places;
  for (std::size_t r = 0; r < hosts.size(); ++r) {
    const auto first = std::find(hosts.begin(), hosts.end(), hosts[r]);
    places.host.push_back(static_cast<int>(first - hosts.begin()));
    places.place.push_back(static_cast<int>(
        std::count(first, hosts.begin() + static_cast<std::ptrdiff_t>(r), hosts[r])));
  }
  return places;
}

// Bytes per second there and back between this rank and `other`.
double link_rate(Communicator& world, int other, Tensor& x, Device device) {
  const auto start_and_end = [&] {
    if (world.rank() < other) {
      world.send(x, other);
      world.receive(x, other);
    } else {
      world.receive(x, other);
      world.send(x, other);
    }
    backend(device).synchronize();
  };
  start_and_end();
  double best = 1e30;
  for (int i = 0; i < kRuns; ++i) {
    const double start = now();
    start_and_end();
    best = std::min(best, now() - start);
  }
  return 2 * static_cast<double>(x.bytes()) / best;
}

// The better of a rank's links to the ranks before and after it: a bad rank has none that is good,
// its neighbours have one.
double best_link(Mesh& mesh) {
  Communicator& world = mesh.world();
  Tensor x = zeros(kLinkBytes, mesh.device());
  double best = 0;
  for (const int parity : {0, 1}) {
    world.barrier();
    const int step = world.rank() % 2 == parity ? 1 : -1;
    const int other = world.rank() + step;
    if (other >= 0 && other < world.size()) {
      best = std::max(best, link_rate(world, other, x, mesh.device()));
    }
  }
  return best;
}

}  // namespace

std::vector<double> gather(Communicator& group, double value) {
  Tensor own({1}, DType::f64);
  own.data<double>()[0] = value;
  Tensor all({group.size()}, DType::f64);
  group.all_gather(all, own);
  return {all.data<double>(), all.data<double>() + group.size()};
}

std::vector<std::string> gather(Communicator& group, const std::string& text) {
  std::vector<std::string> all;
  for (int r = 0; r < group.size(); ++r) all.push_back(group.broadcast(text, r));
  return all;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return values.empty() ? 0 : *middle;
}

std::vector<std::size_t> clearly_below_median(const std::vector<double>& values) {
  std::vector<std::size_t> odd;
  if (values.size() < 3) return odd;
  const double middle = median(values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] < kClearly * middle) odd.push_back(i);
  }
  return odd;
}

std::vector<GroupRate> group_rates(Mesh& mesh) {
  Communicator& world = mesh.world();
  std::vector<GroupRate> rates = {measure("world", world, mesh)};
  if (mesh.tensor().size() > 1) {
    rates.push_back(measure("data", mesh.data(), mesh));
    rates.push_back(measure("tensor", mesh.tensor(), mesh));
  }
  const Places places = places_of(gather(world, host_name()));
  if (*std::max_element(places.host.begin(), places.host.end()) > 0) {
    const auto rank = static_cast<std::size_t>(world.rank());
    const auto one_host = world.split(places.host[rank], world.rank());
    const auto between = world.split(places.place[rank], world.rank());
    rates.push_back(measure("on one host", *one_host, mesh));
    rates.push_back(measure("between hosts", *between, mesh));
  }
  std::erase_if(rates, [](const GroupRate& r) { return r.ranks == 1; });
  return rates;
}

std::vector<OddRank> odd_ranks(Mesh& mesh) {
  Communicator& world = mesh.world();
  const std::vector<std::string> hosts = gather(world, host_name());
  std::vector<OddRank> odd;
  const auto look = [&](const std::string& what, double own) {
    const std::vector<double> all = gather(world, own);
    for (const std::size_t r : clearly_below_median(all)) {
      odd.push_back({.rank = static_cast<int>(r),
                     .host = hosts[r],
                     .what = what,
                     .value = all[r],
                     .median = median(all)});
    }
  };
  look("memory", memory_rate(mesh.device()).value);
  look("link to its neighbours", best_link(mesh));
  return odd;
}

}  // namespace weft
