// Times the calls of a backend that are bound by memory, each alone, and sets the bytes counted of
// them (core/backend/work.hpp) against the measured bandwidth: passes --help
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <omp.h>

#include "benchmarks/arguments.hpp"
#include "benchmarks/device_timing.hpp"
#include "benchmarks/usage.hpp"
#include "core/backend/cpu_peaks.hpp"
#include "core/backend/profiled_backend.hpp"
#include "core/backend/transfer.hpp"
#include "core/base/plural.hpp"
#include "launch/failure.hpp"
#include "launch/process.hpp"

namespace {

using namespace weft;

constexpr float kDropout = 0.1F;
constexpr std::int64_t kHidden = 768, kInner = 3072, kVocabulary = 30522;
const std::string kUsage = R"(passes [OPTION VALUE]... [NAME...]

  NAME         times the passes whose names contain it, or another NAME (all)
  --rows N     of the hidden tensors, up to 262144: 0 means 1024, a step of BERT-base with B 8,
               T 128, and then 32768, whose tensors are larger than the caches (0)
  --seconds S  of each pass (0.2)
  --device D   cpu or cuda (cpu)

Bytes are counted as read and written from memory: what the caches hold of small tensors lets a pass
be faster than memory. The optimizers' have the 108 M weights of BERT-base, and f32 gradients; a row
named bf16 is with a copy of the weights in bf16.

The passes:
  )";

struct Options {
  Device device;
  std::int64_t rows = 0;
  double seconds = 0.2;
  std::vector<std::string> names;
};
Options options;

Tensor f32(const Shape& shape) { return Tensor(shape, DType::f32, options.device); }

Tensor indices(std::int64_t count) {
  Tensor host({count}, DType::i32);
  for (std::int64_t i = 0; i < count; ++i)
    host.data<std::int32_t>()[i] = static_cast<std::int32_t>(i * 29 % kVocabulary);
  return to_device(host, options.device);
}

// The tensors that a pass works on: rows of the hidden and of the inner size, and of the vocabulary
// for the masked ones.
struct Shapes {
  std::int64_t rows;
  DType dtype;

  std::int64_t masked() const { return std::max<std::int64_t>(1, rows * 5 / 32); }
  Tensor hidden() const { return of({rows, kHidden}); }
  Tensor inner() const { return of({rows, kInner}); }
  Tensor logits() const { return of({masked(), kVocabulary}); }
  Tensor of(const Shape& shape) const { return noise(shape, {dtype, options.device}); }
};

using Call = std::function<void(Backend&)>;

struct Case {
  const char* name;
  // Makes the tensors, and the call on them; an empty one where there is none for the dtype.
  std::function<Call(const Shapes&)> make;
};

