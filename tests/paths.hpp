// Where tests find their data and the program; included into every test file by the build.
#pragma once

namespace weft {
extern const char* const kTestDir;     // the folder tests/ of the sources
extern const char* const kWeftBinary;  // the built program
}  // namespace weft

#define WEFT_TEST_DIR weft::kTestDir
#define WEFT_BINARY weft::kWeftBinary
