// A folder of checkpoints: names, leftovers, and which ones stay. By one rank alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/io/manifest.hpp"

namespace weft {

// "step-00000500"
std::string checkpoint_name(std::int64_t step);
// The step of such a name, or nothing.
std::optional<std::int64_t> checkpoint_step(const std::string& name);

// Steps of the folder's checkpoints, valid or not, newest first. A missing folder has none.
std::vector<std::int64_t> checkpoint_steps(const std::filesystem::path& folder);

// Checks one checkpoint byte for byte: its files against the manifest, the manifest's step against
// the directory's name. Throws Error naming the file.
Manifest verify_checkpoint(const std::filesystem::path& checkpoint);

// Gives a finished directory its name; one of that name changes places with it and is removed.
void publish_checkpoint(const std::filesystem::path& finished,
                        const std::filesystem::path& checkpoint);

// Removes checkpoints older than the `keep` newest of those not newer than `step`, which was just
// written and so is valid; 0 keeps all. Newer ones belong to another course of the run and stay.
// A directory is renamed before it is deleted: half a checkpoint never looks like one.
void prune_checkpoints(const std::filesystem::path& folder, std::int64_t step, int keep);

// Renames a checkpoint that does not verify to step-N.damaged, or step-N.2.damaged when there is
// one already: a name that no function here takes for a checkpoint or for a leftover. Returns it.
std::filesystem::path set_aside_checkpoint(const std::filesystem::path& checkpoint);

// Gives checkpoints their names back that a save died replacing. Before anybody looks for one.
void restore_replaced(const std::filesystem::path& folder);

// Removes what saves and prunes that died left behind, after restore_replaced().
void remove_leftovers(const std::filesystem::path& folder);

}  // namespace weft
