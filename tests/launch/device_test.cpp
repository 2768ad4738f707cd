// Which device a rank takes.
#include "launch/device.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace weft {
namespace {

LaunchedRank local(int rank, int ranks) {
  return {.rank = 8 + rank, .ranks = 16, .local_rank = rank, .local_ranks = ranks, .launcher = "x"};
}

TEST(ChooseDevice, AutoIsAGpuWhenThereIsOne) {
  EXPECT_EQ(choose_device("auto", {}, 0), Device{});
  EXPECT_EQ(choose_device("auto", {}, 1), (Device{DeviceType::cuda, 0}));
  EXPECT_EQ(choose_device("cpu", {}, 4), Device{});
}

TEST(ChooseDevice, RanksOfAHostTakeItsGpusInTurn) {
  for (int rank = 0; rank < 8; ++rank) {
    EXPECT_EQ(choose_device("auto", local(rank, 8), 8), (Device{DeviceType::cuda, rank}));
    EXPECT_EQ(choose_device("cuda", local(rank, 8), 2), (Device{DeviceType::cuda, rank % 2}));
    EXPECT_EQ(choose_device("auto", local(rank, 8), 1), (Device{DeviceType::cuda, 0}));
  }
}

TEST(ChooseDevice, CudaWithoutAGpuSaysWhyAndWhatToDo) {
  try {
    choose_device("cuda", {}, 0);
    FAIL();
  } catch (const InputError& e) {
    EXPECT_EQ(std::string(e.what()).rfind("--device cuda: ", 0), 0U) << e.what();
    EXPECT_NE(e.hint(), "");
  }
}

}  // namespace
}  // namespace weft
