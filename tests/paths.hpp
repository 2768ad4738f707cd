// Where tests find their data and the program; included into every test file by the build.
#pragma once

namespace weft {
// Functions, as constants of other files ask for them before main().
const char* test_dir();     // the folder tests/ of the sources
const char* weft_binary();  // the built program
}  // namespace weft

#define WEFT_TEST_DIR weft::test_dir()
#define WEFT_BINARY weft::weft_binary()
