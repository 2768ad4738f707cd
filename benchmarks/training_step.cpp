// One training step of BERT (masked words only) or of GPT-2's shapes, timed on demand: the Weft
// side of benchmarks/vs_pytorch.
//
// Says {"ready": ...} when warm; then every line "N" on stdin makes it run N steps and print one
// JSON object with their times; at the end of stdin it prints its peak memory. With --profile N it
// prints instead where the time of N steps goes, and ends. Under mpirun the ranks share the batch
// (data parallelism); the first one speaks for all, and of its own profile.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <omp.h>
#include <sys/resource.h>

#include "benchmarks/arguments.hpp"
#include "benchmarks/gpt2.hpp"
#include "benchmarks/usage.hpp"
#include "core/autograd/backward.hpp"
#include "core/backend/cpu_peaks.hpp"
#include "core/backend/cuda.hpp"
#include "core/backend/gpu_peaks.hpp"
#include "core/backend/range.hpp"
#include "core/backend/transfer.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/plural.hpp"
#include "core/nn/init.hpp"
#include "core/optim/clip.hpp"
#include "core/optim/optimizer.hpp"
#include "launch/device.hpp"
#include "launch/failure.hpp"
#include "launch/process.hpp"
#include "launch/profile/table.hpp"
#include "launch/version.hpp"
#include "models/registry.hpp"
#include "parallel/data_parallel.hpp"
#include "parallel/grad_norm.hpp"
#include "parallel/shared_update.hpp"

namespace {

using namespace weft;

constexpr std::uint64_t kSeed = 42;
constexpr const char* kUsage =
    "training_step [--model bert-base|bert-large|gpt2-124m] [--device cpu|cuda]\n"
    "  [--precision fp32|bf16] [--batch N (8)] [--length N (128)] [--masked N (154)]\n"
    "  [--layers N (0)] [--threads N] [--warmup N (3)] [--graph on|off (off)] [--profile N]\n"
    "--layers 0 means the model's own number; --masked counts a whole batch's places, for BERT;\n"
    "--graph on needs --device cuda";

struct Options {
  std::string model = "bert-base";
  std::int64_t batch = 8, length = 128, masked = 154;
  std::int64_t layers = 0;  // 0: the model's own number
  int threads = 0, warmup = 3, profile = 0;
  bool graph = false;  // of the device: forward and backward captured, and done again
  TensorOptions tensors;

  bool is_gpt2() const { return model == "gpt2-124m"; }
};

// What the values must be to each other.
void check(const Options& o) {
  if (!o.is_gpt2() && o.masked > o.batch * o.length) {
    throw InputError(
        fmt::format("--masked: {} of {}", o.masked, counted(o.batch * o.length, "place")),
        "give at most --batch times --length; training masks 15% of them");
  }
  if (o.graph && o.tensors.device.type == DeviceType::cpu) {
    throw InputError("--graph on: a CPU has no graphs", "leave it out, or add --device cuda");
  }
}

Options parse(int argc, char** argv) {
  constexpr std::int64_t kMost = 1 << 20;
  Options o;
  Words words("training_step", argc, argv);
  while (words.next()) {
    const std::string& name = words.word();
    if (name == "--batch") {
      o.batch = words.whole(1, kMost);
    } else if (name == "--length") {
      o.length = words.whole(1, kMost);
    } else if (name == "--masked") {
      o.masked = words.whole(1, kMost * kMost);
    } else if (name == "--layers") {
      o.layers = words.whole(0, 1000);
    } else if (name == "--threads") {
      o.threads = static_cast<int>(words.whole(1, omp_get_num_procs()));
    } else if (name == "--warmup") {
      o.warmup = static_cast<int>(words.whole(0, kMost));
    } else if (name == "--graph") {
      o.graph = words.one({"on", "off"}) == "on";
    } else if (name == "--profile") {
      o.profile = static_cast<int>(words.whole(1, kMost));
    } else if (name == "--precision") {
      o.tensors.dtype = words.one({"fp32", "bf16"}) == "bf16" ? DType::bf16 : DType::f32;
    } else if (name == "--device") {
      o.tensors.device.type = words.device_type();
    } else if (name == "--model") {
      o.model = words.one({"bert-base", "bert-large", "gpt2-124m"});
    } else {
      words.refuse();
    }
  }
  check(o);
  return o;
}

// A model with what it learns from.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual Module& module() = 0;
  virtual void draw_batch(std::mt19937_64& random) = 0;  // on the host, outside the timed step
  virtual void upload() = 0;                             // always to the same memory
  virtual Var mean_loss(Pass& pass) = 0;
};

