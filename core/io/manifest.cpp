// The manifest of a checkpoint.
#include "core/io/manifest.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/io/sharded.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kFormat = "weft-checkpoint";
constexpr std::int64_t kVersion = 1;

std::string checksum_of(const Json& body) {
  const std::string text = body.dump(2);
  return xxh3_128_hex(std::as_bytes(std::span(text)));
}

template <class T>
T field(const Json& object, const char* key, const std::string& origin) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  const bool typed =
      it != object.end() && (std::is_integral_v<T> ? it->is_number_unsigned() : it->is_string());
  if (!typed) throw Error(fmt::format("{}: damaged: no valid \"{}\"", origin, key));
  return it->template get<T>();
}

WrittenFile file_of(const std::string& name, const Json& entry, const std::string& origin) {
  require_plain_name(name, origin);
  return {.name = name,
          .size = field<std::uint64_t>(entry, "size", origin),
          .xxh3_128 = field<std::string>(entry, "xxh3_128", origin)};
}

bool holds_tensors(const std::string& name) {
  return name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
}

void check_size(const fs::path& path, const WrittenFile& file) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (!fs::exists(status)) throw Error(path.string() + ": missing");
  if (!fs::is_regular_file(status)) throw Error(path.string() + ": not a regular file");
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) throw Error(path.string() + ": " + error.message());
  if (size != file.size) {
    throw Error(
        fmt::format("{}: damaged: {} bytes, the manifest says {}", path.string(), size, file.size));
  }
}

void check_nothing_added(const fs::path& directory, const Manifest& manifest) {
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    const bool known = std::any_of(manifest.files.begin(), manifest.files.end(),
                                   [&](const WrittenFile& f) { return f.name == name; });
    if (!known && holds_tensors(name)) {
      throw Error(entry.path().string() + ": not in the manifest",
                  "remove it: a checkpoint's tensors are those it was saved with");
    }
  }
}

}  // namespace

std::string manifest_text(const Manifest& manifest) {
  Json body = Json::object();
  body["format"] = kFormat;
  body["version"] = kVersion;
  body["step"] = manifest.step;
  Json& files = body["files"] = Json::object();
  for (const WrittenFile& f : manifest.files) {
    files[f.name] = Json{{"size", f.size}, {"xxh3_128", f.xxh3_128}};
  }
  const std::string checksum = checksum_of(body);
  body["checksum"] = checksum;
  return body.dump(2) + "\n";
}

Manifest parse_manifest(std::string_view text, const std::string& origin) {
  const Json json = [&] {
    try {
      return parse_json(text, origin);
    } catch (const InputError& e) {
      throw Error(e.what());  // the program's own file: no wrong input
    }
  }();
  if (field<std::string>(json, "format", origin) != kFormat) {
    throw Error(origin + ": not the manifest of a Weft checkpoint");
  }
  const auto version = field<std::int64_t>(json, "version", origin);
  if (version != kVersion) {
    throw Error(
        fmt::format("{}: format version {}; this Weft reads {}", origin, version, kVersion));
  }
  Manifest manifest;
  manifest.step = field<std::int64_t>(json, "step", origin);
  if (!json.contains("files") || !json["files"].is_object()) {
    throw Error(origin + ": damaged: no object \"files\"");
  }
  for (const auto& [name, entry] : json["files"].items()) {
    manifest.files.push_back(file_of(name, entry, origin));
  }
  if (manifest_text(manifest) != text) {
    throw Error(origin + ": damaged: its checksum does not fit its text");
  }
  return manifest;
}

Manifest verify_directory(const fs::path& directory) {
  const fs::path path = directory / kManifestName;
  const std::string text = [&] {
    try {
      return read_file(path);
    } catch (const InputError& e) {
      throw Error(e.what());
    }
  }();
  Manifest manifest = parse_manifest(text, path.string());
  for (const WrittenFile& f : manifest.files) check_size(directory / f.name, f);
  check_nothing_added(directory, manifest);
  for (const WrittenFile& f : manifest.files) {
    const fs::path file = directory / f.name;
    if (xxh3_128_hex_file(file) != f.xxh3_128) {
      throw Error(file.string() + ": damaged: its checksum is not the manifest's");
    }
  }
  return manifest;
}

}  // namespace weft
