// Times every kind of attention kernel that this CPU can run, in turn, with one thread:
// attention [SECONDS (0.3): of each]
//
// The processor time of the thread is taken, and the fastest of many turns: what the others took
// longer is somebody else's.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string>
#include <vector>

#include <omp.h>

#include "benchmarks/arguments.hpp"
#include "benchmarks/usage.hpp"
#include "core/backend/backend.hpp"
#include "core/backend/cpu/attention/choice.hpp"
#include "launch/failure.hpp"
#include "launch/process.hpp"

namespace {

using namespace weft;

double now() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

Tensor noise(const Shape& shape, DType dtype) {
  Tensor host(shape, DType::f32);
  for (std::int64_t i = 0; i < host.numel(); ++i)
    host.data<float>()[i] = uniform_from(philox_u32({}, static_cast<std::uint64_t>(i))) - 0.5F;
  Tensor x(shape, dtype);
  backend(x).copy(x, host);
  return x;
}

// A sample b of B has (b + 1) / B of its keys.
Tensor growing_mask(std::int64_t B, std::int64_t T) {
  Tensor mask({B, T}, DType::u8);
  for (std::int64_t i = 0; i < B * T; ++i)
    mask.data<std::uint8_t>()[i] = i % T < (i / T + 1) * T / B ? 1 : 0;
  return mask;
}

struct Case {
  std::int64_t B, T, heads;
  bool causal = false, padded = false;
  float dropout_p = 0;

  std::string name(DType dtype) const {
    return std::string(name_of(dtype)) + " B " + std::to_string(B) + " T " + std::to_string(T) +
           (causal ? " causal" : "") + (padded ? " padded" : "") +
           (dropout_p > 0 ? " dropout" : "");
  }
};

struct Times {
  double forward = 1e30, backward = 1e30;
};

std::vector<Times> best_times(const Case& c, DType dtype, double seconds) {
  constexpr std::int64_t d = 64;
  const Shape shape{c.B, c.T, c.heads * d};
  const Tensor qkv = noise({c.B, c.T, 3 * c.heads * d}, dtype), dout = noise(shape, dtype);
  Tensor out(shape, dtype), dqkv(qkv.shape(), dtype), lse({c.B, c.heads, c.T}, DType::f32);
  const AttentionArgs args{.heads = c.heads,
                           .scale = 0.125F,
                           .causal = c.causal,
                           .key_mask_BT = c.padded ? growing_mask(c.B, c.T) : Tensor{},
                           .dropout_p = c.dropout_p,
                           .total_heads = c.heads};
  const std::vector<AttentionPath> paths = attention_paths(dtype);
  std::vector<Times> best(paths.size());
  const double start = now();
  while (now() - start < seconds * static_cast<double>(paths.size())) {
    for (std::size_t i = 0; i < paths.size(); ++i) {
      set_attention_path(paths[i]);
      const double t0 = now();
      backend(out).attention_forward(out, lse, qkv, args);
      const double t1 = now();
      backend(out).attention_backward(dqkv, dout, qkv, out, lse, args);
      best[i].forward = std::min(best[i].forward, t1 - t0);
      best[i].backward = std::min(best[i].backward, now() - t1);
    }
  }
  return best;
}

// The last path is the one that is chosen where AMX is missing; GFLOP/s count half under a causal
// mask and all keys of padded samples.
void report(const Case& c, DType dtype, double seconds) {
  const std::vector<Times> best = best_times(c, dtype, seconds);
  const double product =
      2.0 * 64 * static_cast<double>(c.B * c.heads * c.T * c.T) / (c.causal ? 2 : 1);
  const auto line = [&](const char* direction, int products, double Times::*time) {
    std::printf("%-32s %-8s", c.name(dtype).c_str(), direction);
    for (const Times& t : best) std::printf(" %8.2f", t.*time * 1e3);
    std::printf(" ms %6.0f GFLOP/s x%.2f\n", products * product / (best.back().*time) / 1e9,
                best.front().*time / (best.back().*time));
    std::fflush(stdout);
  };
  line("forward", 2, &Times::forward);
  line("backward", 5, &Times::backward);
}

void run(double seconds) {
  omp_set_num_threads(1);
  std::printf("by column: oneDNN, baseline, AVX-512, AVX512_BF16, as far as the CPU has them\n");
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Case& c :
         {Case{8, 64, 12}, Case{8, 128, 12}, Case{8, 128, 12, false, false, 0.1F},
          Case{8, 128, 12, false, true, 0.1F}, Case{8, 128, 12, true, false, 0.1F},
          Case{2, 512, 12, false, false, 0.1F}, Case{2, 512, 12, true}, Case{1, 1024, 12},
          Case{1, 1024, 12, true, false, 0.1F}, Case{1, 4096, 3}, Case{1, 4096, 3, true}})
      report(c, dtype, seconds);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (asks_for_help(argc, argv, "attention [SECONDS (0.3): of each kernel]")) return 0;
  limit_spinning(argv);
  try {
    const auto given = plain_arguments({"attention", argc, argv}, 1);
    run(given.empty() ? 0.3 : positive_number("SECONDS", given[0]));
    return 0;
  } catch (const std::exception& e) {
    return end_ranks(e, exit_status_of(e));
  }
}