const std::vector<Case> kPasses = {
    {"fill",
     [](const Shapes& s) -> Call {
       return [y = s.hidden()](Backend& b) mutable { b.fill(y, 0); };
     }},
    {"copy",
     [](const Shapes& s) -> Call {
       return [y = s.hidden(), x = s.hidden()](Backend& b) mutable { b.copy(y, x); };
     }},
    {"copy to f32",
     [](const Shapes& s) -> Call {
       if (s.dtype == DType::f32) return {};
       return [y = f32({s.rows, kHidden}), x = s.hidden()](Backend& b) mutable { b.copy(y, x); };
     }},
    {"copy from f32",
     [](const Shapes& s) -> Call {
       if (s.dtype == DType::f32) return {};
       return [y = s.hidden(), x = noise({s.rows, kHidden}, {DType::f32, options.device})](
                  Backend& b) mutable { b.copy(y, x); };
     }},
    {"add",
     [](const Shapes& s) -> Call {
       return
           [y = s.hidden(), a = s.hidden(), x = s.hidden()](Backend& b) mutable { b.add(y, a, x); };
     }},
    {"scale",
     [](const Shapes& s) -> Call {
       return [y = s.hidden(), x = s.hidden()](Backend& b) mutable { b.scale(y, x, 0.5F); };
     }},
    {"dropout",
     [](const Shapes& s) -> Call {
       return [y = s.hidden(), x = s.hidden()](Backend& b) mutable {
         b.dropout(y, x, {.p = kDropout});
       };
     }},
    {"activation forward",
     [](const Shapes& s) -> Call {
       return [y = s.inner(), x = s.inner()](Backend& b) mutable {
         b.activation_forward(y, x, Activation::gelu);
       };
     }},
    {"activation backward",
     [](const Shapes& s) -> Call {
       return [dx = s.inner(), dy = s.inner(), x = s.inner()](Backend& b) mutable {
         b.activation_backward(dx, dy, x, Activation::gelu);
       };
     }},
    {"bias + activation forward",
     [](const Shapes& s) -> Call {
       return [y = s.inner(), x = s.inner(), bias = s.of({kInner})](Backend& b) mutable {
         b.bias_activation_forward(y, x, bias, Activation::gelu);
       };
     }},
    {"bias + activation backward",
     [](const Shapes& s) -> Call {
       return [dx = s.inner(), dy = s.inner(), x = s.inner(), bias = s.of({kInner}),
               dbias = f32({kInner})](Backend& b) mutable {
         b.bias_activation_backward(dx, dbias, dy, x, bias, Activation::gelu);
       };
     }},
    {"layer norm forward",
     [](const Shapes& s) -> Call {
       return [y = s.hidden(), mean = f32({s.rows}), rstd = f32({s.rows}), x = s.hidden(),
               gamma = s.of({kHidden}), beta = s.of({kHidden})](Backend& b) mutable {
         b.layer_norm_forward(y, mean, rstd, x, gamma, beta, 1e-12F);
       };
     }},
    {"layer norm backward",
     [](const Shapes& s) -> Call {
       const Tensor ones = noise({s.rows}, {DType::f32, options.device});
       return [dx = s.hidden(), dgamma = f32({kHidden}), dbeta = f32({kHidden}), dy = s.hidden(),
               x = s.hidden(), ones, gamma = s.of({kHidden})](Backend& b) mutable {
         b.layer_norm_backward(dx, dgamma, dbeta, dy, x, ones, ones, gamma);
       };
     }},
    {"residual + norm forward",
     [](const Shapes& s) -> Call {
       const Backend::ResidualNorm in{.x = s.hidden(),
                                      .bias = s.of({kHidden}),
                                      .residual = s.hidden(),
                                      .gamma = s.of({kHidden}),
                                      .beta = s.of({kHidden}),
                                      .dropout = {.p = kDropout}};
       return [y = s.hidden(), sum = s.hidden(), mean = f32({s.rows}), rstd = f32({s.rows}),
               in](Backend& b) mutable { b.residual_norm_forward(y, sum, mean, rstd, in); };
     }},
    {"residual + norm backward",
     [](const Shapes& s) -> Call {
       const Tensor ones = noise({s.rows}, {DType::f32, options.device});
       return [dx = s.hidden(), dresidual = s.hidden(), dbias = f32({kHidden}),
               dgamma = f32({kHidden}), dbeta = f32({kHidden}), dy = s.hidden(), sum = s.hidden(),
               ones, gamma = s.of({kHidden})](Backend& b) mutable {
         b.residual_norm_backward(dx, dresidual, dbias, dgamma, dbeta, dy, sum, ones, ones, gamma,
                                  {.p = kDropout});
       };
     }},
    {"gather rows",
     [](const Shapes& s) -> Call {
       return [y = s.hidden(), x = s.of({kVocabulary, kHidden}),
               index = indices(s.rows)](Backend& b) mutable { b.gather_rows(y, x, index, 0); };
     }},
    {"scatter-add rows",
     [](const Shapes& s) -> Call {
       return [dx = f32({kVocabulary, kHidden}), dy = s.hidden(), index = indices(s.rows)](
                  Backend& b) mutable { b.scatter_add_rows(dx, dy, index, 0, false); };
     }},
    {"sum rows",
     [](const Shapes& s) -> Call {
       return [y = f32({kInner}), x = s.inner()](Backend& b) mutable { b.sum_rows(y, x); };
     }},
    {"cross entropy forward",
     [](const Shapes& s) -> Call {
       return [parts = f32({s.masked(), 3}), logits = s.logits(), targets = indices(s.masked())](
                  Backend& b) mutable { b.cross_entropy_parts(parts, logits, targets, 0); };
     }},
    {"cross entropy backward",
     [](const Shapes& s) -> Call {
       const Tensor lse = noise({s.masked()}, {DType::f32, options.device});
       const Tensor one = noise({1}, {DType::f32, options.device});
       return [dlogits = s.logits(), logits = s.logits(), targets = indices(s.masked()), lse,
               one](Backend& b) mutable {
         b.cross_entropy_backward(dlogits, logits, targets, lse, one, 0);
       };
     }},
};