// A tensor drawn on the host, and its place on the device.
struct Drawn {
  Tensor host, device;

  void upload(Device to) {
    if (!host) return;
    if (device && to.type == DeviceType::cuda) {
      backend(to).upload(device, host);
    } else {
      device = to_device(host, to);
    }
  }
};

class BertSubject final : public Subject {
 public:
  BertSubject(const Options& o, Mesh& mesh)
      : options_(o), model_(make_model(keys(o), mesh, o.tensors.dtype, kSeed)) {}

  Module& module() override { return *model_; }
  void draw_batch(std::mt19937_64& random) override {
    const Batch batch = random_batch(random);
    ids_.host = batch.ids_BT;
    types_.host = batch.type_ids_BT;
    places_.host = batch.masked_places_N;
    targets_.host = batch.masked_targets_N;
    mask_.host = batch.key_mask_BT;
  }
  void upload() override {
    for (Drawn* x : {&ids_, &types_, &mask_, &places_, &targets_})
      x->upload(options_.tensors.device);
  }
  Var mean_loss(Pass& pass) override {
    const Batch batch{.ids_BT = ids_.device,
                      .type_ids_BT = types_.device,
                      .key_mask_BT = mask_.device,
                      .padding_is_last = true,
                      .masked_places_N = places_.device,
                      .masked_targets_N = targets_.device};
    return scale(model_->losses(batch, pass).front().sum,
                 1.0F / static_cast<float>(options_.masked));
  }

 private:
  static constexpr std::int32_t kFirstWord = 1000;  // below are the special and the unused ids
  static constexpr std::int32_t kMaskId = 103, kVocabulary = 30522;

  static Json keys(const Options& o) {
    const bool large = o.model == "bert-large";
    Json keys;
    keys["model_type"] = "bert";
    keys["architectures"] = {"BertForMaskedLM"};
    keys["vocab_size"] = kVocabulary;
    keys["hidden_size"] = large ? 1024 : 768;
    keys["num_attention_heads"] = large ? 16 : 12;
    keys["intermediate_size"] = large ? 4096 : 3072;
    keys["num_hidden_layers"] = o.layers > 0 ? o.layers : large ? 24 : 12;
    return keys;
  }

  Batch random_batch(std::mt19937_64& random) const {
    const Options& o = options_;
    const std::int64_t places = o.batch * o.length;
    Batch batch;
    batch.ids_BT = Tensor({o.batch, o.length}, DType::i32);
    batch.type_ids_BT = Tensor({o.batch, o.length}, DType::i32);
    if (o.tensors.device.type == DeviceType::cuda) {  // as training has on GPUs, padding or not
      batch.key_mask_BT = Tensor({o.batch, o.length}, DType::u8);
      std::fill_n(batch.key_mask_BT.data<std::uint8_t>(), places, std::uint8_t{1});
    }
    batch.masked_places_N = Tensor({o.masked}, DType::i32);
    batch.masked_targets_N = Tensor({o.masked}, DType::i32);
    auto* ids = batch.ids_BT.data<std::int32_t>();
    std::fill_n(batch.type_ids_BT.data<std::int32_t>(), places, 0);
    std::uniform_int_distribution<std::int32_t> word(kFirstWord, kVocabulary - 1);
    std::generate_n(ids, places, [&] { return word(random); });

    std::vector<std::int32_t> all(static_cast<std::size_t>(places));
    std::iota(all.begin(), all.end(), 0);
    auto* chosen = batch.masked_places_N.data<std::int32_t>();
    std::sample(all.begin(), all.end(), chosen, o.masked, random);
    for (std::int64_t i = 0; i < o.masked; ++i) {
      batch.masked_targets_N.data<std::int32_t>()[i] = ids[chosen[i]];
      ids[chosen[i]] = kMaskId;
    }
    return batch;
  }

  Options options_;
  std::unique_ptr<PretrainingModel> model_;
  Drawn ids_, types_, mask_, places_, targets_;
};

class Gpt2Subject final : public Subject {
 public:
  Gpt2Subject(const Options& o, Mesh& mesh)
      : options_(o), model_(shape(o), mesh.tensor(), o.tensors), places_BT_(places(o)) {
    initialize(model_, kSeed, {.rank = 0, .ranks = 1});
  }

