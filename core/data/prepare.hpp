// Data preparation: text files to token files, in bounded memory, on all cores, resumable.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/data/block_tokenizer.hpp"
#include "core/data/token_file.hpp"
#include "core/text/tokenizer.hpp"

namespace weft {

struct PrepareProgress {
  std::uint64_t bytes_done = 0, bytes_total = 0;  // of the input files as stored
  std::int64_t documents = 0, tokens = 0;
};

struct PrepareOptions {
  std::vector<std::filesystem::path> files;
  std::filesystem::path output;  // prefix
  TextOptions text;
  bool force = false;  // replace output and forget an unfinished run
  int threads = 0;     // tokenizing threads; 0: one per core
  // Text between two points from which an interrupted run can go on.
  std::int64_t checkpoint_bytes = 32'000'000;

  // Called by the thread of prepare(), in the order of the input; may be empty.
  std::function<void(const PrepareProgress&)> on_start;  // where an interrupted run goes on
  std::function<void(const PrepareProgress&)> on_progress;
  std::function<void(const std::string&)> on_skipped;  // "FILE:LINE: why"
  std::function<bool()> stop;                          // true: save and return unfinished
};

struct PrepareResult {
  bool finished = true;
  bool resumed = false;
  TokenFileInfo train, held_out;  // held_out counts nothing without TextOptions::held_out
};

// The prefix of the held-out documents.
std::filesystem::path held_out_prefix(const std::filesystem::path& output);

// Writes OUTPUT.bin, .idx and .json, and OUTPUT-held-out.* if documents are held out. Their bytes
// depend on the files' content, the tokenizer and TextOptions alone: not on threads nor on
// interruptions. Works in OUTPUT.partial, where the next call with the same options goes on.
// Throws InputError: no such file, output exists, an unfinished run with other options, bad lines
// (strict), damaged files, nothing to write.
PrepareResult prepare(const PrepareOptions& options, const Tokenizer& tokenizer);

}  // namespace weft