// The weights of BERT-base's matrices and their state.
std::vector<AdamTensors> weights(DType dtype) {
  std::vector<Shape> shapes{{kVocabulary, kHidden}};
  for (int layer = 0; layer < 12; ++layer) {
    shapes.insert(shapes.end(), {Shape{3 * kHidden, kHidden}, Shape{kHidden, kHidden},
                                 Shape{kInner, kHidden}, Shape{kHidden, kInner}});
  }
  std::vector<AdamTensors> all;
  for (const Shape& shape : shapes) {
    const auto noise_in = [&](DType of) { return noise(shape, {of, options.device}); };
    Tensor squares = f32(shape);
    backend(squares).fill(squares, 1e-4F);
    all.push_back({.w = noise_in(DType::f32),
                   .m = noise_in(DType::f32),
                   .v = squares,
                   .copy = dtype == DType::f32 ? Tensor{} : noise_in(dtype),
                   .g = noise_in(DType::f32),
                   .weight_decay = 0.01F});
  }
  return all;
}

// LAMB's, of each.
Tensor squares_of(const std::vector<AdamTensors>& all) {
  return Tensor({static_cast<std::int64_t>(all.size()), 2}, DType::f64, options.device);
}

const std::vector<Case> kOptimizerPasses = {
    {"adamw",
     [](const Shapes& s) -> Call {
       return [all = weights(s.dtype)](Backend& b) { b.adamw(all, {.lr = 1e-4F}); };
     }},
    {"lamb moments",
     [](const Shapes& s) -> Call {
       if (s.dtype != DType::f32) return {};
       const std::vector<AdamTensors> all = weights(s.dtype);
       return [all, squares = squares_of(all)](Backend& b) mutable {
         b.lamb_moments(squares, all, {.lr = 1e-4F});
       };
     }},
    {"lamb apply",
     [](const Shapes& s) -> Call {
       const std::vector<AdamTensors> all = weights(s.dtype);
       Tensor squares = squares_of(all);
       backend(squares).fill(squares, 1);
       return [all, squares](Backend& b) { b.lamb_apply(all, squares, {.lr = 1e-4F}); };
     }},
    {"squared norms",
     [](const Shapes& s) -> Call {
       if (s.dtype != DType::f32) return {};
       std::vector<Tensor> gs;
       for (const AdamTensors& p : weights(s.dtype)) gs.push_back(p.g);
       Tensor sums({static_cast<std::int64_t>(gs.size())}, DType::f64, options.device);
       return [sums, gs](Backend& b) mutable { b.squared_norms(sums, gs); };
     }},
};

double counted_bytes(const Call& call) {
  ProfiledBackend counting(backend(options.device));
  start_recording();
  call(counting);
  double bytes = 0;
  for (const Span& span : stop_recording().spans) bytes += span.work.bytes;
  return bytes;
}

