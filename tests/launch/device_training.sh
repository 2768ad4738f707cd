#!/usr/bin/env bash
# A short BERT run on the GPU against the same run on the CPU: device_training.sh WEFT CORPUS [STEPS]
#
# WEFT is a program with the CUDA backend, or the tests' one with an emulated device. Checks that the losses follow the
# CPU's, that a repetition, captured steps and a resumed run have the bits of an undisturbed one, in fp32 and in bf16
# with train.deterministic, that two ranks follow one, and that bf16 and fp16 train. Prints the largest difference of
# each. Attention's dropout has the CPU's masks where runs are compared with others than their own repetition.
set -euo pipefail

weft=$(realpath "${1:?usage: device_training.sh WEFT CORPUS [STEPS]}")
corpus=$(realpath "${2:?usage: device_training.sh WEFT CORPUS [STEPS]}")
steps=${3:-20}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMPI_MCA_mpi_yield_when_idle=1

"$weft" train-tokenizer --type wordpiece --vocab-size 300 --output tokenizer --quiet "$corpus"
"$weft" prepare --tokenizer tokenizer --output data --quiet "$corpus"
cat >run.yaml <<YAML
run:        {dir: run, seed: 7}
model:      {type: bert, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 64}
tokenizer:  tokenizer
data:
  train:    [{path: data}]
  seq_length: 32
optimizer:  {lr: 1.0e-3}
schedule:   {type: linear, warmup_steps: 5}
train:      {steps: $steps, global_batch: 8, micro_batch: 4}
checkpoint: {every: $((steps / 2)), keep: 3}
log:        {every: 1, tensorboard: false}
YAML

train() { # train RUN_DIR OPTION...
  local run=$1
  shift
  "$weft" pretrain run.yaml --set run.dir="$run" --quiet "$@" >"$run.log" 2>&1 || {
    echo "FAILED: the run $run"
    cat "$run.log"
    exit 1
  }
}

losses() { sed -nE 's/.*"step": ?([0-9]+).*"loss": ?([^,}]+).*/\1 \2/p' "$1/metrics.jsonl"; }

# The largest relative difference of two runs' losses is printed, and must not be above LIMIT.
compare() { # compare WHAT RUN REFERENCE LIMIT
  paste -d ' ' <(losses "$2") <(losses "$3") | awk -v what="$1" -v limit="$4" -v steps="$steps" '
    NF != 4 || $1 != $3 { bad = 1 }
    { d = ($2 > $4 ? $2 - $4 : $4 - $2) / ($4 > 0 ? $4 : 1); if (!(d <= worst)) worst = d; n++ }
    END {
      if (bad || n != steps) { print "FAILED: " what ": " n " of " steps " steps can be compared"; exit 1 }
      verdict = worst <= limit ? "ok" : "FAILED"
      printf "%-6s %-52s largest relative difference of %d losses %.2e (limit %g)\n", verdict, what, n, worst, limit
      exit verdict != "ok"
    }'
}

same_weights() { # same_weights WHAT RUN REFERENCE
  if cmp -s "$2"/checkpoints/*"$steps"/model.safetensors "$3"/checkpoints/*"$steps"/model.safetensors; then
    printf '%-6s %s\n' ok "$1"
  else
    printf '%-6s %s\n' FAILED "$1: the weights differ"
    exit 1
  fi
}

was_captured() { # was_captured RUN
  grep -q 'was captured as a graph' "$1/log.txt" || { echo "FAILED: $1: no step was captured"; exit 1; }
}

train on_cpu --device cpu
train on_gpu --device cuda
compare "fp32: the GPU follows the CPU" on_gpu on_cpu 1e-4

train again --device cuda
compare "fp32: the same run again" again on_gpu 0
same_weights "fp32: the same run again, weights" again on_gpu

train captured --device cuda --set train.cuda_graph=true
was_captured captured
compare "fp32: steps captured as a graph" captured on_gpu 0
same_weights "fp32: steps captured as a graph, weights" captured on_gpu

train resumed --device cuda --set train.steps="$((steps / 2))" --set schedule.decay_steps="$steps"
train resumed --device cuda --set train.steps="$steps" --set schedule.decay_steps="$steps"
compare "fp32: stopped halfway and resumed" resumed on_gpu 0
same_weights "fp32: stopped halfway and resumed, weights" resumed on_gpu

train bf16_cpu --device cpu --precision bf16
train bf16_gpu --device cuda --precision bf16 --set train.exact_attention_dropout=true
compare "bf16: the GPU follows the CPU" bf16_gpu bf16_cpu 2e-2
train fp16_gpu --device cuda --precision fp16 --set train.exact_attention_dropout=true
compare "fp16 with loss scaling follows fp32" fp16_gpu on_gpu 2e-2

# Attention by cuDNN: other masks, so the curves are alike in the large only.
deterministic=(--device cuda --precision bf16 --set train.deterministic=true)
train fixed "${deterministic[@]}"
compare "bf16, cuDNN's dropout: like the CPU" fixed bf16_cpu 0.15
train fixed_again "${deterministic[@]}"
compare "bf16, deterministic: the same run again" fixed_again fixed 0
train fixed_resumed "${deterministic[@]}" --set train.steps="$((steps / 2))" --set schedule.decay_steps="$steps"
train fixed_resumed "${deterministic[@]}" --set train.steps="$steps" --set schedule.decay_steps="$steps"
same_weights "bf16, deterministic: stopped halfway and resumed, weights" fixed_resumed fixed

train fixed_captured "${deterministic[@]}" --set train.cuda_graph=true
was_captured fixed_captured
same_weights "bf16, deterministic: steps captured as a graph, weights" fixed_captured fixed

if command -v mpirun >/dev/null; then
  for layout in "2 1" "2 2"; do
    read -r ranks tensor <<<"$layout"
    for graph in false true; do # with a GPU for each rank; others go without a graph
      run=ranks$ranks-tensor$tensor-graph-$graph
      mpirun --allow-run-as-root --oversubscribe --bind-to none -np "$ranks" \
        "$weft" pretrain run.yaml --device cuda --quiet --set run.dir="$run" --set parallel.tensor="$tensor" \
        --set train.micro_batch=2 --set train.cuda_graph=$graph >"$run.log" 2>&1 ||
        { echo "FAILED: $run"; cat "$run.log"; exit 1; }
      what=issued
      grep -q 'was captured as a graph' "$run/log.txt" && what=captured
      grep -q 'cuda_graph is left out' "$run/log.txt" && what="issued, as they share a GPU"
      [ "$what" = issued ] || [ "$graph" = true ] || { echo "FAILED: $run: $what"; exit 1; }
      compare "fp32: $ranks ranks, tensor groups of $tensor, $what" "$run" on_gpu 1e-5
    done
  done
fi
