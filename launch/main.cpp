// Entry point of the one binary.
#include "launch/cli.hpp"

int main(int argc, char** argv) { return weft::run(argc, argv); }
