// Reading safetensors files: a checked header over a mapped file, tensors by name.
// Format: https://github.com/huggingface/safetensors, README, "Format".
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/files.hpp"
#include "core/tensor/tensor.hpp"

namespace weft {

// One entry of a header.
struct TensorInfo {
  std::string name;
  std::string dtype;  // as in the file: "F32", "BF16", "I64" ...
  std::vector<std::uint64_t> dims;
  std::uint64_t begin = 0, end = 0;  // bytes within the data that follows the header

  std::uint64_t numel() const;
  std::string shape_str() const;  // "[2, 768]"
  bool has_shape(const Shape& shape) const;
};

struct SafetensorsHeader {
  std::size_t data = 0;             // where the data begins in the file
  std::vector<TensorInfo> tensors;  // in the order of their data
  std::vector<std::pair<std::string, std::string>> metadata;
};

// Bits of one element, or 0 for a dtype the format does not know.
unsigned safetensors_bits(std::string_view dtype);
// Its place in the format's list of dtypes, narrow ones first.
std::size_t safetensors_rank(std::string_view dtype);
// The format's name of a dtype of ours.
std::string_view safetensors_dtype(DType dtype);

// Checks a whole file and reads its header. Throws InputError "ORIGIN: ..." naming the tensor for
// anything the format forbids: a header longer than 100 MB or than the file, text that is not one
// JSON object, duplicate or ill-typed keys, an unknown dtype, sizes that overflow or disagree with
// the offsets, gaps, overlaps, and bytes that belong to no tensor.
SafetensorsHeader parse_safetensors(std::span<const std::byte> file, const std::string& origin);

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::vector<TensorInfo>& tensors() const { return header_.tensors; }
  const SafetensorsHeader& header() const { return header_; }
  const TensorInfo* find(std::string_view name) const;  // nullptr when absent
  const TensorInfo& at(std::string_view name) const;    // InputError with the nearest name

  // The stored bytes, in the map: valid as long as this object.
  std::span<const std::byte> bytes(const TensorInfo& tensor) const;
  // Elements [first, first + out.size()) of an F32, BF16, F16 or F64 tensor as f32; F64 is rounded
  // to nearest, the others are exact. InputError for other dtypes.
  void read_f32(const TensorInfo& tensor, std::uint64_t first, std::span<float> out) const;
  // A whole tensor: F32, BF16, F16 and F64 as f32, I32, U8 and BOOL as they are, I64 as i32.
  // InputError for other dtypes, more than six dims, and numbers that i32 does not hold.
  Tensor read(const TensorInfo& tensor) const;

 private:
  std::filesystem::path path_;
  MappedFile map_;
  SafetensorsHeader header_;
  std::unordered_map<std::string_view, std::size_t> index_;
};

}  // namespace weft
