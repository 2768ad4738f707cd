// Compares all-reduces of host tensors: one call of MPI, pieces over MPI, and shared memory, which
// is what ranks of one host use: mpirun -np 2 all_reduce [CHUNK_KIB]
#include "benchmarks/all_reduce.hpp"

#include <cstdio>
#include <exception>
#include <optional>

#include <mpi.h>

#include "benchmarks/arguments.hpp"
#include "benchmarks/usage.hpp"
#include "core/base/error.hpp"
#include "launch/failure.hpp"
#include "launch/process.hpp"

namespace {

using namespace weft;

constexpr int kRounds = 7;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The three ways take turns, as a machine is not equally fast all the time.
void compare(Communicator& pieces, Communicator& shared, std::int64_t bytes) {
  const int runs = static_cast<int>(std::clamp<std::int64_t>((1 << 24) / bytes, 1, 100));
  Tensor x({bytes / 4}, DType::f32);
  backend(x).fill(x, 0.0F);
  const auto one_call = [&] {
    MPI_Allreduce(MPI_IN_PLACE, x.raw(), static_cast<int>(x.numel()), MPI_FLOAT, MPI_SUM,
                  MPI_COMM_WORLD);
  };
  one_call();
  std::vector<double> times[3];
  for (int round = 0; round < kRounds; ++round) {
    times[0].push_back(median(time_on_all_ranks(pieces, runs, one_call)));
    times[1].push_back(median(time_all_reduce(pieces, bytes, runs)));
    times[2].push_back(median(time_all_reduce(shared, bytes, runs)));
  }
  if (shared.rank() != 0) return;
  const double mpi = median(times[0]), in_pieces = median(times[1]), in_memory = median(times[2]);
  std::printf("%9.0f %15.4f %15.4f %15.4f %8.2f %8.2f\n", static_cast<double>(bytes) / 1024,
              1e3 * mpi, 1e3 * in_pieces, 1e3 * in_memory, mpi / in_memory, in_pieces / in_memory);
}

void run(std::size_t chunk_bytes) {
  if (launched_rank().ranks == 1)
    throw InputError("one rank has nobody to add up with", "mpirun -np 2 all_reduce");
  const auto pieces = mpi_communicator({.share_memory = false});
  const auto shared = mpi_communicator(
      {.on_no_shared_memory =
           [](const std::string& warning) { std::fprintf(stderr, "%s\n", warning.c_str()); },
       .chunk_bytes = chunk_bytes});
  if (shared->rank() == 0) {
    std::printf("%d ranks; medians of %d rounds, f32, milliseconds\n", shared->size(), kRounds);
    std::printf("%9s %15s %15s %15s %17s\n", "KiB", "MPI, one call", "MPI, pieces", "shared memory",
                "times as fast as");
  }
  for (std::int64_t bytes = 4096; bytes <= std::int64_t{256} << 20; bytes *= 4) {
    compare(*pieces, *shared, bytes);
  }
}

std::size_t chunk_bytes(int argc, char** argv) {
  const auto given = plain_arguments({"all_reduce", argc, argv}, 1);
  if (given.empty()) return MpiOptions{}.chunk_bytes;
  return static_cast<std::size_t>(whole_number("CHUNK_KIB", given[0], 1, 1 << 20)) << 10;
}

}  // namespace

int main(int argc, char** argv) {
  weft::limit_spinning(argv);
  if (weft::asks_for_help(argc, argv,
                          "mpirun -np N all_reduce [CHUNK_KIB (256): of what is reduced through "
                          "shared memory]"))
    return 0;
  std::optional<weft::MpiSession> mpi;  // outlives the error that must end all ranks
  try {
    mpi.emplace();
    run(chunk_bytes(argc, argv));
    return 0;
  } catch (const std::exception& e) {
    return weft::end_ranks(e, weft::exit_status_of(e));
  }
}
