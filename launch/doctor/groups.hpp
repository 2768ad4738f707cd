// How fast ranks exchange tensors, and which of them are slower than the others.
#pragma once

#include <string>
#include <vector>

#include "launch/doctor/rates.hpp"
#include "parallel/mesh.hpp"

namespace weft {

struct GroupRate {
  std::string name;    // "world", "data", "tensor", "on one host", "between hosts"
  int ranks = 0;       // of one such group
  double bus = 0;      // bytes per second over the slowest link, of the slowest such group
  double latency = 0;  // seconds of a sum of one number
};

// All-reduces in f32 over the groups of more than one rank, all groups of a kind at the same time.
// Collective over the world; the same on all ranks.
std::vector<GroupRate> group_rates(Mesh& mesh);

// What one rank does worse than the others.
struct OddRank {
  int rank = 0;
  std::string host, what;  // "memory", "link to its neighbours"
  double value = 0, median = 0;
};

// By each rank's own memory rate and its best link to a neighbour. Collective over the world; the
// same on all ranks.
std::vector<OddRank> odd_ranks(Mesh& mesh);

// Positions of values clearly below the median; nothing with fewer than three.
std::vector<std::size_t> clearly_below_median(const std::vector<double>& values);
double median(std::vector<double> values);

// One value of each rank, on all ranks.
std::vector<double> gather(Communicator& group, double value);
std::vector<std::string> gather(Communicator& group, const std::string& text);

}  // namespace weft
