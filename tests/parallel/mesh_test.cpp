// The mesh: which ranks form the data and tensor groups.
#include "parallel/mesh.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/base/plural.hpp"

namespace weft {
namespace {

TEST(Mesh, GroupsFollowTheRankFormula) {
  const int ranks = mpi_communicator()->size();
  for (int t = 1; t <= ranks; t *= 2) {
    Mesh mesh(mpi_communicator(), t);
    const int rank = mesh.world().rank();
    EXPECT_EQ(mesh.tensor().size(), t);
    EXPECT_EQ(mesh.data().size(), ranks / t);
    EXPECT_EQ(rank, mesh.data().rank() * t + mesh.tensor().rank());

    std::int64_t tensor_sum = 0;
    for (int r = rank / t * t; r < rank / t * t + t; ++r) tensor_sum += r;
    EXPECT_EQ(mesh.tensor().all_reduce(std::int64_t{rank}, ReduceOp::sum), tensor_sum);
    std::int64_t data_sum = 0;
    for (int r = rank % t; r < ranks; r += t) data_sum += r;
    EXPECT_EQ(mesh.data().all_reduce(std::int64_t{rank}, ReduceOp::sum), data_sum);
  }
}

TEST(Mesh, RefusesATensorSizeThatDoesNotDivide) {
  const int ranks = mpi_communicator()->size();
  for (const int t : {0, -1, 3, ranks + 1}) {
    try {
      Mesh mesh(mpi_communicator(), t);
      FAIL() << t << " of " << ranks << " accepted";
    } catch (const InputError& e) {
      EXPECT_EQ(std::string(e.what()), "parallel.tensor: " + std::to_string(t) +
                                           " does not divide " + counted(ranks, "rank"));
    }
  }
}

TEST(Mesh, SingleIsOneRank) {
  const Mesh mesh = Mesh::single();
  EXPECT_EQ(mesh.world().size(), 1);
  EXPECT_EQ(mesh.data().size(), 1);
  EXPECT_EQ(mesh.tensor().size(), 1);
}

}  // namespace
}  // namespace weft