  Module& module() override { return model_; }
  void draw_batch(std::mt19937_64& random) override {
    ids_BT_.host = words(random, {options_.batch, options_.length});
    targets_N_.host = words(random, {options_.batch * options_.length});
  }
  void upload() override {
    for (Drawn* x : {&ids_BT_, &targets_N_}) x->upload(options_.tensors.device);
  }
  Var mean_loss(Pass& pass) override {
    const Var sum = model_.loss(ids_BT_.device, places_BT_, targets_N_.device, pass);
    return scale(sum, 1.0F / static_cast<float>(options_.batch * options_.length));
  }

 private:
  static Gpt2Shape shape(const Options& o) {
    Gpt2Shape s;
    s.length = std::max<std::int64_t>(512, o.length);
    if (o.layers > 0) s.layers = o.layers;
    return s;
  }
  static Tensor places(const Options& o) {
    Tensor p({o.batch, o.length}, DType::i32);
    for (std::int64_t i = 0; i < p.numel(); ++i)
      p.data<std::int32_t>()[i] = static_cast<std::int32_t>(i % o.length);
    return to_device(p, o.tensors.device);
  }
  static Tensor words(std::mt19937_64& random, const Shape& shape) {
    Tensor ids(shape, DType::i32);
    std::uniform_int_distribution<std::int32_t> word(0, 50256);
    std::generate_n(ids.data<std::int32_t>(), ids.numel(), [&] { return word(random); });
    return ids;
  }

  Options options_;
  Gpt2 model_;
  Tensor places_BT_;
  Drawn ids_BT_, targets_N_;
};

std::unique_ptr<Subject> make_subject(const Options& o, Mesh& mesh) {
  if (o.is_gpt2()) return std::make_unique<Gpt2Subject>(o, mesh);
  return std::make_unique<BertSubject>(o, mesh);
}

class Step {
 public:
  Step(const Options& o, const Communicator& world)
      : mesh_(world.duplicate(), 1, o.tensors.device),
        subject_(make_subject(o, mesh_)),
        parameters_(parameters(subject_->module())),
        buckets_(parameters_, mesh_),
        optimizer_(parameters_, {.sharing = SharedUpdate::connect(parameters_, mesh_.data())}),
        wants_graph_(o.graph) {}

  struct Result {
    double seconds = 0, loss = 0;
  };

  Result operator()() {
    subject_->draw_batch(random_);
    const Range range(kStepRange);
    const auto start = std::chrono::steady_clock::now();
    subject_->upload();
    number_.host = Tensor({1}, DType::i32);
    *number_.host.data<std::int32_t>() = static_cast<std::int32_t>(updates_);
    number_.upload(mesh_.device());
    issue_or_replay();
    update();
    const double value = to_host(loss_).data<float>()[0];  // waits for the whole step
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    return {.seconds = taken.count(), .loss = value};
  }

  std::int64_t size() const {
    std::int64_t n = 0;
    for (const NamedParameter& p : parameters_) n += p.parameter->full.numel();
    return n;
  }

 private:
  void issue() {
    Pass pass{.training = true, .seed = kSeed, .step_on_device = number_.device};
    buckets_.zero();
    const Var loss = forward(pass);
    loss_ = loss.value();
    {
      const Range range("backward");
      backward(loss, {}, buckets_.hook(true));
    }
    const Range range("wait for the gradient sums");
    buckets_.finish();
  }
  // The first two steps choose algorithms and plan, which cannot be captured.
  void issue_or_replay() {
    if (!wants_graph_ || updates_ < 2) return issue();
    if (!graph_) {
      buckets_.zero();
      graph_ = backend(mesh_.device()).capture([&] { issue(); });
    }
    graph_->replay();
  }
  Var forward(Pass& pass) {
    const Range range("forward");
    return subject_->mean_loss(pass);
  }

  void update() {
    const double norm = [&] {
      const Range range("gradient norm");
      return global_grad_norm(buckets_, parameters_, mesh_);
    }();
    const Range range("optimizer");
    optimizer_.step(buckets_.gradients(),
                    {.lr = 1e-4, .grad_scale = clip_scale(norm, 1.0), .update = ++updates_});
  }

  Mesh mesh_;
  std::unique_ptr<Subject> subject_;
  std::vector<NamedParameter> parameters_;
  GradientBuckets buckets_;
  Optimizer optimizer_;
  std::mt19937_64 random_{1U + static_cast<unsigned>(mesh_.data().rank())};
  std::int64_t updates_ = 0;
  Drawn number_;  // of the step: of the dropouts' keys
  Tensor loss_;
  bool wants_graph_;
  std::unique_ptr<DeviceGraph> graph_;
};

void say(const Json& json) { std::cout << json.dump() << std::endl; }

