// Tensors of a mapped safetensors file.
#include "core/io/safetensors.hpp"

#include <bit>
#include <cassert>
#include <cstring>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/suggest.hpp"

namespace weft {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

namespace {

// Element i of bytes that need not be aligned.
template <class T>
T element(const std::byte* data, std::size_t i) {
  T x;
  std::memcpy(&x, data + i * sizeof(T), sizeof(T));
  return x;
}

template <class T>
void widen(std::span<float> out, const std::byte* data) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(element<T>(data, i));
}

Shape shape_of(const TensorInfo& t, const std::string& origin) {
  if (t.dims.size() > Shape::kMaxRank) {
    throw InputError(fmt::format("{}: tensor \"{}\" has {} dims; Weft reads at most {}", origin,
                                 t.name, t.dims.size(), Shape::kMaxRank));
  }
  std::vector<std::int64_t> dims;
  // From 2^63 on they become negative.
  for (const std::uint64_t d : t.dims) dims.push_back(static_cast<std::int64_t>(d));
  if (!Shape::valid(dims)) {  // only a tensor without elements can come here
    throw InputError(
        fmt::format("{}: tensor \"{}\" has the shape {}", origin, t.name, t.shape_str()),
        "2^59 is the most that the dims which are not 0 may multiply to");
  }
  return Shape(dims);
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path), map_(path), header_(parse_safetensors(map_.bytes(), path.string())) {
  for (std::size_t i = 0; i < header_.tensors.size(); ++i) index_[header_.tensors[i].name] = i;
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &header_.tensors[it->second];
}

const TensorInfo& SafetensorsFile::at(std::string_view name) const {
  if (const TensorInfo* t = find(name)) return *t;
  std::vector<std::string> names;
  for (const TensorInfo& t : header_.tensors) names.push_back(t.name);
  const std::string near = nearest(name, names);
  throw InputError(fmt::format("{}: no tensor \"{}\"", path_.string(), name),
                   near.empty() ? "" : "the nearest name there is " + near);
}

std::span<const std::byte> SafetensorsFile::bytes(const TensorInfo& tensor) const {
  return map_.bytes().subspan(header_.data + tensor.begin, tensor.end - tensor.begin);
}

void SafetensorsFile::read_f32(const TensorInfo& tensor, std::uint64_t first,
                               std::span<float> out) const {
  assert(first + out.size() <= tensor.numel());
  const std::byte* data = bytes(tensor).data() + first * (safetensors_bits(tensor.dtype) / 8);
  if (out.empty()) return;
  if (tensor.dtype == "F32") {
    std::memcpy(out.data(), data, out.size_bytes());
  } else if (tensor.dtype == "BF16") {
    widen<bfloat16>(out, data);
  } else if (tensor.dtype == "F16") {
    widen<float16>(out, data);
  } else if (tensor.dtype == "F64") {
    widen<double>(out, data);
  } else {
    throw InputError(
        fmt::format("{}: tensor \"{}\" is {}", path_.string(), tensor.name, tensor.dtype),
        "expected F32, BF16, F16 or F64");
  }
}

Tensor SafetensorsFile::read(const TensorInfo& tensor) const {
  const Shape shape = shape_of(tensor, path_.string());
  const std::span<const std::byte> data = bytes(tensor);
  if (tensor.dtype == "I64") {
    Tensor out(shape, DType::i32);
    for (std::int64_t i = 0; i < out.numel(); ++i) {
      const auto x = element<std::int64_t>(data.data(), static_cast<std::size_t>(i));
      if (x != static_cast<std::int32_t>(x)) {
        throw InputError(fmt::format("{}: tensor \"{}\" holds {}, which 32 bits do not",
                                     path_.string(), tensor.name, x));
      }
      out.data<std::int32_t>()[i] = static_cast<std::int32_t>(x);
    }
    return out;
  }
  if (tensor.dtype == "I32" || tensor.dtype == "U8" || tensor.dtype == "BOOL") {
    Tensor out(shape, tensor.dtype == "I32" ? DType::i32 : DType::u8);
    if (!data.empty()) std::memcpy(out.raw(), data.data(), data.size());
    return out;
  }
  Tensor out(shape, DType::f32);
  read_f32(tensor, 0, {out.data<float>(), static_cast<std::size_t>(out.numel())});
  return out;
}

}  // namespace weft
