// The header of a safetensors file, every rule of the format checked.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <tuple>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/io/safetensors.hpp"

namespace weft {

namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeader = 100'000'000;

struct Element {
  std::string_view name;
  unsigned bits;
};

constexpr Element kElements[] = {
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64}};

// Refuses one tensor of one file.
struct Refusal {
  const std::string& origin;
  [[noreturn]] void operator()(const std::string& tensor, const std::string& what) const {
    throw InputError(fmt::format("{}: tensor {}: {}", origin, Json(tensor).dump(), what));
  }
  [[noreturn]] void operator()(const std::string& what) const {
    throw InputError(origin + ": " + what);
  }
};

std::uint64_t unsigned_of(const Json& j, const std::string& tensor, const char* key,
                          const Refusal& refuse) {
  if (!j.is_number_unsigned()) {
    refuse(tensor,
           fmt::format("{} holds {}, which is no whole number from 0 to 2^64 - 1", key, j.dump()));
  }
  return j.get<std::uint64_t>();
}

const Json& member(const Json& entry, const std::string& tensor, const char* key,
                   const Refusal& refuse) {
  const auto it = entry.find(key);
  if (it == entry.end()) refuse(tensor, fmt::format("has no {}", key));
  return *it;
}

TensorInfo entry_of(const std::string& name, const Json& entry, const Refusal& refuse) {
  if (!entry.is_object()) refuse(name, "its entry is not an object");
  TensorInfo info;
  info.name = name;
  const Json& dtype = member(entry, name, "dtype", refuse);
  if (!dtype.is_string() || safetensors_bits(dtype.get_ref<const std::string&>()) == 0) {
    refuse(name, "unknown dtype " + dtype.dump());
  }
  info.dtype = dtype.get<std::string>();
  const Json& shape = member(entry, name, "shape", refuse);
  if (!shape.is_array()) refuse(name, "shape is not a list");
  for (const Json& dim : shape) info.dims.push_back(unsigned_of(dim, name, "shape", refuse));
  const Json& offsets = member(entry, name, "data_offsets", refuse);
  if (!offsets.is_array() || offsets.size() != 2) {
    refuse(name, "data_offsets is not a list of two numbers");
  }
  info.begin = unsigned_of(offsets[0], name, "data_offsets", refuse);
  info.end = unsigned_of(offsets[1], name, "data_offsets", refuse);
  return info;
}

bool multiply(std::uint64_t& x, std::uint64_t y) { return !__builtin_mul_overflow(x, y, &x); }

// Bytes that the shape asks for.
std::uint64_t size_of(const TensorInfo& t, const Refusal& refuse) {
  std::uint64_t bits = 1;
  bool fits = true;
  for (const std::uint64_t dim : t.dims) fits = fits && multiply(bits, dim);
  if (!fits || !multiply(bits, safetensors_bits(t.dtype))) {
    refuse(t.name, fmt::format("the size of {} {} overflows", t.dtype, t.shape_str()));
  }
  if (bits % 8 != 0) {
    refuse(t.name, fmt::format("{} {} does not fill whole bytes", t.dtype, t.shape_str()));
  }
  return bits / 8;
}

// Tensors must cover the data without gap or overlap, each as long as its shape says.
void check_layout(const std::vector<TensorInfo>& tensors, std::uint64_t data_size,
                  const Refusal& refuse) {
  std::uint64_t at = 0;
  for (const TensorInfo& t : tensors) {
    if (t.end < t.begin) {
      refuse(t.name, fmt::format("data_offsets [{}, {}] run backwards", t.begin, t.end));
    }
    if (t.begin != at) {
      refuse(t.name,
             fmt::format("begins at byte {} of the data, {} byte {}", t.begin,
                         t.begin < at ? "overlapping what ends at" : "after a gap from", at));
    }
    if (t.end > data_size) {
      refuse(t.name, fmt::format("ends at byte {} of the data, the file has {}", t.end, data_size));
    }
    const std::uint64_t size = size_of(t, refuse);
    if (t.end - t.begin != size) {
      refuse(t.name, fmt::format("has {} bytes, {} {} takes {}", t.end - t.begin, t.dtype,
                                 t.shape_str(), size));
    }
    at = t.end;
  }
  if (at != data_size) {
    refuse(fmt::format("its tensors take {} bytes, {} follow the header", at, data_size));
  }
}

std::vector<std::pair<std::string, std::string>> metadata_of(const Json& j, const Refusal& refuse) {
  std::vector<std::pair<std::string, std::string>> metadata;
  if (j.is_null()) return metadata;
  if (!j.is_object()) refuse("__metadata__ is not an object");
  for (const auto& [key, value] : j.items()) {
    if (!value.is_string()) refuse("__metadata__: the value of \"" + key + "\" is not text");
    metadata.emplace_back(key, value.get<std::string>());
  }
  return metadata;
}

std::string_view header_text(std::span<const std::byte> file, const Refusal& refuse) {
  if (file.size() < kLengthBytes) {
    refuse(fmt::format("{} bytes are too few for a safetensors file", file.size()));
  }
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);  // little-endian, as every host we build for
  if (length > kMaxHeader) {
    refuse(
        fmt::format("the header says it has {} bytes; at most {} are allowed", length, kMaxHeader));
  }
  if (length > file.size() - kLengthBytes) {
    refuse(fmt::format("the header says it has {} bytes, the file has {} in all", length,
                       file.size()));
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  if (text.empty() || text[0] != '{') refuse("the header does not begin with '{'");
  return text;
}

}  // namespace

std::size_t safetensors_rank(std::string_view dtype) {
  const auto* const e = std::find_if(std::begin(kElements), std::end(kElements),
                                     [&](const Element& x) { return x.name == dtype; });
  return static_cast<std::size_t>(e - std::begin(kElements));
}

unsigned safetensors_bits(std::string_view dtype) {
  const std::size_t i = safetensors_rank(dtype);
  return i == std::size(kElements) ? 0 : kElements[i].bits;
}

std::string_view safetensors_dtype(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "F32";
    case DType::bf16:
      return "BF16";
    case DType::f16:
      return "F16";
    case DType::i32:
      return "I32";
    case DType::u8:
      return "U8";
    case DType::f64:
      return "F64";
  }
  return "";
}

std::uint64_t TensorInfo::numel() const {
  return std::accumulate(dims.begin(), dims.end(), std::uint64_t{1}, std::multiplies<>());
}

std::string TensorInfo::shape_str() const { return fmt::format("[{}]", fmt::join(dims, ", ")); }

bool TensorInfo::has_shape(const Shape& shape) const {
  return std::equal(
      dims.begin(), dims.end(), shape.dims().begin(), shape.dims().end(),
      [](std::uint64_t a, std::int64_t b) { return b >= 0 && a == static_cast<std::uint64_t>(b); });
}

SafetensorsHeader parse_safetensors(std::span<const std::byte> file, const std::string& origin) {
  const Refusal refuse{origin};
  const std::string_view text = header_text(file, refuse);
  const Json json = parse_json(text, origin);
  SafetensorsHeader header;
  header.data = kLengthBytes + text.size();
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") {
      header.metadata = metadata_of(entry, refuse);
    } else {
      header.tensors.push_back(entry_of(name, entry, refuse));
    }
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) {
              return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
            });
  check_layout(header.tensors, file.size() - header.data, refuse);
  return header;
}

}  // namespace weft
