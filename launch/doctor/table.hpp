// How the doctor prints what it found and measured.
#pragma once

#include <string>
#include <vector>

#include "launch/doctor/findings.hpp"
#include "launch/doctor/groups.hpp"
#include "launch/doctor/products.hpp"
#include "launch/doctor/rates.hpp"

namespace weft {

// Lines for people, columns below each other.
std::vector<std::string> lines_of(const std::vector<Finding>& findings);
std::vector<std::string> lines_of(const std::vector<Rate>& rates);
std::vector<std::string> lines_of(const std::vector<GroupRate>& rates);
std::vector<std::string> lines_of(const std::vector<MeasuredProduct>& products);
std::string line_of(const OddRank& odd);

// The same for programs.
Json json_of(const Finding& finding);
Json json_of(const Rate& rate);
Json json_of(const GroupRate& rate);
Json json_of(const MeasuredProduct& product);
Json json_of(const OddRank& odd);

}  // namespace weft
