// Stored tensors and the parts that ranks hold of them.
#include "parallel/state_tensor.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <fmt/format.h>

#include "core/backend/transfer.hpp"
#include "core/base/error.hpp"

namespace weft {

namespace {

std::int64_t total(const std::vector<ShardRun>& runs) {
  std::int64_t n = 0;
  for (const ShardRun& r : runs) n += r.count;
  return n;
}

void copy_floats(float* to, const float* from, std::int64_t count) {
  if (count > 0) std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
}

// A rank's runs on the host, one behind the other: a view of host memory when there is one run
// only.
Tensor packed(const StateTensor& t, const std::vector<ShardRun>& runs) {
  if (runs.size() == 1) return to_host(t.local.slice_flat(runs[0].local, {runs[0].count}));
  const Tensor local = to_host(t.local);
  Tensor out({total(runs)}, DType::f32);
  float* to = out.data<float>();
  for (const ShardRun& r : runs) {
    copy_floats(to, local.data<float>() + r.local, r.count);
    to += r.count;
  }
  return out;
}

void unpack(Tensor& whole, const Tensor& packed, const std::vector<ShardRun>& runs) {
  const float* from = packed.data<float>();
  for (const ShardRun& r : runs) {
    copy_floats(whole.data<float>() + r.full, from, r.count);
    from += r.count;
  }
}

// Elements of the stored tensor into `count` places of the part.
template <class T>
void read_rounded(T* to, const ShardedFiles::Entry& from, std::int64_t first, std::int64_t count) {
  constexpr std::int64_t kPiece = 4096;
  float piece[kPiece];
  for (std::int64_t i = 0; i < count; i += kPiece) {
    const std::int64_t n = std::min(kPiece, count - i);
    from.file->read_f32(*from.tensor, static_cast<std::uint64_t>(first + i),
                        {piece, static_cast<std::size_t>(n)});
    for (std::int64_t k = 0; k < n; ++k) to[i + k] = T(piece[k]);
  }
}

void read_run(const Tensor& local, const ShardedFiles::Entry& from, const ShardRun& run) {
  switch (local.dtype()) {
    case DType::f32:
      from.file->read_f32(*from.tensor, static_cast<std::uint64_t>(run.full),
                          {local.data<float>() + run.local, static_cast<std::size_t>(run.count)});
      return;
    case DType::bf16:
      read_rounded(local.data<bfloat16>() + run.local, from, run.full, run.count);
      return;
    case DType::f16:
      read_rounded(local.data<float16>() + run.local, from, run.full, run.count);
      return;
    default:
      throw Error(fmt::format("a stored tensor cannot be read as {}", name_of(local.dtype())));
  }
}

// What no run of the parameter covers. All bits zero is 0 in every dtype.
void clear_padding(const Tensor& local, const StateTensor& t, const TensorRank& at) {
  const std::size_t width = size_of(local.dtype());
  auto* bytes = static_cast<std::byte*>(local.raw());
  std::int64_t covered = 0;
  const auto clear_until = [&](std::int64_t end) {
    if (end > covered) {
      std::memset(bytes + static_cast<std::size_t>(covered) * width, 0,
                  static_cast<std::size_t>(end - covered) * width);
    }
  };
  for (const ShardRun& r : shard_runs(t.full, t.shard, at)) {
    clear_until(r.local);
    covered = r.local + r.count;
  }
  clear_until(t.local.numel());
}

}  // namespace

std::vector<ShardRun> state_runs(const StateTensor& tensor, const TensorRank& at) {
  std::int64_t row = 1;
  for (int i = 1; i < tensor.full.rank(); ++i) row *= tensor.full[i];
  const std::int64_t begin = tensor.first * row;
  const std::int64_t end = begin + tensor.shape.numel();

  std::vector<ShardRun> runs;
  for (const ShardRun& run : shard_runs(tensor.full, tensor.shard, at)) {
    const std::int64_t from = std::max(run.full, begin);
    const std::int64_t to = std::min(run.full + run.count, end);
    if (from < to) {
      runs.push_back(
          {.local = run.local + (from - run.full), .full = from - begin, .count = to - from});
    }
  }
  return runs;
}

Tensor gather_state(const StateTensor& t, int root, Communicator& group) {
  assert(t.local.dtype() == DType::f32);
  assert(t.local.shape() == shard_shape(t.full, t.shard, group.size()));
  const std::vector<ShardRun> own = state_runs(t, {group.rank(), group.size()});
  if (group.rank() != root) {
    if (t.shard.dim >= 0 && !own.empty()) group.send(packed(t, own), root);
    return {};
  }
  if (own.size() == 1 && own[0].count == t.shape.numel()) {
    return to_host(t.local.slice_flat(own[0].local, t.shape));
  }
  Tensor whole(t.shape, DType::f32);
  unpack(whole, packed(t, own), own);
  for (int r = 0; r < group.size(); ++r) {
    const std::vector<ShardRun> theirs = state_runs(t, {r, group.size()});
    if (r == root || theirs.empty()) continue;
    const bool one = theirs.size() == 1;  // arrives where it belongs
    Tensor part = one ? whole.slice_flat(theirs[0].full, {theirs[0].count})
                      : Tensor({total(theirs)}, DType::f32);
    group.receive(part, r);
    if (!one) unpack(whole, part, theirs);
  }
  return whole;
}

void check_shape(const StateTensor& t, const ShardedFiles::Entry& from) {
  if (from.tensor->has_shape(t.shape)) return;
  throw InputError(fmt::format("{}: {} is {}, the configuration wants {}",
                               from.file->path().string(), from.tensor->name,
                               from.tensor->shape_str(), t.shape.str()));
}

void read_state(const StateTensor& t, const ShardedFiles::Entry& from, const TensorRank& at) {
  check_shape(t, from);
  Tensor local = t.local;
  const Tensor host = to_host(local);  // with what it holds of other stored tensors
  for (const ShardRun& run : state_runs(t, at)) read_run(host, from, run);
  clear_padding(host, t, at);
  if (host.device() != local.device()) backend(local).upload(local, host);
  local.storage().bump_version();
}

}  // namespace weft
