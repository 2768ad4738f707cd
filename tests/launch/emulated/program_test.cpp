// The whole program on emulated GPUs against the program on the CPU.
#include <cmath>
#include <fstream>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/io/manifest.hpp"
#include "tests/launch/tiny_run.hpp"

namespace weft {
namespace {

// A model as small as one can be: the emulator runs some ten thousand times slower than a GPU.
std::vector<std::string> config(const std::filesystem::path& run_dir) {
  const std::string data = tiny_data().string();
  return {"run: {dir: " + run_dir.string() + ", seed: 7}",
          "model: {type: bert, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, "
          "intermediate_size: 32, max_position_embeddings: 32}",
          "tokenizer: " + data + "/tokenizer",
          "data: {train: [{path: " + data + "/train}], seq_length: 16}",
          "objective: {type: mlm, sentence: nsp}",
          "optimizer: {type: adamw, lr: 1.0e-2}",
          "schedule: {type: linear, warmup_steps: 2, decay_steps: 12}",
          "train: {steps: 12, global_batch: 4, micro_batch: 2}",
          "checkpoint: {every: 6, keep: 0}",
          "log: {every: 1, peak_tflops: 1, tensorboard: false}"};
}

// The directory of a finished run. `launcher` comes before the program: variables, mpirun.
std::filesystem::path train(const std::string& program, const std::string& options = "",
                            const std::string& launcher = "OMP_NUM_THREADS=1 ") {
  const std::filesystem::path dir = new_directory("run");
  const ProgramResult r = run_shell(launcher + "\"" + program + "\" pretrain --quiet " +
                                    write_config(config(dir)).string() + " " + options);
  EXPECT_EQ(r.status, 0) << r.err;
  return dir;
}

const std::string kCpu = "$WEFT";
const std::string kGpu = "${WEFT}_emulated";

void expect_close(const std::filesystem::path& run, const std::filesystem::path& expected,
                  double tolerance) {
  auto losses = read_metrics(run, "loss");
  const auto wanted = read_metrics(expected, "loss");
  ASSERT_EQ(losses.size(), 12U);
  for (const auto& [step, values] : wanted) {
    for (const char* key : {"loss", "mlm_loss", "nsp_loss", "grad_norm"}) {
      const auto value = values[key].get<double>();
      EXPECT_NEAR(losses[step][key].get<double>(), value, tolerance * std::fabs(value))
          << key << " of step " << step;
    }
  }
}

std::string file_of(const std::filesystem::path& run, const std::string& name) {
  return read_file(run / "checkpoints" / "step-00000012" / name);
}

TEST(EmulatedProgram, TrainsAsOnTheCpu) { expect_close(train(kGpu), train(kCpu), 1e-4); }

TEST(EmulatedProgram, TrainsInBf16AsOnTheCpu) {
  const std::string bf16 = "--set train.precision=bf16 --set train.exact_attention_dropout=true";
  expect_close(train(kGpu, bf16), train(kCpu, bf16), 3e-2);
}

TEST(EmulatedProgram, ResumesBitForBit) {
  const std::filesystem::path whole = train(kGpu);
  const std::filesystem::path dir = new_directory("run");
  for (const char* options : {"--set train.steps=6", ""}) {
    const ProgramResult r = run_shell("OMP_NUM_THREADS=1 \"" + kGpu + "\" pretrain --quiet " +
                                      write_config(config(dir)).string() + " " + options);
    ASSERT_EQ(r.status, 0) << r.err;
  }
  for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
    EXPECT_EQ(file_of(dir, name), file_of(whole, name)) << name;
  }
}

std::map<std::int64_t, Json> metrics_without_times(const std::filesystem::path& run) {
  auto metrics = read_metrics(run, "loss");
  for (auto& [step, values] : metrics) {
    for (const char* key : {"seconds", "tokens_per_second", "mfu", "memory_bytes"})
      values.erase(key);
  }
  return metrics;
}

// What the emulator counted in a run: "waits" for the GPU, launched "graphs".
long counted(const std::string& what, const std::string& options,
             const std::string& launcher = "OMP_NUM_THREADS=1 ") {
  const std::filesystem::path reports = new_directory("reports");
  train(kGpu, options, "export WEFT_KERNEL_REPORT=" + reports.string() + "; " + launcher);
  long count = -1;
  for (const auto& entry : std::filesystem::directory_iterator(reports)) {
    const std::string report = read_file(entry.path());
    const std::size_t line = report.find(what + "\t");
    if (line != std::string::npos) count = std::stol(report.substr(line + what.size() + 1));
  }
  return count;
}

// Captured steps draw the dropout masks of their own numbers and weigh the terms by their own
// counts: the same bits as without.
TEST(EmulatedProgram, ACapturedStepChangesNoBit) {
  const std::string captured = " --set train.cuda_graph=true";
  for (const std::string options : {"", "--set train.precision=bf16 --set train.recompute=full"}) {
    SCOPED_TRACE(options);
    const std::filesystem::path plain = train(kGpu, options);
    const std::filesystem::path graph = train(kGpu, options + captured);
    EXPECT_EQ(metrics_without_times(graph), metrics_without_times(plain));
    EXPECT_EQ(file_of(graph, "model.safetensors"), file_of(plain, "model.safetensors"));
  }
}

TEST(EmulatedProgram, CapturesTheThirdStepForAllLaterOnes) {
  const ProgramResult r =
      run_shell("OMP_NUM_THREADS=1 \"" + kGpu + "\" pretrain --set train.cuda_graph=true " +
                "--set train.steps=4 " + write_config(config(new_directory("run"))).string());
  EXPECT_NE(r.err.find("step 3 was captured as a graph"), std::string::npos) << r.err;
  EXPECT_EQ(counted("graphs", ""), 0);
  EXPECT_EQ(counted("graphs", "--set train.cuda_graph=true"), 10);
}

TEST(EmulatedProgram, RanksCaptureTheirSumsToo) {
  for (const std::string layout : {"", "--set parallel.tensor=2"}) {
    SCOPED_TRACE(layout);
    const std::string launcher = "WEFT_EMULATED_GPUS=2 " + mpirun(2);
    const std::string captured = layout + " --set train.cuda_graph=true";
    const std::filesystem::path plain = train(kGpu, layout, launcher);
    const std::filesystem::path graph = train(kGpu, captured, launcher);
    EXPECT_EQ(metrics_without_times(graph), metrics_without_times(plain));
    EXPECT_EQ(file_of(graph, "model.safetensors"), file_of(plain, "model.safetensors"));
    EXPECT_EQ(counted("graphs", captured, launcher), 10);
  }
}

// Sums of both axes in one graph, which NCCL puts in order from version 2.26 on, and Weft before.
TEST(EmulatedProgram, RanksOfBothAxesCaptureTheirSums) {
  const std::string layout = "--set parallel.tensor=2", captured = " --set train.cuda_graph=true";
  const std::string launcher = "WEFT_EMULATED_GPUS=4 " + mpirun(4);
  const std::filesystem::path plain = train(kGpu, layout, launcher);
  for (const std::string version : {"21800", "22602"}) {
    SCOPED_TRACE(version);
    const std::filesystem::path graph =
        train(kGpu, layout + captured, "CUDA_EMULATOR_NCCL_VERSION=" + version + " " + launcher);
    EXPECT_EQ(metrics_without_times(graph), metrics_without_times(plain));
    for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
      EXPECT_EQ(file_of(graph, name), file_of(plain, name)) << name;
    }
  }
}

