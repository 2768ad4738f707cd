// Where tests find their data and the program: the build defines both for this file alone, the
// environment may say otherwise (tests/gpu.sh on another machine).
#include <cstdlib>

namespace weft {

namespace {

const char* from_environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

}  // namespace

const char* test_dir() { return from_environment("WEFT_TEST_DIR", WEFT_TEST_DIR_PATH); }
const char* weft_binary() { return from_environment("WEFT_TEST_BINARY", WEFT_BINARY_PATH); }

}  // namespace weft
