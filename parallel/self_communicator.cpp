// The communicator of a rank that is alone.
#include "core/backend/backend.hpp"
#include "core/base/error.hpp"
#include "parallel/communicator.hpp"

namespace weft {

namespace {

void copy(const char* operation, Tensor& out, const Tensor& x) {
  if (out.numel() != x.numel() || out.dtype() != x.dtype()) {
    throw Error(std::string(operation) + ": out is " + out.shape().str() + " but one rank gives " +
                x.shape().str());
  }
  if (out.raw() != x.raw() && x.bytes() > 0) backend(out).copy(out, x);
}

[[noreturn]] void nobody(const char* operation) {
  throw Error(std::string(operation) + ": a group of one rank has no other rank");
}

class SelfCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }

  void all_reduce(Tensor&, ReduceOp) override {}
  void all_gather(Tensor& out, const Tensor& x) override { copy("all_gather", out, x); }
  void reduce_scatter(Tensor& out, const Tensor& x) override { copy("reduce_scatter", out, x); }
  void broadcast(Tensor&, int root) override { check_root(root); }
  void send(const Tensor&, int, int) override { nobody("send"); }
  void receive(Tensor&, int, int) override { nobody("receive"); }
  void barrier() override {}

  double all_reduce(double x, ReduceOp) override { return x; }
  void all_reduce(std::span<std::int64_t>, ReduceOp) override {}
  std::string broadcast(const std::string& s, int root) override {
    check_root(root);
    return s;
  }

  std::vector<std::string> roll_call(const std::string& word, std::chrono::milliseconds) override {
    return {word};
  }

  std::unique_ptr<Communicator> split(int, int) const override { return self_communicator(); }

 private:
  static void check_root(int root) {
    if (root != 0) nobody("broadcast");
  }
};

}  // namespace

std::unique_ptr<Communicator> self_communicator() { return std::make_unique<SelfCommunicator>(); }

}  // namespace weft
