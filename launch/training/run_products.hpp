// Which kernels multiply in a run: decided when it begins, the same on all ranks, kept for when it
// resumes.
#pragma once

#include <optional>
#include <string>

#include "launch/config/config.hpp"
#include "launch/training/resume_point.hpp"
#include "parallel/mesh.hpp"

namespace weft {

// A run that begins takes the table that weft doctor --products has remembered for the setting of
// rank 0, if there is one; one that resumes takes the table of its directory, and
// nothing but the rule where that has none: so it keeps its bits. Where a rank's CPU is another
// than the table's, all ranks go by the rule. On GPUs there is no such choice.
class RunProducts {
 public:
  // Makes products use the table. Collective over the world; what is passed outlives this object.
  // Throws AgreedInputError for a file that cannot be used as it is.
  RunProducts(const Config& config, const std::optional<ResumePoint>& point, Mesh& mesh);

  // Writes the table of a run that begins into its directory, which was prepared. Collective.
  void keep() const;

  // For the log; "" when there is nothing to say.
  const std::string& note() const { return note_; }

 private:
  const Config& config_;
  Mesh& mesh_;
  std::string table_to_keep_;  // as YAML
  std::string note_;
};

}  // namespace weft
