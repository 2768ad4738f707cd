// Samples from several token files: order, segments and masks from the sample's number.
#include "core/data/dataset.hpp"

#include <cmath>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "core/data/chunks.hpp"
#include "core/data/masking.hpp"
#include "core/data/mixture.hpp"
#include "core/data/permutation.hpp"
#include "core/data/segments.hpp"
#include "core/data/token_file.hpp"
#include "core/data/vocabulary.hpp"

namespace weft {

namespace {

struct Source {
  TokenFile file;
  ChunkIndex chunks;
};

constexpr std::size_t kMaxSources = 1024;

void check_options(const DataOptions& data, const ObjectiveOptions& objective) {
  if (data.sources.empty()) throw InputError("no data: the list of token files is empty");
  if (data.sources.size() > kMaxSources) {
    throw InputError(
        fmt::format("{} data sources, more than {}", data.sources.size(), kMaxSources));
  }
  for (const DataSource& s : data.sources) {
    if (!(s.weight > 0 && std::isfinite(s.weight))) {
      throw InputError(
          fmt::format("{}: weight {} is not a positive number", s.path.string(), s.weight));
    }
  }
  const std::int64_t shortest = objective.sentence == SentenceTask::none ? 3 : 5;
  if (data.seq_length < shortest) {
    throw InputError(fmt::format("seq_length {} leaves no room for tokens between special tokens",
                                 data.seq_length),
                     fmt::format("at least {}", shortest));
  }
  if (!(objective.mask_probability > 0 && objective.mask_probability <= 1)) {
    throw InputError(
        fmt::format("mask_probability {} is not in (0, 1]", objective.mask_probability));
  }
  const double p = objective.short_sequence_probability;
  if (!(p >= 0 && p <= 1)) {
    throw InputError(fmt::format("short_sequence_probability {} is not in [0, 1]", p));
  }
  if (objective.max_predictions < 0) {
    throw InputError(fmt::format("max_predictions {} is negative", objective.max_predictions));
  }
}

void check_tokenizer(const TokenFile& file, const Tokenizer& tokenizer,
                     const ObjectiveOptions& objective) {
  if (!file.info()) return;
  const auto path = token_file_path(file.prefix(), ".json").string();
  if (file.info()->tokenizer_hash != tokenizer.hash()) {
    throw InputError(
        fmt::format(
            "{}: prepared with another tokenizer ({}, vocabulary of {}) than this one ({}, {})",
            path, file.info()->tokenizer_hash, file.info()->vocab_size, tokenizer.hash(),
            tokenizer.vocab_size()),
        "prepare the data again with this tokenizer, or use the other one");
  }
  if (objective.whole_word && !file.info()->word_starts_by_id) {
    throw InputError(path + ": this tokenizer's tokens do not tell where words start",
                     "whole_word: false");
  }
}

Source open_source(const DataSource& source, const Tokenizer& tokenizer,
                   const ObjectiveOptions& objective, std::int64_t seq_length) {
  TokenFile file(source.path);
  check_tokenizer(file, tokenizer, objective);
  if (objective.sentence == SentenceTask::nsp && file.documents() < 2) {
    throw InputError(source.path.string() +
                         ": next-sentence prediction needs at least two documents, this has one",
                     "separate documents by blank lines, or use sentence: none");
  }
  ChunkIndex chunks(file, chunk_rule(objective.sentence, seq_length));
  if (chunks.size() == 0) {
    throw InputError(source.path.string() + ": no document has two tokens to make a pair of");
  }
  return {std::move(file), std::move(chunks)};
}

std::vector<double> weights_of(const DataOptions& data) {
  std::vector<double> weights;
  for (const DataSource& s : data.sources) weights.push_back(s.weight);
  return weights;
}

}  // namespace

struct Dataset::Parts {
  DataOptions data;
  ObjectiveOptions objective;
  std::uint64_t seed;
  Vocabulary vocabulary;
  Mixture mixture;
  std::vector<Source> sources;

  void append(const Source& source, const Segment& segment, std::int32_t type, Sample& to) const {
    for (const Piece& p : segment) {
      source.file.append(p.sentence, p.first, p.length, vocabulary.size, to.ids);
    }
    to.ids.push_back(vocabulary.special.sep);
    to.type_ids.resize(to.ids.size(), type);
  }
};

Dataset::Dataset(const DataOptions& data, const ObjectiveOptions& objective,
                 const Tokenizer& tokenizer, std::uint64_t seed) {
  check_options(data, objective);
  auto parts = std::make_unique<Parts>(
      Parts{data, objective, seed, vocabulary_of(tokenizer), Mixture(weights_of(data), seed), {}});
  for (const DataSource& s : data.sources) {
    parts->sources.push_back(open_source(s, tokenizer, objective, data.seq_length));
  }
  parts_ = std::move(parts);
}

Dataset::~Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;
Dataset& Dataset::operator=(Dataset&&) noexcept = default;

Sample Dataset::sample(std::uint64_t i) const {
  const Parts& p = *parts_;
  const auto pick = p.mixture(i);
  const Source& source = p.sources[pick.source];
  const std::uint64_t epoch = pick.index / source.chunks.size();
  const Permutation order(source.chunks.size(), p.seed, Purpose::chunk_order,
                          static_cast<std::uint32_t>(pick.source), epoch);
  const Chunk chunk = source.chunks.chunk(source.file, order(pick.index % source.chunks.size()));

  RandomStream pair_random(p.seed, Purpose::pair, i);
  const std::int64_t limit = chunk_rule(p.objective.sentence, p.data.seq_length).limit;
  const Segments s = draw_segments(source.file, chunk, p.objective, limit, pair_random);

  Sample sample;
  sample.sentence_label = s.label;
  const auto number = static_cast<std::int64_t>(pick.source);
  sample.ids.push_back(p.vocabulary.special.cls);
  p.append(source, s.a, 0, sample);
  sample.segments.push_back({number, s.a_document, s.a.front().sentence});
  if (!s.b.empty()) {
    p.append(source, s.b, 1, sample);
    sample.segments.push_back({number, s.b_document, s.b.front().sentence});
  }
  RandomStream mask_random(p.seed, Purpose::mask, i);
  mask_tokens(sample, p.objective, p.vocabulary, mask_random);
  return sample;
}

std::uint64_t Dataset::samples_per_epoch() const {
  std::uint64_t n = 0;
  for (const Source& s : parts_->sources) n += s.chunks.size();
  return n;
}

std::int64_t Dataset::documents() const {
  std::int64_t n = 0;
  for (const Source& s : parts_->sources) n += s.file.documents();
  return n;
}

std::vector<std::filesystem::path> Dataset::of_unknown_tokenizer() const {
  std::vector<std::filesystem::path> prefixes;
  for (const Source& s : parts_->sources) {
    if (!s.file.info()) prefixes.push_back(s.file.prefix());
  }
  return prefixes;
}

std::string Dataset::fingerprint() const {
  std::string all;
  for (const Source& s : parts_->sources) {
    all += fmt::format("{} {}\n", s.file.tokens(),
                       xxh3_128_hex_file(token_file_path(s.file.prefix(), ".idx")));
  }
  return xxh3_128_hex(std::as_bytes(std::span(all)));
}

std::int64_t Dataset::tokens() const {
  std::int64_t n = 0;
  for (const Source& s : parts_->sources) n += s.file.tokens();
  return n;
}

const DataOptions& Dataset::data() const { return parts_->data; }
const ObjectiveOptions& Dataset::objective() const { return parts_->objective; }
std::int32_t Dataset::pad_id() const { return parts_->vocabulary.special.pad; }

}  // namespace weft
