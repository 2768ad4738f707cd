// Communicator over MPI. MPI sees host memory only: tensors of a GPU are copied there and back, so
// that several ranks may also share one. Each object owns a duplicated MPI_Comm, so several threads
// can communicate at once, each through its own. All-reduces among ranks of one host go through
// memory that these share.
#include <algorithm>
#include <array>
#include <climits>
#include <functional>
#include <thread>
#include <utility>

#include <mpi.h>

#include "core/base/hash.hpp"
#include "parallel/agree.hpp"
#include "parallel/communication_thread.hpp"
#include "parallel/host_reduction.hpp"
#include "parallel/host_staging.hpp"
#include "parallel/operation.hpp"

namespace weft {

namespace {

// Large reductions go in pieces that stay in the cache: measured on one host with 2 ranks, 256 MB
// of f32 take 132 ms in one call of Open MPI 4.1 and 42 ms in pieces of 4 MiB.
constexpr std::int64_t kReducePiece = std::int64_t{1} << 20;  // elements
// Counts of MPI 3 are int: what only moves goes in pieces of bytes.
constexpr std::int64_t kMovePiece = std::int64_t{1} << 28;
// Of the words of a roll call; tags of callers are smaller.
constexpr int kRollCallTag = 32767;

MPI_Op mpi_op(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
      return MPI_SUM;
    case ReduceOp::max:
      return MPI_MAX;
    case ReduceOp::min:
      return MPI_MIN;
  }
  return MPI_OP_NULL;
}

std::string error_text(int code) {
  std::string text(MPI_MAX_ERROR_STRING, '\0');
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  return text.substr(0, static_cast<std::size_t>(length));
}

// Calls use(first, count) for consecutive pieces of [0, total).
void for_pieces(std::int64_t total, std::int64_t piece,
                const std::function<void(std::int64_t, int)>& use) {
  for (std::int64_t first = 0; first < total; first += piece) {
    use(first, static_cast<int>(std::min(piece, total - first)));
  }
}

std::byte* at_byte(const Tensor& x, std::int64_t first) {
  return static_cast<std::byte*>(x.raw()) + first;
}

// What a communicator knows of shared memory, and those split from it.
struct Sharing {
  int host = 0;  // the same number for ranks that can share memory, another for all others
  std::size_t chunk_bytes = 0;
  std::function<void(const std::string&)> on_no_shared_memory = {};
};

class MpiCommunicator final : public Communicator {
 public:
  explicit MpiCommunicator(MPI_Comm own, const Sharing& sharing = {})
      : comm_(own), sharing_(sharing) {
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm_, &rank_);
    MPI_Comm_size(comm_, &size_);
  }
  ~MpiCommunicator() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (!finalized) MPI_Comm_free(&comm_);
  }
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void all_reduce(Tensor& x, ReduceOp op) override {
    change_on_host(x, [&](Tensor& host) { reduce(host, op); });
  }
  void all_gather(Tensor& out, const Tensor& x) override {
    fill_on_host(out, [&](Tensor& host) { gather(host, to_host(x)); });
  }
  void reduce_scatter(Tensor& out, const Tensor& x) override {
    fill_on_host(out, [&](Tensor& host) { scatter_sum(host, to_host(x)); });
  }
  void broadcast(Tensor& x, int root) override {
    change_on_host(x, [&](Tensor& host) { broadcast_bytes(host, root); });
  }
  void send(const Tensor& x, int to, int tag) override { send_bytes(to_host(x), to, tag); }
  void receive(Tensor& x, int from, int tag) override {
    fill_on_host(x, [&](Tensor& host) { receive_bytes(host, from, tag); });
  }
  void barrier() override { check(MPI_Barrier(comm_), "barrier", ""); }

  double all_reduce(double x, ReduceOp op) override {
    check(MPI_Allreduce(MPI_IN_PLACE, &x, 1, MPI_DOUBLE, mpi_op(op), comm_), "all_reduce",
          "a double");
    return x;
  }
  void all_reduce(std::span<std::int64_t> x, ReduceOp op) override {
    check(MPI_Allreduce(MPI_IN_PLACE, x.data(), static_cast<int>(x.size()), MPI_INT64_T, mpi_op(op),
                        comm_),
          "all_reduce", fmt::format("{} int64", x.size()));
  }
  std::string broadcast(const std::string& s, int root) override;
  std::vector<std::string> roll_call(const std::string& word,
                                     std::chrono::milliseconds time) override;

  std::unique_ptr<Communicator> split(int color, int key) const override;
  std::unique_ptr<BackgroundReducer> background_reducer(Device device) const override;

  std::unique_ptr<SharedMemory> common_memory(std::size_t bytes) override;

  // Finds out which ranks can share memory, before the first reduction. Collective.
  void find_hosts(const MpiOptions& options);

 private:
  void tell_no_shared_memory(const AgreedError& reason) const;
  void check(int code, std::string_view operation, const std::string& what) const {
    if (code == MPI_SUCCESS) return;
    throw Error(fmt::format("{} of {} failed on rank {} of {}: {}", operation, what, rank_, size_,
                            error_text(code)));
  }
  void check(int code, std::string_view operation, const Tensor& x) const {
    if (code != MPI_SUCCESS) check(code, operation, operand(x));
  }

  std::unique_ptr<MpiCommunicator> part(int color, int key) const;
  void connect_host();

  // The operations on host tensors.
  MPI_Datatype reduced_type(std::string_view operation, const Tensor& x) const;
  void reduce(Tensor& x, ReduceOp op);
  void reduce_wide(Tensor& x, ReduceOp op);
  void gather(Tensor& out, const Tensor& x);
  void scatter_sum(Tensor& out, const Tensor& x);
  void broadcast_bytes(Tensor& x, int root);
  void send_bytes(const Tensor& x, int to, int tag);
  void receive_bytes(Tensor& x, int from, int tag);

  MPI_Comm comm_;
  int rank_ = 0;
  int size_ = 1;
  Sharing sharing_;
  bool host_connected_ = false;
  std::unique_ptr<HostReduction> on_host_;  // none where no ranks share memory
  std::string told_;                        // in a roll call: MPI may still read it afterwards
};

