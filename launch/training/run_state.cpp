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

std::optional<LossScaler> scaler_in(const Json& json, const std::string& origin) {
  if (!json.contains("loss_scaler")) return std::nullopt;
  const Json& scaler = json["loss_scaler"];
  return LossScaler{.scale = member<double>(scaler, "scale", origin),
                    .good_steps = member<std::int64_t>(scaler, "good_steps", origin)};
}

std::optional<RunSource> source_in(const Json& json, const std::string& origin) {
  if (!json.contains("began_from")) return std::nullopt;
  const Json& from = json["began_from"];
  return RunSource{.dir = member<std::string>(from, "dir", origin),
                   .step = member<std::int64_t>(from, "step", origin)};
}

}  // namespace

std::string to_json(const RunState& s) {
  Json json = {{"format", kFormat},
               {"weft_version", version()},
               {"step", s.step},
               {"samples", s.samples},
               {"tokens", s.tokens},
               {"updates", s.updates},
               {"evaluated_step", s.evaluated_step},
               {"seconds", s.seconds},
               {"tokenizer_hash", s.tokenizer_hash},
               {"config", s.config}};
  if (s.loss_scaler) {
    json["loss_scaler"] = {{"scale", s.loss_scaler->scale},
                           {"good_steps", s.loss_scaler->good_steps}};
  }
  if (s.began_from) json["began_from"] = {{"dir", s.began_from->dir}, {"step", s.began_from->step}};
  // A name of a file need not be UTF-8.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
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
          .loss_scaler = scaler_in(json, origin),
          .config = member<Json>(json, "config", origin),
          .began_from = source_in(json, origin)};
}

}  // namespace weft
