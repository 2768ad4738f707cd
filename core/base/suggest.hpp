// "did you mean": the nearest of a list of names.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace weft {

// The name nearest to `word` by edit distance (transpositions count one), or "" when none is close.
std::string nearest(std::string_view word, std::span<const std::string> names);

}  // namespace weft