// The type of a reduction's arithmetic.
MPI_Datatype MpiCommunicator::reduced_type(std::string_view operation, const Tensor& x) const {
  if (x.dtype() == DType::i32) return MPI_INT32_T;
  if (x.dtype() == DType::f64) return MPI_DOUBLE;
  if (is_floating(x.dtype())) return MPI_FLOAT;
  refuse(operation, *this, operand(x) + " cannot be reduced");
}

void MpiCommunicator::reduce(Tensor& x, ReduceOp op) {
  const MPI_Datatype type = reduced_type("all_reduce", x);
  if (x.numel() == 0) return;
  connect_host();
  if (on_host_) return on_host_->all_reduce(x, op);
  const auto width = static_cast<std::int64_t>(size_of(x.dtype()));
  if (width == 2) return reduce_wide(x, op);
  for_pieces(x.numel(), kReducePiece, [&](std::int64_t first, int count) {
    check(MPI_Allreduce(MPI_IN_PLACE, at_byte(x, width * first), count, type, mpi_op(op), comm_),
          "all_reduce", x);
  });
}

// 16-bit floats: each piece is widened, reduced in f32 and rounded once.
void MpiCommunicator::reduce_wide(Tensor& x, ReduceOp op) {
  Tensor wide({std::min(x.numel(), kReducePiece)}, DType::f32);
  for_pieces(x.numel(), kReducePiece, [&](std::int64_t first, int count) {
    Tensor narrow = x.slice_flat(first, {count});
    Tensor piece = wide.narrow(0, count);
    backend(piece).copy(piece, narrow);
    check(MPI_Allreduce(MPI_IN_PLACE, piece.raw(), count, MPI_FLOAT, mpi_op(op), comm_),
          "all_reduce", x);
    backend(narrow).copy(narrow, piece);
  });
}

void MpiCommunicator::gather(Tensor& out, const Tensor& x) {
  require_blocks("all_gather", *this, out, x);
  if (x.numel() == 0) return;
  // One element of a derived type per rank, so that only a rank's own block must fit an int.
  if (x.numel() > INT_MAX) refuse("all_gather", *this, operand(x) + " has too many elements");
  MPI_Datatype element = MPI_DATATYPE_NULL;
  MPI_Datatype block = MPI_DATATYPE_NULL;
  MPI_Type_contiguous(static_cast<int>(size_of(x.dtype())), MPI_BYTE, &element);
  MPI_Type_contiguous(static_cast<int>(x.numel()), element, &block);
  MPI_Type_commit(&block);
  const int code = MPI_Allgather(x.raw(), 1, block, out.raw(), 1, block, comm_);
  MPI_Type_free(&block);
  MPI_Type_free(&element);
  check(code, "all_gather", x);
}

