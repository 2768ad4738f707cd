// Agreement on failure.
#include "parallel/agree.hpp"

#include <optional>

#include <fmt/format.h>

#include "core/base/host.hpp"
#include "core/base/json.hpp"

namespace weft {

namespace {

struct Failure {
  bool input = false;
  std::string message, hint, who;
};

Failure failure_of(const std::exception& e, int rank) {
  Failure f{.message = e.what(), .who = rank_prefix(rank)};
  f.input = dynamic_cast<const InputError*>(&e) != nullptr;
  if (const auto* error = dynamic_cast<const Error*>(&e)) f.hint = error->hint();
  if (const auto* agreed = dynamic_cast<const Agreed*>(&e)) {  // in a smaller or an inner agreement
    f.who = agreed->who;
    f.message.erase(0, f.who.size());
  }
  return f;
}

std::optional<Failure> attempt(const std::function<void()>& work, int rank) {
  try {
    work();
    return std::nullopt;
  } catch (const std::exception& e) {
    return failure_of(e, rank);
  }
}

}  // namespace

std::string rank_prefix(int rank) {
  return rank == 0 ? "" : fmt::format("[rank {} on {}] ", rank, host_name());
}

void agree(Communicator& group, const std::function<void()>& work) {
  const std::int64_t ranks = group.size();
  const int rank = group.rank();
  const std::optional<Failure> own = attempt(work, rank);
  const std::int64_t first = group.all_reduce(own ? rank : ranks, ReduceOp::min);
  if (first == ranks) return;
  Json told;
  if (rank == first) told = {own->input, own->message, own->hint, own->who};
  // A message may quote bytes that are no UTF-8.
  const std::string text = group.broadcast(
      told.dump(-1, ' ', false, Json::error_handler_t::replace), static_cast<int>(first));
  told = parse_json(text, "error");
  const auto part = [&](std::size_t i) { return told.at(i).get<std::string>(); };
  if (told.at(0).get<bool>()) throw AgreedInputError(part(1), part(2), part(3));
  throw AgreedError(part(1), part(2), part(3));
}

}  // namespace weft
