// Which kernels multiply in a run.
#include "launch/training/run_products.hpp"

#include <filesystem>

#include <fmt/format.h>
#include <omp.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "launch/products/product_file.hpp"
#include "launch/products/remembered.hpp"
#include "launch/products/this_cpu.hpp"
#include "launch/training/run_directory.hpp"
#include "parallel/agree.hpp"

namespace weft {

namespace {

namespace fs = std::filesystem;

struct Source {
  std::string path, yaml;  // "" when there is no table
  bool own = false;        // of the run's directory
};

const char* hint_for(bool own) {
  return own ? "put back what the run wrote there, or delete it: products then go by the rule, and "
               "the last bits of the run change"
             : "delete it, or measure again: weft doctor --products CONFIG";
}

// What the cache has for this CPU must have been measured on it.
void check_remembered(const Source& source) {
  const ProductFile file = product_file_from(source.yaml, source.path, hint_for(false));
  const int threads = omp_get_max_threads();
  if (file.cpu == this_cpu() && file.threads == threads) return;
  throw InputError(fmt::format("{}: cpu, threads: measured on {} with {}, but this is {} with {}",
                               source.path, file.cpu, file.threads, this_cpu(), threads),
                   hint_for(false));
}

// By one rank alone.
Source find_source(const Config& config, bool resumes) {
  Source source{.path = {}, .yaml = {}, .own = resumes};
  const std::optional<fs::path> file = resumes
                                           ? fs::path(config.run.dir) / kProductsFile
                                           : remembered_products(this_cpu(), omp_get_max_threads());
  if (!file || !path_exists(*file)) return source;
  source.path = file->string();
  source.yaml = read_file(*file);
  if (!resumes) check_remembered(source);
  return source;
}

}  // namespace

RunProducts::RunProducts(const Config& config, const std::optional<ResumePoint>& point, Mesh& mesh)
    : config_(config), mesh_(mesh) {
  set_product_table({});
  if (mesh.device().type != DeviceType::cpu) return;
  Communicator& world = mesh.world();
  Source source;
  source.own = point && point->own;
  agree(world, [&] {
    if (world.rank() == 0) source = find_source(config, source.own);
  });
  source.path = world.broadcast(source.path, 0);
  source.yaml = world.broadcast(source.yaml, 0);
  if (source.path.empty()) return;
  ProductFile file;
  agree(world, [&] { file = product_file_from(source.yaml, source.path, hint_for(source.own)); });
  const std::int64_t same = file.cpu == this_cpu() ? 1 : 0;
  if (world.all_reduce(same, ReduceOp::min) == 0) {
    note_ = fmt::format(
        "products: {} was measured on {}, and a rank has another CPU: the rule "
        "chooses their kernels{}",
        source.path, file.cpu,
        source.own ? ", and the last bits are not those of the run so far" : "");
    return;
  }
  if (!source.own) table_to_keep_ = source.yaml;
  note_ = fmt::format("products: {} chooses their kernels, for {} classes of shapes", source.path,
                      file.table.size());
  set_product_table(std::move(file.table));
}

void RunProducts::keep() const {
  if (table_to_keep_.empty()) return;
  agree(mesh_.world(), [&] {
    if (mesh_.world().rank() != 0) return;
    write_file_atomic(fs::path(config_.run.dir) / kProductsFile, table_to_keep_);
  });
}

}  // namespace weft
