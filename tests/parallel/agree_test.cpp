// Agreement on failure, on any number of ranks.
#include "parallel/agree.hpp"

#include <stdexcept>

#include <gtest/gtest.h>

namespace weft {
namespace {

std::string last_rank_prefix(const Communicator& world) { return rank_prefix(world.size() - 1); }

TEST(Agree, PassesWhenNothingIsWrong) {
  const auto world = mpi_communicator();
  EXPECT_NO_THROW(agree(*world, [] {}));
}

TEST(Agree, AllRanksThrowTheErrorOfTheLowest) {
  const auto world = mpi_communicator();
  const int last = world->size() - 1;
  try {
    agree(*world, [&] {
      if (world->rank() == last) throw InputError("bad \xFF file", "a hint");
    });
    FAIL();
  } catch (const AgreedInputError& e) {
    EXPECT_EQ(e.who, last_rank_prefix(*world));
    EXPECT_EQ(e.what(), e.who + "bad \xEF\xBF\xBD file");  // valid UTF-8 again
    EXPECT_EQ(e.hint(), "a hint");
    EXPECT_EQ(e.who.starts_with("[rank " + std::to_string(last) + " on "), last > 0);
  }
  EXPECT_THROW(agree(*world, [] { throw std::runtime_error("x"); }), AgreedError);
}

TEST(Agree, AnInnerAgreementKeepsItsRank) {
  const auto world = mpi_communicator();
  try {
    agree(*world, [&] {
      agree(*world, [&] {
        if (world->rank() == world->size() - 1) throw Error("full");
      });
    });
    FAIL();
  } catch (const AgreedError& e) {
    EXPECT_EQ(e.who, last_rank_prefix(*world));
    EXPECT_EQ(e.what(), e.who + "full");
  }
}

}  // namespace
}  // namespace weft
