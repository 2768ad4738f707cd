#!/usr/bin/env bash
# From a clone to a small BERT of your own in a few minutes: launch/quickstart.sh [--fresh]
#
# Installs missing Debian packages, builds Weft, trains a vocabulary on the bundled text, turns the text into token
# files, pretrains a small BERT on them, evaluates it on held-out documents and lets it fill in masked words. A second
# start reuses what is there; --fresh starts over. Writes to build/, data/quickstart/ and runs/quickstart/ only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

text=launch/quickstart/biographies.txt.xz
config=configs/quickstart.yaml
data=data/quickstart
run=runs/quickstart
weft=build/cpu/bin/weft
vocabulary=2048
held_out=0.05

case ${1:-} in
  "") ;;
  --fresh) rm -rf "$data" "$run" ;;
  -h | --help)
    sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
  *)
    echo "error: unknown option $1; launch/quickstart.sh --help" >&2
    exit 2
    ;;
esac

bold="" dim="" plain=""
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi
steps=6
step=0
begin() {
  step=$((step + 1))
  printf '\n%s[%d/%d] %s%s\n' "$bold" $step $steps "$1" "$plain"
}
note() { printf '      %s%s%s\n' "$dim" "$1" "$plain"; }

# Runs a command whose output is worth seeing only when it fails.
quietly() {
  local log
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

begin "Packages"
launch/install-packages.sh build
note "everything Weft is built from is installed"

begin "Build"
quietly cmake --preset cpu
if [ -t 1 ]; then
  cmake --build --preset cpu --target weft --parallel "$(nproc)"
else
  quietly cmake --build --preset cpu --target weft --parallel "$(nproc)"
fi
note "$($weft --version | head -1)"
training_start=$SECONDS

begin "Vocabulary: $vocabulary word pieces from the text"
if [ -e "$data/tokenizer/tokenizer.json" ]; then
  note "$data/tokenizer is there already"
else
  $weft train-tokenizer --type wordpiece --vocab-size $vocabulary --output "$data/tokenizer" "$text"
fi

begin "Tokens: one document in twenty is held out for evaluation"
if [ -e "$data/wiki.json" ] && [ -e "$data/wiki-held-out.json" ]; then
  note "$data/wiki and $data/wiki-held-out are there already"
else
  $weft prepare --tokenizer "$data/tokenizer" --held-out $held_out --output "$data/wiki" "$text"
fi

# More ranks than sockets gain nothing on one machine: threads share the weights, ranks exchange gradients.
begin "Pretraining: masked words and next sentences"
note "Ctrl-C saves and stops; the next start goes on from there"
status=0
launch/mpirun.sh $weft pretrain $config || status=$?
if [ $status = 75 ]; then
  note "stopped and saved; launch/quickstart.sh goes on from there"
  exit 75
fi
[ $status = 0 ] || exit $status

begin "Fill in the masked words"
sentences=(
  "He was born in [MASK] York City."
  "She studied law at the [MASK] of Oxford."
  "He played for the national football [MASK]."
)
$weft fill-mask --quiet --top 3 "$run" "${sentences[@]}" | while IFS= read -r line; do
  printf '      %s\n        %s->%s' "$(sed -E 's/.*"text": ?"([^"]*)".*/\1/' <<<"$line")" "$dim" "$plain"
  grep -oE '"token": ?"[^"]*"|"score": ?[0-9.e+-]+' <<<"$line" | sed -E 's/.*: ?"?([^"]*)"?/\1/' |
    paste - - | awk '{printf "  %s %.0f%%", $1, 100 * $2} END {print ""}'
done

# The first and the last evaluation of metrics.jsonl.
value_of() { sed -nE 's/.*"'"$1"'": ?([0-9.e+-]+).*/\1/p' "$run/metrics.jsonl" | sed -n "$2"; }
evaluation() {
  printf '      %-9s loss %6.3f   perplexity %8.1f   masked words guessed %4.1f%%\n' "$1" \
    "$(value_of eval_mlm_loss "$2")" "$(value_of eval_perplexity "$2")" \
    "$(value_of eval_mlm_accuracy "$2" | awk '{print 100 * $1}')"
}
checkpoint=$(find "$run/checkpoints" -maxdepth 1 -name 'step-*[0-9]' | sort | tail -1)

printf '\n%sDone in %d min %02d s.%s Masked words of the held-out documents:\n' "$bold" \
  $(((SECONDS - training_start) / 60)) $(((SECONDS - training_start) % 60)) "$plain"
evaluation before 1p
evaluation after '$p'
cat <<END

${bold}Where everything lies${plain}
      $checkpoint   the model: a Hugging Face directory, for AutoModel.from_pretrained too
      $run/metrics.jsonl   every logged number; $run/tensorboard   the same for TensorBoard
      $data/tokenizer   the vocabulary; $data/wiki.*   the token files

${bold}What to try next${plain}
      $weft fill-mask $run "The album was released in [MASK]."
      $weft inspect-data $config          what the model saw, masks and labels marked
      launch/mpirun.sh $weft pretrain $config --set train.steps=16000   train on
      $weft pretrain $config --print-config   every setting, and where it came from
END