bool is_wanted(const std::string& name) {
  const auto contains = [&](const std::string& part) {
    return name.find(part) != std::string::npos;
  };
  return options.names.empty() || std::any_of(options.names.begin(), options.names.end(), contains);
}

void report(const std::string& heading, const std::vector<Case>& cases, std::int64_t rows,
            double peak) {
  if (std::none_of(cases.begin(), cases.end(), [](const Case& c) { return is_wanted(c.name); }))
    return;
  std::printf("\n%s\n", heading.c_str());
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Case& c : cases) {
      if (!is_wanted(c.name)) continue;
      const Call call = c.make({.rows = rows, .dtype = dtype});
      if (!call) continue;
      const double bytes = counted_bytes(call);
      const double seconds =
          best_time(options.device, options.seconds, [&] { call(backend(options.device)); });
      std::printf("%-28s %-4s %9.1f MB %9.3f ms %7.1f GB/s %4.0f%%\n", c.name,
                  name_of(dtype).data(), bytes / 1e6, seconds * 1e3, bytes / seconds / 1e9,
                  100 * bytes / seconds / peak);
      std::fflush(stdout);
    }
  }
}

// Prints what was measured of memory, and returns the highest.
double measured_peak() {
  if (!on_cpu(options.device)) {
    const double rate = device_peak_bytes(options.device);
    std::printf("%s; 100%% is the rate of y += a: %.1f GB/s\n", options.device.str().c_str(),
                rate / 1e9);
    return rate;
  }
  const MemoryRates rates = measure_memory();
  const double best = std::max({rates.read, rates.copy, rates.triad});
  std::printf("%s; memory read %.1f, copy %.1f, triad %.1f GB/s; 100%% is the %s\n",
              counted(omp_get_max_threads(), "thread").c_str(), rates.read / 1e9, rates.copy / 1e9,
              rates.triad / 1e9,
              best == rates.read   ? "read"
              : best == rates.copy ? "copy"
                                   : "triad");
  return best;
}

void run() {
  const double peak = measured_peak();
  const auto rows = options.rows > 0 ? std::vector<std::int64_t>{options.rows}
                                     : std::vector<std::int64_t>{1024, 32768};
  for (const std::int64_t n : rows) report(counted(n, "row"), kPasses, n, peak);
  report("weights", kOptimizerPasses, 0, peak);
}

std::vector<std::string> pass_names() {
  std::vector<std::string> names;
  for (const auto* cases : {&kPasses, &kOptimizerPasses}) {
    for (const Case& c : *cases) names.emplace_back(c.name);
  }
  return names;
}

std::string name_list(const char* between) {
  return fmt::format("{}", fmt::join(pass_names(), between));
}

// `part` itself; throws InputError when no pass has it in its name.
std::string wanted_part(const std::string& part) {
  for (const std::string& name : pass_names()) {
    if (!part.empty() && name.find(part) != std::string::npos) return part;
  }
  throw InputError(fmt::format("no pass has '{}' in its name", part),
                   "there are " + name_list(", "));
}

Options parse(int argc, char** argv) {
  Options o;
  Words words("passes", argc, argv);
  while (words.next()) {
    const std::string& name = words.word();
    if (name == "--device") {
      o.device.type = words.device_type();
    } else if (name == "--rows") {
      o.rows = words.whole(0, 1 << 18);
    } else if (name == "--seconds") {
      o.seconds = words.positive();
    } else if (words.is_option()) {
      words.refuse();
    } else {
      o.names.push_back(wanted_part(name));
    }
  }
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  if (asks_for_help(argc, argv, (kUsage + name_list("\n  ")).c_str())) return 0;
  limit_spinning(argv);
  try {
    options = parse(argc, argv);
    run();
    return 0;
  } catch (const std::exception& e) {
    return end_ranks(e, exit_status_of(e));
  }
}
