// What a program has run, for the list of kernels and for the tests that drop barriers. How far
// their results were from fp64, tests/kernel_errors.hpp tells.
#pragma once

#include <string>

namespace cuda_emulator {

// `file` is where the launch stands; "" for a library's call.
void report_launch(const std::string& kernel, const char* file);
void report_barrier(const char* file, unsigned line, const char* kind, const std::string& kernel);

// The test that runs now, and how long it took when it has ended.
void report_test_begins(const std::string& name);
void report_test_ends(double seconds);
// Why the running test fails, in one line.
void report_failure(const std::string& why);
// The same of the whole program, which ends at once: its report is written now.
void report_end(const std::string& why);

}  // namespace cuda_emulator
