// Writing safetensors files byte for byte as the reference library does, one tensor at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/io/safetensors.hpp"

namespace weft {

struct TensorSpec {
  std::string name;
  std::string dtype;  // "F32"
  Shape shape;
};

// What was written.
struct WrittenFile {
  std::string name;  // without folders
  std::uint64_t size = 0;
  std::string xxh3_128;
};

// The order of tensors in a file: the dtype the format lists last first, then by name.
void sort_as_stored(std::vector<TensorSpec>& tensors);

// The header goes out at once; the data follows in pieces, so a big model never needs a second
// copy. Failures are those of OutputFile.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorSpec> tensors,
                    const std::vector<std::pair<std::string, std::string>>& metadata = {
                        {"format", "pt"}});

  // In the order in which their data must come.
  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  // The next bytes of the data: pieces may end anywhere.
  void write(std::span<const std::byte> bytes);
  // All data must have come: else Error. Fsyncs.
  WrittenFile finish();

 private:
  std::filesystem::path path_;
  std::vector<TensorSpec> tensors_;
  OutputFile file_;
  Xxh3 hash_;
  std::uint64_t size_ = 0, expected_ = 0;
};

// The same for tensors that come some rows at a time, each in its place, so that a file may be
// bigger than memory. The header goes out at once, into a file that must be empty.
class SafetensorsRowWriter {
 public:
  SafetensorsRowWriter(OutputFile& file, std::vector<TensorSpec> tensors);

  // Rows [first, first + part.shape()[0]) of a tensor: of its dtype and, but for dim 0, its shape.
  void write(const std::string& name, const Tensor& part, std::int64_t first);

 private:
  struct Place {
    std::uint64_t begin = 0, end = 0;  // bytes of the file
    std::uint64_t row = 0;             // bytes
  };
  OutputFile& file_;
  std::map<std::string, Place> places_;
};

// A whole file of host tensors in one call.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, Tensor>>& tensors);

}  // namespace weft
