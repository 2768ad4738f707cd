// Entry point of the one binary.
#include "launch/cli.hpp"
#include "launch/process.hpp"

int main(int argc, char** argv) {
  weft::limit_spinning(argv);
  return weft::run(argc, argv);
}