TEST(EmulatedProgram, RanksThatShareAGpuGoWithoutAGraph) {
  const std::string command = "\"" + kGpu + "\" pretrain --set train.steps=4 " +
                              "--set train.cuda_graph=true " +
                              write_config(config(new_directory("run"))).string();
  const ProgramResult r = run_shell("WEFT_EMULATED_GPUS=1 " + mpirun(2) + command);
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.err.find("train.cuda_graph is left out"), std::string::npos) << r.err;
}

// For the numbers of its line of metrics; eight micro-batches upload as much as they like.
TEST(EmulatedProgram, WaitsForTheGpuOnceInEachStep) {
  const auto waits_of = [](int steps, const std::string& options) {
    return counted("waits", options + " --set checkpoint.every=100 --set train.steps=" +
                                std::to_string(steps));
  };
  for (const std::string options :
       {"", "--set train.global_batch=16", "--set train.cuda_graph=true"}) {
    const long waits = waits_of(4, options);
    EXPECT_GT(waits, 0);
    EXPECT_EQ(waits_of(6, options) - waits, 2) << options;
  }
}

TEST(EmulatedProgram, ScalesTheLossInFp16AndKeepsTheScale) {
  const std::filesystem::path run = train(kGpu, "--set train.precision=fp16");
  const std::filesystem::path f32 = train(kCpu);
  const auto metrics = read_metrics(run, "loss_scale");
  ASSERT_EQ(metrics.size(), 12U);
  const auto expected = read_metrics(f32, "loss");
  EXPECT_NEAR(metrics.at(1)["loss"].get<double>(), expected.at(1)["loss"].get<double>(), 0.05);
  EXPECT_LT(metrics.at(12)["loss"].get<double>(), metrics.at(1)["loss"].get<double>());
  const Json state = parse_json(file_of(run, "trainer_state.json"), "trainer_state.json");
  EXPECT_EQ(state["loss_scaler"]["scale"], metrics.at(12)["loss_scale"]);
  EXPECT_EQ(state["loss_scaler"]["good_steps"], state["updates"]);
}

