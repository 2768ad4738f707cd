// Writing safetensors files as the reference library does.
#include "core/io/safetensors_writer.hpp"

#include <algorithm>
#include <cassert>
#include <tuple>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"

namespace weft {

namespace {

constexpr std::size_t kAlignment = 8;

std::uint64_t bytes_of(const TensorSpec& t) {
  return static_cast<std::uint64_t>(t.shape.numel()) * safetensors_bits(t.dtype) / 8;
}

std::string header_of(const std::vector<TensorSpec>& tensors,
                      const std::vector<std::pair<std::string, std::string>>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) {
    Json& m = header["__metadata__"] = Json::object();
    for (const auto& [key, value] : metadata) m[key] = value;
  }
  std::uint64_t at = 0;
  auto& members = header.get_ref<Json::object_t&>();
  for (const TensorSpec& t : tensors) {
    const std::uint64_t end = at + bytes_of(t);
    Json entry = Json::object();
    entry["dtype"] = t.dtype;
    entry["shape"] = t.shape.dims();
    entry["data_offsets"] = {at, end};
    members.push_back({t.name, std::move(entry)});  // [] would search: quadratic
    at = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return text;
}

}  // namespace

void sort_as_stored(std::vector<TensorSpec>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorSpec& a, const TensorSpec& b) {
    const auto ra = safetensors_rank(a.dtype);
    const auto rb = safetensors_rank(b.dtype);
    return ra != rb ? ra > rb : a.name < b.name;
  });
}

SafetensorsWriter::SafetensorsWriter(
    const std::filesystem::path& path, std::vector<TensorSpec> tensors,
    const std::vector<std::pair<std::string, std::string>>& metadata)
    : path_(path), tensors_(std::move(tensors)), file_(path) {
  sort_as_stored(tensors_);
  const std::string header = header_of(tensors_, metadata);
  const std::uint64_t length = header.size();
  for (const TensorSpec& t : tensors_) expected_ += bytes_of(t);
  expected_ += sizeof(length) + length;
  write(std::as_bytes(std::span(&length, 1)));
  write(std::as_bytes(std::span(header)));
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  file_.write(bytes);
  hash_.update(bytes);
  size_ += bytes.size();
}

WrittenFile SafetensorsWriter::finish() {
  if (size_ != expected_) {
    throw Error(fmt::format("{}: {} bytes written, its header promises {}", path_.string(), size_,
                            expected_));
  }
  file_.finish();
  return {.name = path_.filename().string(), .size = size_, .xxh3_128 = hash_.hex128()};
}

SafetensorsRowWriter::SafetensorsRowWriter(OutputFile& file, std::vector<TensorSpec> tensors)
    : file_(file) {
  sort_as_stored(tensors);
  const std::string header = header_of(tensors, {{"format", "pt"}});
  const std::uint64_t length = header.size();
  file_.write(std::as_bytes(std::span(&length, 1)));
  file_.write(std::as_bytes(std::span(header)));
  std::uint64_t at = sizeof(length) + length;
  for (const TensorSpec& t : tensors) {
    const std::uint64_t size = bytes_of(t);
    const auto rows = static_cast<std::uint64_t>(std::max<std::int64_t>(t.shape[0], 1));
    places_[t.name] = {.begin = at, .end = at + size, .row = size / rows};
    at += size;
  }
}

void SafetensorsRowWriter::write(const std::string& name, const Tensor& part, std::int64_t first) {
  const Place& place = places_.at(name);
  const std::uint64_t begin = place.begin + static_cast<std::uint64_t>(first) * place.row;
  assert(part.bytes() == static_cast<std::uint64_t>(part.shape()[0]) * place.row);
  assert(begin + part.bytes() <= place.end);
  file_.write_at(begin, {static_cast<const std::byte*>(part.raw()), part.bytes()});
}

void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, Tensor>>& tensors) {
  std::vector<TensorSpec> specs;
  std::map<std::string, Tensor> by_name;
  for (const auto& [name, tensor] : tensors) {
    specs.push_back({name, std::string(safetensors_dtype(tensor.dtype())), tensor.shape()});
    if (!by_name.emplace(name, tensor).second) {
      throw Error(path.string() + ": two tensors named " + name);
    }
  }
  SafetensorsWriter writer(path, std::move(specs));
  for (const TensorSpec& spec : writer.tensors()) {
    const Tensor& t = by_name.at(spec.name);
    writer.write({static_cast<const std::byte*>(t.raw()), t.bytes()});
  }
  writer.finish();
}

}  // namespace weft
