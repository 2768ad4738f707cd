// Templates and longest-first truncation.
#include "core/text/template.hpp"

#include <algorithm>

namespace weft {

Template Template::bert(std::int32_t cls, std::int32_t sep) {
  const TemplatePiece first{TemplatePiece::kFirst, -1, 0}, second{TemplatePiece::kSecond, -1, 1};
  const auto special = [](std::int32_t id, std::int32_t type) {
    return TemplatePiece{TemplatePiece::kSpecial, id, type};
  };
  return {{special(cls, 0), first, special(sep, 0)},
          {special(cls, 0), first, special(sep, 0), second, special(sep, 1)}};
}

Template Template::bare() {
  const TemplatePiece first{TemplatePiece::kFirst, -1, 0}, second{TemplatePiece::kSecond, -1, 1};
  return {{first}, {first, second}};
}

std::int64_t Template::count_special(const std::vector<TemplatePiece>& pieces) {
  return std::count_if(pieces.begin(), pieces.end(),
                       [](const TemplatePiece& p) { return p.kind == TemplatePiece::kSpecial; });
}

std::pair<std::int64_t, std::int64_t> longest_first(std::int64_t first, std::int64_t second,
                                                    std::int64_t limit) {
  if (first + second <= limit) return {first, second};
  const std::int64_t half = limit / 2, rest = limit - half;
  const std::int64_t shorter = std::min(first, second);
  const std::int64_t keep_shorter = std::min(shorter, half);
  const std::int64_t keep_longer = shorter <= half ? limit - shorter : rest;
  return first <= second ? std::pair{keep_shorter, keep_longer}
                         : std::pair{keep_longer, keep_shorter};
}

void truncate(Encoding& encoding, std::int64_t limit) {
  const auto size = static_cast<std::size_t>(limit);
  if (encoding.ids.size() <= size) return;
  encoding.ids.resize(size);
  encoding.type_ids.resize(size);
  encoding.offsets.resize(size);
}

Encoding apply(const std::vector<TemplatePiece>& pieces, const Encoding& a, const Encoding* b) {
  Encoding out;
  for (const TemplatePiece& piece : pieces) {
    if (piece.kind == TemplatePiece::kSpecial) {
      out.ids.push_back(piece.id);
      out.type_ids.push_back(piece.type);
      out.offsets.emplace_back(0, 0);
      continue;
    }
    const Encoding* from = piece.kind == TemplatePiece::kFirst ? &a : b;
    if (!from) continue;
    out.ids.insert(out.ids.end(), from->ids.begin(), from->ids.end());
    out.type_ids.insert(out.type_ids.end(), from->ids.size(), piece.type);
    out.offsets.insert(out.offsets.end(), from->offsets.begin(), from->offsets.end());
  }
  return out;
}

}  // namespace weft