// Replaces a file of a checkpoint, which stays whole.
void replace_in_checkpoint(const std::filesystem::path& checkpoint, const std::string& name,
                           const std::string& content) {
  const std::filesystem::path path = checkpoint / kManifestName;
  Manifest manifest = parse_manifest(read_file(path), path.string());
  std::ofstream(checkpoint / name) << content;
  for (WrittenFile& file : manifest.files) {
    if (file.name != name) continue;
    file.size = content.size();
    file.xxh3_128 = xxh3_128_hex(std::as_bytes(std::span(content)));
  }
  std::ofstream(path) << manifest_text(manifest);
}

// The scale changes from step to step, and with it what a captured step multiplies the loss with.
TEST(EmulatedProgram, CapturedStepsFollowTheLossScale) {
  std::vector<std::map<std::int64_t, Json>> metrics;
  std::vector<std::string> weights;
  for (const std::string captured : {"false", "true"}) {
    const std::filesystem::path dir = new_directory("run");
    const std::string command = "OMP_NUM_THREADS=1 \"" + kGpu + "\" pretrain --quiet " +
                                write_config(config(dir)).string() +
                                " --set train.precision=fp16 --set train.cuda_graph=" + captured +
                                " --set train.steps=";
    EXPECT_EQ(run_shell(command + "1").status, 0);
    const std::filesystem::path checkpoint = dir / "checkpoints" / "step-00000001";
    Json state = read_json(checkpoint / "trainer_state.json");
    state["loss_scaler"]["scale"] = 0x1p24;
    replace_in_checkpoint(checkpoint, "trainer_state.json", state.dump(2) + "\n");
    EXPECT_EQ(run_shell(command + "12").status, 0);
    metrics.push_back(metrics_without_times(dir));
    weights.push_back(file_of(dir, "model.safetensors"));
    const Json last = parse_json(file_of(dir, "trainer_state.json"), "trainer_state.json");
    EXPECT_GT(last["updates"], 1) << "a scale that fits was found";
  }
  EXPECT_EQ(metrics[1], metrics[0]);
  EXPECT_EQ(weights[1], weights[0]);
  // Steps 2 and 3 of the second start are issued, the next is captured.
  const auto scale = [&](std::int64_t step) {
    return metrics[1].at(step)["loss_scale"].get<double>();
  };
  EXPECT_LT(scale(5), scale(4)) << "captured steps overflow";
  EXPECT_EQ(scale(12), scale(11)) << "and then do not";
}

