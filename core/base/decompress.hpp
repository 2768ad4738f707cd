// Streaming decompression of gzip, xz and zstd behind one interface.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace weft {

enum class Compression { none, gzip, xz, zstd };

// Recognised by the first bytes (six are enough), not by the file's name.
Compression compression_of(std::span<const char> first_bytes);
const char* name_of(Compression compression);

class Decompressor {
 public:
  struct Step {
    std::size_t consumed = 0;
    std::size_t produced = 0;
    std::string problem;  // what is wrong with the data; empty when nothing is
  };

  virtual ~Decompressor() = default;

  // Takes some of `in` and writes some of `out`; both counts are 0 only when more input is needed.
  // Several streams in a row (`cat a.gz b.gz`) read as one.
  virtual Step step(std::span<const char> in, std::span<char> out) = 0;
  // Whether the input may end here: a stream is complete and no other has begun.
  virtual bool complete() const = 0;
};

// `compression` is not none.
std::unique_ptr<Decompressor> make_decompressor(Compression compression);

}  // namespace weft
