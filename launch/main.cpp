// Entry point of the one binary.
#include <csignal>

#include "launch/cli.hpp"
#include "launch/process.hpp"

int main(int argc, char** argv) {
  // A file beyond the limit of its size (ulimit -f) is an error of its write, which names it.
  std::signal(SIGXFSZ, SIG_IGN);
  weft::limit_spinning(argv);
  return weft::run(argc, argv);
}