// One rank's gradients alone would not tell the others.
TEST(EmulatedProgram, RanksSkipTheStepOfALossScaleThatIsTooLarge) {
  for (const std::string layout : {"", " --set parallel.tensor=2"}) {
    SCOPED_TRACE(layout);
    const std::filesystem::path dir = new_directory("run");
    const std::string file = write_config(config(dir)).string();
    const auto checkpoint_after = [&](int steps) {
      const ProgramResult r = run_shell(
          "WEFT_EMULATED_GPUS=2 " + mpirun(2) + "\"" + kGpu + "\" pretrain --quiet " + file +
          " --set train.precision=fp16 --set train.steps=" + std::to_string(steps) + layout);
      EXPECT_EQ(r.status, 0) << r.err;
      return dir / "checkpoints" / ("step-0000000" + std::to_string(steps));
    };
    const auto state_in = [](const std::filesystem::path& checkpoint) {
      return read_json(checkpoint / "trainer_state.json");
    };
    const std::filesystem::path first = checkpoint_after(1);
    Json state = state_in(first);
    EXPECT_EQ(state["updates"], 1);
    state["loss_scaler"]["scale"] = 0x1p40;
    replace_in_checkpoint(first, "trainer_state.json", state.dump(2) + "\n");

    double scale = 0x1p40;
    for (const int steps : {2, 3}) {  // each resumes from the one before
      const std::filesystem::path next = checkpoint_after(steps);
      const Json after = state_in(next);
      EXPECT_EQ(after["loss_scaler"]["scale"], scale /= 2);
      EXPECT_EQ(after["loss_scaler"]["good_steps"], 0);
      EXPECT_EQ(after["updates"], 1);
      for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
        EXPECT_EQ(read_file(next / name), read_file(first / name)) << name;
      }
    }
  }
}

// Two ranks on GPUs of their own (NCCL), and two that share one (host memory).
TEST(EmulatedProgram, TwoRanksTrainAsOne) {
  const std::filesystem::path one = train(kCpu);
  for (const int gpus : {2, 1}) {
    const std::string launcher = "WEFT_EMULATED_GPUS=" + std::to_string(gpus) + " " + mpirun(2);
    for (const char* options : {"", "--set parallel.tensor=2"}) {
      SCOPED_TRACE(std::to_string(gpus) + " GPUs " + options);
      expect_close(train(kGpu, options, launcher), one, 1e-4);
    }
  }
}

TEST(EmulatedProgram, WarnsWhenRanksShareAGpu) {
  const std::string command = "\"" + kGpu + "\" pretrain --set train.steps=1 " +
                              write_config(config(new_directory("run"))).string();
  const ProgramResult shared = run_shell("WEFT_EMULATED_GPUS=1 " + mpirun(2) + command);
  EXPECT_NE(shared.err.find("share GPU"), std::string::npos) << shared.err;
}

TEST(EmulatedProgram, ModelsOfOneDeviceRunOnTheOther) {
  const std::filesystem::path run = train(kGpu, "--set train.steps=2");
  std::vector<std::string> answers;
  for (const std::string& program : {kCpu, kGpu}) {
    const ProgramResult r = run_shell("\"" + program + "\" fill-mask --quiet --top 1 " +
                                      run.string() + " 'He was [MASK].'");
    ASSERT_EQ(r.status, 0) << r.err;
    const Json answer = parse_json(r.out, "fill-mask");
    answers.push_back(answer["masks"][0][0]["token"].get<std::string>());
  }
  EXPECT_EQ(answers[0], answers[1]);
}

TEST(EmulatedProgram, TakesAGpuByItselfAndLeavesItAlone) {
  const ProgramResult doctor = run_shell("\"" + kGpu + "\" doctor");
  EXPECT_EQ(doctor.status, 0);
  EXPECT_NE(doctor.out.find("GPU 0"), std::string::npos) << doctor.out;
  const ProgramResult fp16 = run_shell("\"" + kGpu + "\" pretrain --device cpu --precision fp16 " +
                                       write_config(config(new_directory("run"))).string());
  EXPECT_EQ(fp16.status, 2);
}

}  // namespace
}  // namespace weft
