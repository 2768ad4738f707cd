// Agreement on failure.
#include "parallel/together.hpp"

#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"

namespace weft {

namespace {

struct Failure {
  bool input = false;
  std::string message, hint;
};

std::optional<Failure> failure_of(const std::function<void()>& work) {
  try {
    work();
    return std::nullopt;
  } catch (const Error& e) {
    return Failure{dynamic_cast<const InputError*>(&e) != nullptr, e.what(), e.hint()};
  } catch (const std::exception& e) {
    return Failure{false, e.what(), ""};
  }
}

[[noreturn]] void raise(const Failure& f) {
  if (f.input) throw InputError(f.message, f.hint);
  throw Error(f.message, f.hint);
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown-host";
}

}  // namespace

void together(Communicator& group, const std::function<void()>& work) {
  std::optional<Failure> own = failure_of(work);
  const std::int64_t ranks = group.size();
  const std::int64_t rank = group.rank();
  const std::int64_t first = group.all_reduce(own ? rank : ranks, ReduceOp::min);
  if (first == ranks) return;
  Json told;
  if (rank == first) {
    const std::string who = rank == 0 ? "" : fmt::format("[rank {} on {}] ", rank, host_name());
    told = {own->input, who + own->message, own->hint};
  }
  // A message may quote bytes that are no UTF-8.
  const std::string text = group.broadcast(
      told.dump(-1, ' ', false, Json::error_handler_t::replace), static_cast<int>(first));
  told = parse_json(text, "error");
  raise({told.at(0).get<bool>(), told.at(1).get<std::string>(), told.at(2).get<std::string>()});
}

}  // namespace weft
