#!/usr/bin/env bash
# Draws the losses of a run: plot_losses.sh METRICS.jsonl OUT.svg [ENTROPY]        needs gnuplot
#
# The training loss of masked tokens over minutes, the held-out loss at each evaluation, and a line at the entropy (in
# nats) of the text's tokens, as benchmarks/unigram_entropy.py prints it.
set -euo pipefail
usage="usage: plot_losses.sh METRICS.jsonl OUT.svg [ENTROPY]"
if [ "${1:-}" = --help ]; then
  echo "$usage"
  exit 0
fi
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
  echo "$usage" >&2
  exit 2
fi
metrics=$1
out=$2
entropy=${3:-}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# column KEY: "step value" of each line that has the key
column() { sed -nE 's/.*"step": ?([0-9]+).*"'"$1"'": ?([-0-9.eE+]+).*/\1 \2/p' "$metrics"; }
column seconds >"$work/seconds"
column mlm_loss >"$work/train"
column eval_mlm_loss >"$work/eval"

# Evaluations carry no time of their own: they happen at the time of the training line of their step.
awk 'NR == FNR { t[$1] = $2; next } $1 in t { print t[$1] / 60, $2 }' "$work/seconds" "$work/train" >"$work/train.xy"
awk 'NR == FNR { t[$1] = $2; next } { if ($1 in t) last = t[$1]; print last / 60, $2 }' "$work/seconds" "$work/eval" >"$work/eval.xy"

line=""
[ -z "$entropy" ] || line=", $entropy with lines dashtype 2 linecolor rgb '#888888' title 'unigram entropy $entropy'"
gnuplot <<PLOT
set terminal svg size 800,450 font 'sans-serif,13' background rgb 'white'
set output '$out'
set xlabel 'minutes'
set ylabel 'loss of masked tokens (nats)'
set grid linecolor rgb '#dddddd'
set key top right
plot '$work/train.xy' with lines linecolor rgb '#9ecae1' title 'training', \\
     '$work/eval.xy' with linespoints pointtype 7 pointsize 0.5 linecolor rgb '#08519c' title 'held out'$line
PLOT
