// The data as the trainer sees it: sample i of an endless sequence, a pure function of (seed, i).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/data/objective.hpp"
#include "core/data/sample.hpp"
#include "core/text/tokenizer.hpp"

namespace weft {

struct DataSource {
  std::filesystem::path path;  // prefix of the token files
  double weight = 1.0;         // the source's share of the samples is weight / sum of weights
};

struct DataOptions {
  std::vector<DataSource> sources;
  std::int64_t seq_length = 128;
};

// Evaluation always draws the same samples, whatever seed a run trains with.
inline constexpr std::uint64_t kEvaluationSeed = 0x5EED0FE7A1;

// Immutable once built; every function may be called by several threads at a time.
class Dataset {
 public:
  // Maps the token files and indexes their documents. Throws InputError naming the file: missing or
  // damaged token files, files of another tokenizer, a source too small for the objective, options
  // out of range, a tokenizer without the special tokens that the objective needs.
  Dataset(const DataOptions& data, const ObjectiveOptions& objective, const Tokenizer& tokenizer,
          std::uint64_t seed);
  ~Dataset();
  Dataset(Dataset&&) noexcept;
  Dataset& operator=(Dataset&&) noexcept;

  // Every i is valid. Throws InputError naming file and sentence for a token id that the vocabulary
  // has not.
  Sample sample(std::uint64_t i) const;

  // Samples until each source has been visited whole once, counted per source and summed. A source
  // goes through its chunks in a new order each time.
  std::uint64_t samples_per_epoch() const;
  // Tells whether two data sets have the same documents in the same order: from the number of
  // tokens and all sentence lengths. Reads the .idx files.
  std::string fingerprint() const;
  // Sources without a .json file, so that nothing tells which tokenizer made them.
  std::vector<std::filesystem::path> of_unknown_tokenizer() const;
  std::int64_t documents() const;
  std::int64_t tokens() const;

  const DataOptions& data() const;
  const ObjectiveOptions& objective() const;
  std::int32_t pad_id() const;

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

}  // namespace weft
