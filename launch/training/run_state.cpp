// The state of a run beside the tensors.
#include "launch/training/run_state.hpp"

#include "core/base/error.hpp"
#include "launch/version.hpp"

namespace weft {

namespace {

constexpr int kFormat = 1;

template <class T>
T member(const Json& json, const char* key, const std::string& origin) {
  try {
    return json.at(key).get<T>();
  } catch (const Json::exception&) {
    throw InputError(origin + ": " + key + " is missing or of another type",
                     "this is no trainer state that Weft wrote: resume from another checkpoint");
  }
}

}  // namespace

std::string to_json(const RunState& s) {
  const Json json = {{"format", kFormat},
                     {"weft_version", version()},
                     {"step", s.step},
                     {"samples", s.samples},
                     {"tokens", s.tokens},
                     {"updates", s.updates},
                     {"evaluated_step", s.evaluated_step},
                     {"seconds", s.seconds},
                     {"tokenizer_hash", s.tokenizer_hash},
                     {"config", s.config}};
  return json.dump(2) + "\n";
}

RunState run_state_from(const Json& json, const std::string& origin) {
  if (member<int>(json, "format", origin) != kFormat) {
    throw InputError(origin + ": format " + json["format"].dump() + " is not known",
                     "this version of Weft reads format " + std::to_string(kFormat));
  }
  return {.step = member<std::int64_t>(json, "step", origin),
          .samples = member<std::int64_t>(json, "samples", origin),
          .tokens = member<std::int64_t>(json, "tokens", origin),
          .updates = member<std::int64_t>(json, "updates", origin),
          .evaluated_step = member<std::int64_t>(json, "evaluated_step", origin),
          .seconds = member<double>(json, "seconds", origin),
          .tokenizer_hash = member<std::string>(json, "tokenizer_hash", origin),
          .config = member<Json>(json, "config", origin)};
}

}  // namespace weft
