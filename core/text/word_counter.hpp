// How often each word occurs in text files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/text/bert_normalizer.hpp"

namespace weft {

struct WordCount {
  std::string word;  // normalised
  std::int64_t count = 0;
};

// Called at the start and now and then, by the calling thread: bytes of the files read so far, as
// stored, and in all.
using ReadProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// The words of plain or compressed text or .jsonl files ("text", or "a" and "b"), sorted by falling
// count, then by bytes: the same for any number of threads. Words longer than `max_chars` are left
// out. Memory grows with the number of different words. Throws InputError naming file and line.
std::vector<WordCount> count_words(const std::vector<std::filesystem::path>& files,
                                   const BertNormalizerOptions& options, std::int64_t max_chars,
                                   int threads, const ReadProgress& progress = {});

}  // namespace weft
