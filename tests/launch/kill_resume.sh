#!/usr/bin/env bash
# Kills a random rank of a run at random moments, saves included, and resumes: kill_resume.sh WEFT CORPUS [KILLS] [RANKS]
#
# After every kill each checkpoint that is there must verify, and the next start must go on. At the end the run must have
# the very bytes of an undisturbed run: weights, optimizer state and losses. A checkpoint is saved at every other step, so
# that many of the kills fall into a save; how many did is told. SEED makes the moments repeatable (default 1).
set -euo pipefail

weft=$(realpath "${1:?usage: kill_resume.sh WEFT CORPUS [KILLS] [RANKS]}")
corpus=$(realpath "${2:?usage: kill_resume.sh WEFT CORPUS [KILLS] [RANKS]}")
kills=${3:-20}
ranks=${4:-2}
RANDOM=${SEED:-1}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMP_NUM_THREADS=1 OMPI_MCA_mpi_yield_when_idle=1

"$weft" train-tokenizer --type wordpiece --vocab-size 300 --output tokenizer --quiet "$corpus"
"$weft" prepare --tokenizer tokenizer --output data --quiet "$corpus"
cat >run.yaml <<'YAML'
run:        {dir: run, seed: 7}
model:      {type: bert, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 128, max_position_embeddings: 64}
tokenizer:  tokenizer
data:
  train:    [{path: data}]
  seq_length: 64
optimizer:  {lr: 1.0e-3}
schedule:   {type: linear, warmup_steps: 10}
train:      {steps: 80, global_batch: 8, micro_batch: 2}
checkpoint: {every: 2, keep: 3}
log:        {every: 1, tensorboard: false}
YAML

pretrain() { # pretrain RUN_DIR
  exec mpirun --allow-run-as-root --oversubscribe --bind-to none -np "$ranks" \
    "$weft" pretrain run.yaml --set run.dir="$1" --quiet
}

losses() { sed -E 's/.*"step": ?([0-9]+).*"loss": ?([^,}]+).*/\1 \2/' "$1/metrics.jsonl"; }
last_checkpoint() { printf '%s\n' "$1"/checkpoints/step-* | tail -n 1; }

echo "undisturbed run"
(pretrain undisturbed) >undisturbed.log 2>&1 || {
  cat undisturbed.log
  exit 1
}

verify_all() {
  local checkpoint unfinished=no
  for checkpoint in disturbed/checkpoints/step-*; do
    case $checkpoint in
      *'*') continue ;;
      *.tmp | *.deleting | *.replaced)
        [ ! "$checkpoint" -nt started ] || unfinished=yes
        continue
        ;;
    esac
    "$weft" verify-checkpoint "$checkpoint" >verify.log 2>&1 || {
      echo "FAILED: $checkpoint does not verify after kill $killed"
      cat verify.log
      exit 1
    }
  done
  [ $unfinished = no ] || in_saves=$((in_saves + 1))
}

killed=0
in_saves=0
finished=0
while [ "$killed" -lt "$kills" ]; do
  touch started
  (pretrain disturbed) >disturbed.log 2>&1 &
  launcher=$!
  ended_by_itself=yes
  # From the start of the ranks to the end of the run: 0.2 to 2.7 seconds.
  sleep "$(printf '0.%03d' $((RANDOM % 1000)))"
  sleep "$(printf '%d.%01d' $((RANDOM % 2)) $((2 + RANDOM % 7)))"
  mapfile -t victims < <(pgrep -f -- "^$weft pretrain run.yaml" || true)
  if [ ${#victims[@]} -gt 0 ] && kill -9 "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null; then
    killed=$((killed + 1))
    ended_by_itself=no
  fi
  status=0
  wait "$launcher" || status=$?
  if [ "$status" != 0 ] && [ $ended_by_itself = yes ]; then
    echo "FAILED: a start after $killed kills ended with status $status"
    cat disturbed.log
    exit 1
  fi
  [ -d disturbed/checkpoints ] && verify_all
  if [ "$status" = 0 ]; then # done before the kill: compare, and begin another run
    finished=$((finished + 1))
    diff <(losses undisturbed) <(losses disturbed) >/dev/null || {
      echo "FAILED: losses differ after $killed kills"
      exit 1
    }
    [ "$killed" -ge "$kills" ] || rm -rf disturbed
  fi
done
if [ "$status" != 0 ]; then
  (pretrain disturbed) >disturbed.log 2>&1 || {
    echo "FAILED: the last resume did not finish"
    cat disturbed.log
    exit 1
  }
fi

a=$(last_checkpoint undisturbed)
b=$(last_checkpoint disturbed)
[ "$(basename "$a")" = "$(basename "$b")" ] || { echo "FAILED: $a against $b"; exit 1; }
for file in "$a"/*.safetensors; do
  cmp "$file" "$b/$(basename "$file")"
done
diff <(losses undisturbed) <(losses disturbed)
echo "ok: $killed kills, $in_saves of them within a save, $finished runs ended before theirs; weights, optimizer state and losses equal bit for bit"