void MpiCommunicator::scatter_sum(Tensor& out, const Tensor& x) {
  require_blocks("reduce_scatter", *this, x, out);
  const MPI_Datatype type = reduced_type("reduce_scatter", x);
  // Piece k of every block side by side, in the type of the arithmetic.
  const DType wide = size_of(x.dtype()) == 2 ? DType::f32 : x.dtype();
  const std::int64_t longest = std::min(out.numel(), kReducePiece / size_ + 1);
  Tensor parts({longest * size_}, wide);
  Tensor sum({longest}, wide);
  const auto move = [&](Tensor to, const Tensor& from) {
    if (to.dtype() == from.dtype()) {
      std::copy_n(at_byte(from, 0), from.bytes(), at_byte(to, 0));
    } else {
      backend(to).copy(to, from);
    }
  };
  for_pieces(out.numel(), longest, [&](std::int64_t first, int count) {
    for (int r = 0; r < size_; ++r) {
      move(parts.narrow(r * std::int64_t{count}, count),
           x.slice_flat(r * out.numel() + first, {count}));
    }
    check(MPI_Reduce_scatter_block(parts.raw(), sum.raw(), count, type, MPI_SUM, comm_),
          "reduce_scatter", x);
    move(out.slice_flat(first, {count}), sum.narrow(0, count));
  });
}

void MpiCommunicator::broadcast_bytes(Tensor& x, int root) {
  for_pieces(static_cast<std::int64_t>(x.bytes()), kMovePiece, [&](std::int64_t first, int count) {
    check(MPI_Bcast(at_byte(x, first), count, MPI_BYTE, root, comm_), "broadcast", x);
  });
}

void MpiCommunicator::send_bytes(const Tensor& x, int to, int tag) {
  for_pieces(static_cast<std::int64_t>(x.bytes()), kMovePiece, [&](std::int64_t first, int count) {
    check(MPI_Send(at_byte(x, first), count, MPI_BYTE, to, tag, comm_), "send", x);
  });
}

void MpiCommunicator::receive_bytes(Tensor& x, int from, int tag) {
  for_pieces(static_cast<std::int64_t>(x.bytes()), kMovePiece, [&](std::int64_t first, int count) {
    MPI_Status status;
    check(MPI_Recv(at_byte(x, first), count, MPI_BYTE, from, tag, comm_, &status), "receive", x);
    int arrived = 0;
    MPI_Get_count(&status, MPI_BYTE, &arrived);
    if (arrived != count) {
      refuse("receive", *this,
             fmt::format("{} expected, {} of {} bytes came from rank {}", operand(x), arrived,
                         count, from));
    }
  });
}

std::string MpiCommunicator::broadcast(const std::string& s, int root) {
  auto length = static_cast<std::int64_t>(s.size());
  check(MPI_Bcast(&length, 1, MPI_INT64_T, root, comm_), "broadcast", "a string");
  std::string text = rank_ == root ? s : std::string(static_cast<std::size_t>(length), '\0');
  for_pieces(length, kMovePiece, [&](std::int64_t first, int count) {
    check(MPI_Bcast(text.data() + first, count, MPI_BYTE, root, comm_), "broadcast", "a string");
  });
  return text;
}

std::vector<std::string> MpiCommunicator::roll_call(const std::string& word,
                                                    std::chrono::milliseconds time) {
  std::vector<std::string> words(static_cast<std::size_t>(size_));
  words[static_cast<std::size_t>(rank_)] = told_ = word;
  for (int r = 0; r < size_; ++r) {
    if (r == rank_) continue;
    // Short enough to go at once; nobody may be there to take it.
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Isend(told_.data(), static_cast<int>(told_.size()), MPI_BYTE, r, kRollCallTag, comm_,
                    &request),
          "roll_call", "a word");
    MPI_Request_free(&request);
  }
  const auto end = std::chrono::steady_clock::now() + time;
  for (int missing = size_ - 1; missing > 0;) {
    int there = 0;
    MPI_Status status;
    check(MPI_Iprobe(MPI_ANY_SOURCE, kRollCallTag, comm_, &there, &status), "roll_call", "a word");
    if (!there) {
      if (std::chrono::steady_clock::now() >= end) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    int length = 0;
    MPI_Get_count(&status, MPI_BYTE, &length);
    std::string& theirs = words[static_cast<std::size_t>(status.MPI_SOURCE)];
    theirs.resize(static_cast<std::size_t>(length));
    check(MPI_Recv(theirs.data(), length, MPI_BYTE, status.MPI_SOURCE, kRollCallTag, comm_,
                   MPI_STATUS_IGNORE),
          "roll_call", "a word");
    --missing;
  }
  return words;
}

