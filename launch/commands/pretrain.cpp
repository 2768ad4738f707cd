// weft pretrain CONFIG
#include <optional>

#include <fmt/format.h>

#include "core/backend/cuda.hpp"
#include "core/base/error.hpp"
#include "launch/arguments.hpp"
#include "launch/cli.hpp"
#include "launch/commands.hpp"
#include "launch/config/print.hpp"
#include "launch/device.hpp"
#include "launch/failure.hpp"
#include "launch/model_dir.hpp"
#include "launch/training/checkpointing.hpp"
#include "launch/training/optimization.hpp"
#include "launch/training/run_directory.hpp"
#include "launch/training/run_products.hpp"
#include "launch/training/run_summary.hpp"
#include "launch/training/schedule_notes.hpp"
#include "launch/training/trainer.hpp"
#include "models/hf_state.hpp"
#include "models/registry.hpp"
#include "parallel/agree.hpp"
#include "parallel/checkpoint_folder.hpp"

namespace weft {

namespace {

// Everything that is checked before the first work, the same on every rank.
struct Inputs {
  Config config;
  std::unique_ptr<Tokenizer> tokenizer;
  std::optional<Dataset> train, eval;
};

Config read_arguments(const Arguments& arguments) {
  std::vector<std::string> sets = arguments.all("set");
  if (arguments.precision()) sets.push_back("train.precision=" + arguments.text("precision"));
  if (arguments.integer("profile") > 0 && arguments.device().type == DeviceType::cuda) {
    throw InputError(
        "--profile times the calls of a CPU, which are done when they return",
        "on a GPU: nsys profile weft pretrain ..., whose timeline has Weft's ranges, or "
        "benchmarks' training_step --device cuda --profile N");
  }
  Config config = read_config(arguments.positional(0), sets);
  check_precision(config, arguments.device());
  return config;
}

// What is wrong with what a key names gets the key and its place in front.
template <class Work>
void about(const Config& config, const char* key, Work work) {
  const std::string place = config.named(key) + ": ";
  try {
    work();
  } catch (const AgreedInputError& e) {
    throw AgreedInputError(place + std::string(e.what()).substr(e.who.size()), e.hint(), e.who);
  } catch (const InputError& e) {
    throw InputError(place + e.what(), e.hint());
  }
}

bool is_json(const std::filesystem::path& file) {
  try {
    read_json(file);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// The newest checkpoint of this run that has the keys of a model with model.from, whole or not: all
// of them tell the same.
std::optional<std::filesystem::path> own_model(const Config& config, const std::string& resume) {
  if (config.model.from.empty() || resume == "never") return std::nullopt;
  const std::filesystem::path folder = checkpoints_of(config.run.dir);
  for (const std::int64_t step : checkpoint_steps(folder)) {
    const std::filesystem::path checkpoint = folder / checkpoint_name(step);
    if (is_json(checkpoint / "config.json")) return checkpoint;
  }
  return std::nullopt;
}

// Which directory model.from means, and which one has the model's keys: that of a run that has a
// checkpoint is this, as its source may be gone by now. By one rank alone.
void resolve_model_from(Config& config, const std::string& resume, const Console& console) {
  auto& model = config.model;
  if (model.from.empty()) return;
  if (const auto own = own_model(config, resume)) {
    model.keys_from = own->string();
    return;
  }
  about(config, "model.from",
        [&] { model.from = resolve_model_dir(model.from, console).string(); });
  model.keys_from = model.from;
}

// Rank 0 decides for all, as a source that is still training could show each rank another
// checkpoint.
void agree_on_model_from(Config& config, const std::string& resume, const Console& console,
                         Communicator& world) {
  agree(world, [&] {
    if (world.rank() == 0) resolve_model_from(config, resume, console);
  });
  config.model.from = world.broadcast(config.model.from, 0);
  config.model.keys_from = world.broadcast(config.model.keys_from, 0);
}

Inputs read_inputs(Config read, int ranks) {
  Inputs in{.config = std::move(read), .tokenizer = {}, .train = {}, .eval = {}};
  Config& config = in.config;
  about(config, "tokenizer", [&] { in.tokenizer = load_tokenizer(config.tokenizer); });
  resolve_config(config, *in.tokenizer, {.ranks = ranks});
  const auto open = [&](const std::vector<DataSource>& sources, std::uint64_t seed) {
    return Dataset({.sources = sources, .seq_length = config.data.seq_length}, config.objective,
                   *in.tokenizer, seed);
  };
  about(config, "data.train", [&] { in.train = open(config.data.train, config.run.seed); });
  if (!config.data.eval.empty()) {
    about(config, "data.eval", [&] { in.eval = open(config.data.eval, kEvaluationSeed); });
  }
  return in;
}

// The weights of model.from, into the fp32 masters; heads that it does not have keep their initial
// values.
void load_from(const Config& config, const RunTensors& run, Mesh& mesh, const Console& console) {
  LoadedModel loaded;
  about(config, "model.from", [&] {
    run.optimizer.load([&] {
      loaded = load_pretrained(config.model.from, hf_state(run.model, run.optimizer.master()),
                               run.model.pretrained_names(), true, mesh);
    });
  });
  console.info("weights from " + config.model.from);
  for (const std::string& name : loaded.missing) {
    console.warn(
        fmt::format("{} has no {}: it starts from random values", config.model.from, name));
  }
  for (const std::string& name : loaded.unexpected) {
    console.verbose(fmt::format("{}: {} is not used", config.model.from, name));
  }
}

// At its last step, and evaluated there if there is what to evaluate on.
bool is_complete(const RunState& state, const Inputs& in) {
  const std::int64_t steps = in.config.train.steps;
  return state.step > steps ||
         (state.step == steps && (!in.eval || state.evaluated_step == state.step));
}

void tell_unknown_tokenizers(const Inputs& in, const Console& console) {
  for (const Dataset* data : {&*in.train, in.eval ? &*in.eval : nullptr}) {
    if (data == nullptr) continue;
    for (const auto& source : data->of_unknown_tokenizer()) {
      console.warn(
          fmt::format("{0}.json is missing: nothing tells whether {0} was prepared with "
                      "the tokenizer {1}",
                      source.string(), in.config.tokenizer));
    }
  }
}

// By rank 0 for all: it reads whole .idx files.
void take_fingerprint(Inputs& in, Communicator& world) {
  std::string& fingerprint = in.config.data.fingerprint;
  agree(world, [&] {
    if (world.rank() == 0) fingerprint = in.train->fingerprint();
  });
  fingerprint = world.broadcast(fingerprint, 0);
}

// --profile N needs that many steps after those it leaves out.
void check_profile(const Arguments& arguments, const Config& config, std::int64_t done) {
  const std::int64_t steps = arguments.integer("profile");
  const std::int64_t needed = done + kUnprofiledSteps + steps;
  if (steps == 0 || needed <= config.train.steps) return;
  throw InputError(fmt::format("{}--profile {} ends with step {}, training with {}",
                               config.at("train.steps"), steps, needed, config.train.steps),
                   fmt::format("it leaves out the first {} steps of a start: profile fewer, or set "
                               "train.steps to {} or more",
                               kUnprofiledSteps, needed));
}

int train(const Arguments& arguments, const Inputs& in, Mesh& mesh, const Console& console) {
  const Config& config = in.config;
  const ResumeOptions options{.from = arguments.text("resume"), .force = arguments.force()};
  RunDirectory run(config, options, *in.tokenizer, console, mesh.world());
  const std::optional<ResumePoint>& point = run.resume();
  if (point && is_complete(point->state, in)) {
    console.info(fmt::format("{} is complete: step {} of {}; --set train.steps=N trains on",
                             point->own ? config.run.dir : point->checkpoint.string(),
                             point->state.step, config.train.steps));
    return kDone;
  }
  agree(mesh.world(), [&] { check_profile(arguments, config, point ? point->state.step : 0); });
  tell_schedule(config, point ? point->state.config : Json::object(), console);
  // All that is read is read before anything is written.
  const RunProducts products(config, point, mesh);
  const auto model = make_model(config.model.keys, mesh, config.train.precision, config.run.seed);
  Optimizer optimizer = make_optimizer(config, parameters(*model), mesh);
  if (point) {
    load_run(point->checkpoint, {*model, optimizer}, mesh);
  } else if (!config.model.from.empty()) {
    load_from(config, {*model, optimizer}, mesh, console);
  }
  run.prepare();
  products.keep();
  console.info(run_summary(config, *model, *in.train, mesh));
  tell_unknown_tokenizers(in, console);
  if (point) {
    console.info(fmt::format("continuing from {}", point->checkpoint.string()));
  }
  const TrainingJob job{.config = config,
                        .mesh = mesh,
                        .tokenizer = *in.tokenizer,
                        .train = *in.train,
                        .eval = in.eval ? &*in.eval : nullptr,
                        .model = *model,
                        .optimizer = optimizer,
                        .console = console,
                        .json = arguments.json(),
                        .profile = arguments.integer("profile"),
                        .products = products.note()};
  // Outlives a failure: it may wait for ranks that end_ranks() ends.
  std::optional<Trainer> trainer;
  try {
    return trainer.emplace(job, point).run();
  } catch (const std::exception& e) {  // also of bad data: by now something was written
    return end_ranks(e, kFailed);
  }
}

// The directory without which the keys of the model are not known; "" when all is there.
std::string missing_directory(const Config& config, const std::string& resume) {
  const std::string& from = config.model.from;
  if (!std::filesystem::exists(config.tokenizer)) return config.tokenizer;
  if (!from.empty() && !std::filesystem::exists(from) && !own_model(config, resume)) return from;
  return "";
}

// A configuration can be looked at before its tokenizer, model or data are made. By one rank alone.
void print_config(Config config, const Arguments& arguments, int ranks, const Console& console) {
  const std::string resume = arguments.text("resume");
  const std::string missing = missing_directory(config, resume);
  if (missing.empty()) {
    resolve_model_from(config, resume, console);
    resolve_config(config, *load_tokenizer(config.tokenizer), {.ranks = ranks});
  } else {
    resolve_settings(config, {.ranks = ranks});
    console.info(fmt::format(
        "note: {} is not there: without what follows from it and what is checked against it",
        missing));
  }
  console.result_text(arguments.json() ? config_as_json_lines(config)
                                       : config_with_origins(config));
}

int pretrain_command(const Arguments& arguments) {
  const Console console = make_console(arguments);
  auto world = host_communicator(&console);
  Config config;
  agree(*world, [&] { config = read_arguments(arguments); });
  if (arguments.flag("print-config")) {
    agree(*world, [&] {
      if (world->rank() == 0) print_config(std::move(config), arguments, world->size(), console);
    });
    return kDone;
  }
  agree_on_model_from(config, arguments.text("resume"), console, *world);
  Inputs in;
  agree(*world, [&] { in = read_inputs(std::move(config), world->size()); });
  const auto tensor_ranks = static_cast<int>(in.config.parallel.tensor);
  if (arguments.flag("dry-run")) {
    // On the host, where parameters that nobody writes take no memory.
    Mesh mesh(std::move(world), tensor_ranks);
    const auto model = build_model(in.config.model.keys, mesh, in.config.train.precision);
    console.result_text(run_summary(in.config, *model, *in.train, mesh) + "\n");
    tell_schedule(in.config, Json::object(), console);
    tell_unknown_tokenizers(in, console);
    return kDone;
  }
  const Device device = arguments.device();
  set_cuda_options(in.config.train.cuda);
  Mesh mesh(connect_devices(std::move(world), device, console), tensor_ranks, device);
  take_fingerprint(in, mesh.world());
  return train(arguments, in, mesh, console);
}

}  // namespace

Command describe_pretrain() {
  return {
      .name = "pretrain",
      .summary = "pretrain a model as a configuration says; under mpirun or srun on many ranks",
      .positionals = {{.name = "CONFIG", .help = "a YAML file, such as configs/bert-base.yaml"}},
      .options = {{.name = "set",
                   .kind = Option::Kind::text,
                   .value = "KEY=VALUE",
                   .help = "set a key of the configuration, such as optimizer.lr=1e-4",
                   .repeated = true},
                  {.name = "resume",
                   .kind = Option::Kind::text,
                   .value = "auto|never|DIR",
                   .help = "continue from the run's newest checkpoint, never, or begin from DIR's",
                   .fallback = "auto"},
                  {.name = "print-config",
                   .help = "print each value and where it came from, and stop"},
                  {.name = "profile",
                   .kind = Option::Kind::integer,
                   .value = "N",
                   .help = "on a CPU: record N steps after the first three, print where their time "
                           "went, write a trace for Perfetto to the run's directory, and train on",
                   .fallback = "0",
                   .min = 0,
                   .max = 1000},
                  {.name = "dry-run",
                   .help = "check configuration, data and model, print a summary, and stop"},
                  {.name = "force",
                   .help =
                       "continue with a changed configuration; with --resume never replace a run"}},
      .example =
          "weft pretrain configs/bert-mini-cpu.yaml --set train.steps=500\n"
          "mpirun -np 4 weft pretrain configs/bert-mini-cpu.yaml --set parallel.tensor=2",
      .distributed = true,
      .opens_device = true,
      .details =
          "SIGTERM, SIGINT or SIGUSR1 to any rank: all ranks save and leave with status "
          "75, and the same command continues. Under mpirun send SIGUSR1: mpirun kills "
          "ranks a second after it forwards SIGTERM. weft help config lists the keys. On CPUs "
          "a new run multiplies by the kernels that weft doctor --products has found fastest.",
      .run = pretrain_command};
}

}  // namespace weft
