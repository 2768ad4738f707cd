// Where tests find their data and the program; the build defines both for this file alone.
namespace weft {
extern const char* const kTestDir = WEFT_TEST_DIR_PATH;
extern const char* const kWeftBinary = WEFT_BINARY_PATH;
}  // namespace weft
