// A build without NCCL.
#include "parallel/nccl_communicator.hpp"

namespace weft {

std::unique_ptr<Communicator> nccl_communicator(std::unique_ptr<Communicator>, Device,
                                                const NcclOptions&) {
  throw Error("this build has no NCCL", "build with cmake --preset cuda");
}

std::string nccl_version() { return ""; }

}  // namespace weft