// The most that was in use: of the GPU's memory by this program's tensors, or of the host's by the
// process.
std::int64_t peak_memory(Device device) {
  if (device.type == DeviceType::cuda) {
    return static_cast<std::int64_t>(allocator(device).stats().peak);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{1024} * usage.ru_maxrss;
}

// Name and the peak rate of products in this precision: a CPU's as measured, a GPU's as its data
// sheet says, as far as it is known.
Json about_device(const TensorOptions& tensors) {
  if (tensors.device.type == DeviceType::cpu) {
    return {{"device", "cpu"}, {"peak_flops", cpu_peak_flops(tensors.dtype)}};
  }
  const std::string name = cuda_report().gpus[static_cast<std::size_t>(tensors.device.index)].name;
  const std::optional<GpuPeaks> peaks = gpu_peaks(name);
  return {{"device", name}, {"peak_flops", peaks ? peaks->flops(tensors.dtype) : 0}};
}

// What calls are held against: a CPU's ceilings as measured, a GPU's as its data sheet says.
Ceilings ceilings_of(const TensorOptions& tensors) {
  if (tensors.device.type == DeviceType::cpu) return cpu_ceilings();
  const std::string name = cuda_report().gpus[static_cast<std::size_t>(tensors.device.index)].name;
  const GpuPeaks peaks = gpu_peaks(name).value_or(GpuPeaks{});
  return {.flops_f32 = peaks.f32, .flops_bf16 = peaks.half, .bytes = peaks.bytes};
}

// Where the time of some steps goes, instead of the exchange with benchmarks/vs_pytorch. On a GPU
// calls have the GPU's own times, so what is outside of them is the rest of the steps: launches and
// waits. When the host issued a call says nothing then, and its other ranges are left out.
void print_profile(Step& step, int steps, const TensorOptions& tensors, const Communicator& world) {
  start_recording();
  for (int i = 0; i < steps; ++i) step();
  Timeline timeline = stop_recording();
  if (world.rank() != 0) return;
  const bool on_gpu = tensors.device.type == DeviceType::cuda;
  if (on_gpu) {
    std::erase_if(timeline.spans, [](const Span& span) {
      return !span.is_call && std::string_view(span.name) != kStepRange;
    });
  }
  const Ceilings ceilings = ceilings_of(tensors);
  StepProfile profile = profile_of(timeline, ceilings);
  if (on_gpu) profile.phases.clear();  // there are none, but for the calls once more
  for (const std::string& line : lines_of(profile, ceilings)) std::puts(line.c_str());
}

void run(const Options& options) {
  set_threads(options.threads);
  const std::unique_ptr<Communicator> world = host_communicator();
  Options own = options;
  if (options.batch % world->size() != 0 || options.masked % world->size() != 0) {
    throw InputError("--batch and --masked must be multiples of the number of ranks",
                     fmt::format("there are {}", counted(world->size(), "rank")));
  }
  own.batch /= world->size();
  own.masked /= world->size();
  Step step(own, *world);
  double loss = 0;
  for (int i = 0; i < options.warmup; ++i) loss = step().loss;
  if (options.profile > 0) {
    print_profile(step, options.profile, options.tensors, *world);
    return;
  }
  const std::string version = version_text();
  Json ready = about_device(options.tensors);
  ready["ready"] = version.substr(0, version.find('\n'));
  ready["parameters"] = step.size();
  ready["loss"] = loss;
  const bool first = world->rank() == 0;
  if (first) say(ready);

  const auto next_line = [&] {
    std::string line;
    if (first) std::getline(std::cin, line);
    return world->broadcast(line, 0);
  };
  for (std::string line = next_line(); !line.empty(); line = next_line()) {
    Json answer;
    answer["seconds"] = Json::array();
    for (std::int64_t i = whole_number("steps", line, 1, 1 << 20); i > 0; --i) {
      const Step::Result result = step();
      answer["seconds"].push_back(result.seconds);
      answer["loss"] = result.loss;
    }
    if (first) say(answer);
  }
  if (first) say({{"peak_memory", peak_memory(options.tensors.device)}});
}

}  // namespace

int main(int argc, char** argv) {
  if (asks_for_help(argc, argv, kUsage)) return 0;
  limit_spinning(argv);
  std::optional<MpiSession> mpi;  // outlives the error that must end all ranks
  try {
    mpi.emplace();
    run(parse(argc, argv));
    return 0;
  } catch (const std::exception& e) {
    return end_ranks(e, exit_status_of(e));
  }
}
