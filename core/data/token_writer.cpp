// Appends tokens and joins the index.
#include "core/data/token_writer.hpp"

#include <algorithm>
#include <vector>

namespace weft {

namespace fs = std::filesystem;

namespace {

template <class T>
void write_values(OutputFile& file, const std::vector<T>& values) {
  file.write(std::as_bytes(std::span(values)));
}

// Calls `use` with consecutive runs of the numbers that a file holds.
template <class T, class Use>
void for_each_run(const fs::path& path, const Use& use) {
  const MappedFile file(path);
  const auto* values = reinterpret_cast<const T*>(file.bytes().data());
  const std::size_t count = file.bytes().size() / sizeof(T);
  constexpr std::size_t kRun = std::size_t{1} << 16;
  for (std::size_t i = 0; i < count; i += kRun) {
    use(std::span(values + i, std::min(kRun, count - i)));
  }
}

}  // namespace

TokenWriter::TokenWriter(const fs::path& directory, const std::string& name,
                         std::int64_t vocab_size, const TokenFileInfo& written)
    : directory_(directory),
      name_(name),
      type_(token_type(vocab_size)),
      sentences_(written.sentences),
      documents_(written.documents),
      tokens_(written.tokens),
      bin_(path(".bin"), static_cast<std::uint64_t>(tokens_ * type_.size)),
      lengths_(path(".lengths"), static_cast<std::uint64_t>(sentences_) * 4),
      document_starts_(path(".documents"), static_cast<std::uint64_t>(documents_) * 8) {}

fs::path TokenWriter::path(const char* extension) const { return directory_ / (name_ + extension); }

void TokenWriter::append(std::span<const std::int32_t> lengths, std::span<const std::byte> tokens,
                         std::span<const std::int64_t> document_starts) {
  std::vector<std::int64_t> starts(document_starts.begin(), document_starts.end());
  for (std::int64_t& s : starts) s += sentences_;
  bin_.write(tokens);
  lengths_.write(std::as_bytes(lengths));
  write_values(document_starts_, starts);
  tokens_ += static_cast<std::int64_t>(tokens.size()) / type_.size;
  sentences_ += static_cast<std::int64_t>(lengths.size());
  documents_ += static_cast<std::int64_t>(starts.size());
}

void TokenWriter::sync() {
  bin_.sync();
  lengths_.sync();
  document_starts_.sync();
}

void TokenWriter::finish() {
  bin_.finish();
  lengths_.finish();
  document_starts_.finish();
  write_index();
}

void TokenWriter::write_index() const {
  OutputFile index(path(".idx"));
  index.write(std::string_view(kIndexMagic, 9));
  write_values<std::uint64_t>(index, {1});
  write_values<std::uint8_t>(index, {type_.code});
  write_values<std::uint64_t>(
      index, {static_cast<std::uint64_t>(sentences_), static_cast<std::uint64_t>(documents_) + 1});
  for_each_run<std::int32_t>(path(".lengths"), [&](auto run) { index.write(std::as_bytes(run)); });
  std::int64_t offset = 0;
  std::vector<std::int64_t> offsets;
  for_each_run<std::int32_t>(path(".lengths"), [&](auto run) {
    offsets.clear();
    for (const std::int32_t n : run) {
      offsets.push_back(offset);
      offset += n * type_.size;
    }
    write_values(index, offsets);
  });
  for_each_run<std::int64_t>(path(".documents"),
                             [&](auto run) { index.write(std::as_bytes(run)); });
  write_values<std::int64_t>(index, {sentences_});
  index.finish();
}

}  // namespace weft
