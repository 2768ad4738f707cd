// manifest.json: what a checkpoint consists of, so that a damaged one is never taken for whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/safetensors_writer.hpp"

namespace weft {

inline constexpr std::string_view kManifestName = "manifest.json";

struct Manifest {
  std::int64_t step = 0;
  std::vector<WrittenFile> files;  // sorted by name; the manifest itself is not among them
};

// The text carries its own checksum, and is the only text that parse_manifest() takes for this
// manifest: no flipped bit passes, not even in the spacing.
std::string manifest_text(const Manifest& manifest);
// Throws Error "ORIGIN: ...".
Manifest parse_manifest(std::string_view text, const std::string& origin);

// Reads DIRECTORY/manifest.json and compares the directory with it: names and sizes first, then
// checksums. Throws Error naming the file and what is wrong. Files that Weft does not read may be
// added to a checkpoint; tensors and indices may not.
Manifest verify_directory(const std::filesystem::path& directory);

}  // namespace weft