std::unique_ptr<MpiCommunicator> MpiCommunicator::part(int color, int key) const {
  MPI_Comm part = MPI_COMM_NULL;
  check(MPI_Comm_split(comm_, color, key, &part), "split", fmt::format("color {}", color));
  return std::make_unique<MpiCommunicator>(part, sharing_);
}

std::unique_ptr<Communicator> MpiCommunicator::split(int color, int key) const {
  std::unique_ptr<MpiCommunicator> group = part(color, key);
  if (group->size() == 1) return self_communicator();
  return group;
}

// Connected here, not in the first reduction: its thread then makes no groups while the caller may
// be making others.
std::unique_ptr<BackgroundReducer> MpiCommunicator::background_reducer(Device) const {
  std::unique_ptr<MpiCommunicator> own = part(0, rank_);
  own->connect_host();
  return std::make_unique<CommunicationThread>(std::move(own));
}

// At the first reduction: many a group only agrees on small values.
void MpiCommunicator::connect_host() {
  if (std::exchange(host_connected_, true)) return;
  try {
    on_host_ = HostReduction::connect(*this, sharing_.host, sharing_.chunk_bytes);
  } catch (const AgreedError& e) {  // there is too little: MPI does it
    tell_no_shared_memory(e);
  }
}

void MpiCommunicator::tell_no_shared_memory(const AgreedError& reason) const {
  if (rank_ == 0 && sharing_.on_no_shared_memory) sharing_.on_no_shared_memory(reason.what());
}

std::unique_ptr<SharedMemory> MpiCommunicator::common_memory(std::size_t bytes) {
  std::array<std::int64_t, 2> hosts = {sharing_.host, -sharing_.host};
  all_reduce(hosts, ReduceOp::max);
  if (hosts[0] != -hosts[1]) return nullptr;
  try {
    return std::make_unique<SharedMemory>(share_memory(*this, bytes));
  } catch (const AgreedError& e) {
    tell_no_shared_memory(e);
    return nullptr;
  }
}

void MpiCommunicator::find_hosts(const MpiOptions& options) {
  sharing_ = {.host = rank_,
              .chunk_bytes = options.chunk_bytes,
              .on_no_shared_memory = options.on_no_shared_memory};
  if (!options.share_memory) return;
  try {
    std::string place;
    agree(*this, [&] { place = memory_sharing_place() + "\n" + options.host; });
    Tensor own({sizeof(std::uint64_t)}, DType::u8), all({size_, own.numel()}, DType::u8);
    *static_cast<std::uint64_t*>(own.raw()) = xxh3_64(std::as_bytes(std::span(place)));
    gather(all, own);
    const auto* first = static_cast<const std::uint64_t*>(all.raw());
    const int host = static_cast<int>(std::find(first, first + size_, first[rank_]) - first);
    agree(*this, [&] { share_memory(*split(host, rank_), 4096); });
    sharing_.host = host;
  } catch (const AgreedError& e) {
    tell_no_shared_memory(e);
  }
}

}  // namespace

std::unique_ptr<Communicator> mpi_communicator(const MpiOptions& options) {
  int initialized = 0;
  int threads = MPI_THREAD_SINGLE;
  MPI_Initialized(&initialized);
  if (!initialized) throw Error("mpi_communicator: MPI is not initialised");
  MPI_Query_thread(&threads);
  if (threads < MPI_THREAD_MULTIPLE) {
    throw Error("mpi_communicator: this MPI does not let several threads communicate",
                "use an MPI that provides MPI_THREAD_MULTIPLE, such as Open MPI 4");
  }
  MPI_Comm own = MPI_COMM_NULL;
  if (const int code = MPI_Comm_dup(MPI_COMM_WORLD, &own); code != MPI_SUCCESS) {
    throw Error("mpi_communicator: MPI_Comm_dup failed: " + error_text(code));
  }
  auto world = std::make_unique<MpiCommunicator>(own);
  if (world->size() == 1) return self_communicator();
  world->find_hosts(options);
  return world;
}

}  // namespace weft
