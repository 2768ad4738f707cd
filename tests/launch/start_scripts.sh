#!/usr/bin/env bash
# How launch/mpirun.sh and launch/slurm/pretrain.sbatch start Weft, on machines that stubs of lscpu, nproc, nvidia-smi,
# mpirun and srun describe, and once on this one: start_scripts.sh REPOSITORY WEFT
set -euo pipefail
repository=$(realpath "${1:?usage: start_scripts.sh REPOSITORY WEFT}")
real_weft=$(realpath "${2:?usage: start_scripts.sh REPOSITORY WEFT}")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
bad=0
complain() {
  echo "FAILED: $1" >&2
  bad=1
}

mkdir stubs
stub() { # stub NAME: a program whose text is standard input
  { echo '#!/usr/bin/env bash'; cat; } >"stubs/$1"
  chmod +x "stubs/$1"
}
stub lscpu <<'END'
echo '# comments come first'
cpu=0
for ((thread = 0; thread < SMT; ++thread)); do
  for ((core = 0; core < SOCKETS * CORES; ++core)); do
    socket=$((core / CORES))
    echo "$((cpu++)),$core,$socket,$((NODES > 0 ? socket * NODES / SOCKETS : 0))"
  done
done
END
stub nproc <<'END'
echo "${OMP_NUM_THREADS:-${ALLOWED:-$((SOCKETS * CORES * SMT))}}"
END
stub nvidia-smi <<'END'
for ((i = 0; i < GPUS; ++i)); do echo "GPU $i: a card (UUID: x)"; done
END
stub mpirun <<'END'
printf "%s " "$@"
END
stub weft <<'END'
echo "weft 1"; echo "  CUDA      ${CUDA:-no}"
END
export SOCKETS CORES SMT NODES GPUS CUDA ALLOWED

options_of() { # options_of [ASSIGNMENT...] -- WORDS: what mpirun is given but for root's option
  SOCKETS=1 CORES=8 SMT=1 NODES=1 GPUS=0 CUDA=no ALLOWED=""
  while [ "$1" != -- ]; do
    printf -v "${1%%=*}" %s "${1#*=}"
    shift
  done
  shift
  PATH="$work/stubs:$PATH" "$repository/launch/mpirun.sh" "$@" 2>&1 | sed 's/--allow-run-as-root //' || true
}
expect() { # expect OPTIONS [ASSIGNMENT...] -- WORDS
  local wanted=$1 got
  shift
  got=$(options_of "$@")
  [ "$got" = "$wanted " ] || complain "$*: mpirun $got, not: $wanted"
}

expect "-np 1 --bind-to none --host localhost:1 weft" -- weft
expect "-np 1 --bind-to none --host localhost:1 weft" CORES=1 SMT=2 -- weft
expect "-np 2 --map-by slot:PE=16 --bind-to core --host localhost:2 weft" SOCKETS=2 CORES=16 SMT=2 NODES=2 -- weft
expect "-np 2 --map-by slot:PE=9 --bind-to core --host localhost:2 weft" SOCKETS=3 CORES=6 NODES=3 -- weft
# CPUs shown as sockets, as some virtual machines do.
expect "-np 1 --bind-to none --host localhost:1 weft" SOCKETS=4 CORES=1 -- weft
# A container with some of the CPUs.
expect "-np 1 --bind-to none --host localhost:1 weft" SOCKETS=2 CORES=16 NODES=2 ALLOWED=2 -- weft
expect "-np 4 --bind-to none --host localhost:4 weft" SOCKETS=2 CORES=16 NODES=2 ALLOWED=2 -- --ranks 4 weft
# More ranks than cores.
expect "-np 16 --bind-to none --host localhost:16 weft" -- --ranks 16 weft
# Threads: up to the hardware threads of a rank's share of cores.
expect "-np 2 -x OMP_NUM_THREADS=3 --map-by slot:PE=4 --bind-to core --host localhost:2 weft" -- --ranks 2 --threads 3 weft
expect "-np 2 -x OMP_NUM_THREADS=8 --map-by slot:PE=4 --bind-to core --host localhost:2 weft" SMT=2 -- --ranks 2 --threads 8 weft
expect "-np 2 -x OMP_NUM_THREADS=8 --bind-to none --host localhost:2 weft" -- --ranks 2 --threads 8 weft
# GPUs count when this weft can use them.
expect "-np 1 --bind-to none --host localhost:1 weft" GPUS=4 -- weft
expect "-np 4 --map-by slot:PE=2 --bind-to core --host localhost:4 env weft" GPUS=6 CUDA=13.0 -- env weft
expect "-np 1 --bind-to none --host localhost:1 weft" CUDA=13.0 -- weft
# The user's own number of threads does not change what the machine has.
OMP_NUM_THREADS=3 expect "-np 2 --map-by slot:PE=4 --bind-to core --host localhost:2 weft" -- --ranks 2 weft

printf 'a slots=2  # the first\n\nb slots=4\n' >hosts
remote="--hostfile hosts --mca plm_rsh_args  -o ServerAliveInterval=5 -o ServerAliveCountMax=2"
expect "-np 6 --bind-to none $remote weft" -- --hostfile hosts weft
expect "-np 6 -x OMP_NUM_THREADS=24 --map-by slot:PE=24 --bind-to core $remote weft" -- --hostfile hosts --threads 24 weft
expect "-np 6 --bind-to none $remote --mca btl_tcp_if_include 10.0.0.0/8 --mca oob_tcp_if_include 10.0.0.0/8 --tag-output weft" \
  -- --hostfile hosts --network 10.0.0.0/8 --mpi --tag-output weft

for words in "" "--ranks" "--ranks 0 weft" "--threads x weft" "--nothing weft" "--hostfile none weft"; do
  status=0
  read -ra words <<<"$words"
  PATH="$work/stubs:$PATH" "$repository/launch/mpirun.sh" "${words[@]}" >out 2>err || status=$?
  if [ $status != 2 ] || [ -s out ] || ! grep -q '^error: ' err; then
    complain "mpirun.sh ${words[*]}: status $status, $(cat out err)"
  fi
done

# Signals ask for a save, and the status is mpirun's own, however soon it ends.
stub mpirun <<'END'
trap "exit 75" USR1; trap "exit 1" TERM; touch ready; while :; do sleep 0.02; done
END
for signals in INT HUP USR1 TERM "TERM TERM"; do
  rm -f ready
  # What a script starts in the background ignores SIGINT, unless somebody undoes that.
  PATH="$work/stubs:$PATH" perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$repository/launch/mpirun.sh" weft >/dev/null 2>&1 &
  script=$!
  until [ -e ready ]; do sleep 0.01; done
  for signal in $signals; do kill -s "$signal" $script; done
  status=0
  wait $script || status=$?
  case $signals:$status in "TERM TERM:1" | *:75) ;; *) complain "SIG$signals: status $status" ;; esac
done

# Slurm: WEFT must be a program; a requeue follows 75 alone, and not for ever.
stub srun <<'END'
echo "srun $*" >>calls; exit "$STATUS"
END
stub scontrol <<'END'
echo "scontrol $*" >>calls
END
stub weft <<'END'
[ "$*" != "pretrain bad --set a.b=c --set parallel.tensor=1 --print-config --json" ] || exit 2
echo "{\"key\":\"run.dir\",\"value\":\"my run\",\"origin\":\"c\"}"
END
start_job() { # start_job STATUS-OF-SRUN RESTARTS CONFIG: leaves the script's status in `status`
  status=0
  STATUS=$1 SLURM_RESTART_COUNT=$2 SLURM_JOB_ID=7 SLURM_JOB_NODELIST=n SLURM_CPUS_PER_TASK=3 PATH="$work/stubs:$PATH" \
    bash "$repository/launch/slurm/pretrain.sbatch" "$3" --set a.b=c >out 2>&1 || status=$?
}
expect_job() { # expect_job STATUS REQUEUED(0|1) WHAT
  if [ "$status" != "$1" ] || [ "$(grep -c '^scontrol requeue 7$' calls)" != "$2" ]; then
    complain "$3: status $status, $(cat calls out)"
  fi
  : >calls
}
: >calls
WEFT=$work/none start_job 0 0 c
expect_job 2 0 "a wrong WEFT"
start_job 0 0 bad
grep -q srun calls && complain "srun was called for a bad configuration"
expect_job 2 0 "a bad configuration"
start_job 0 0 c
grep -qx 'srun --mpi=pmix --cpus-per-task=3 --cpu-bind=cores weft pretrain c --set a.b=c' calls || complain "srun: $(cat calls)"
expect_job 0 0 "a run that ends"
start_job 1 0 c
expect_job 1 0 "a run that fails"
for restart in 0 1 2; do
  start_job 75 $restart c
  expect_job 75 1 "restart $restart without a checkpoint"
done
mkdir -p "my run/checkpoints/step-00000010"
for restart in 3 4 5; do
  start_job 75 $restart c
  expect_job 75 1 "restart $restart after a checkpoint"
done
start_job 75 6 c
expect_job 1 0 "the third requeue without a new checkpoint"

# The real thing: two ranks of this machine, each with threads of its own.
mkdir real
cd real
"$real_weft" prepare --quiet --tokenizer "$repository/tests/data/corpus/tokenizer" --output data \
  "$repository/tests/data/corpus/train.txt" >/dev/null
cat >run.yaml <<END
run:        {dir: run}
model:      {type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16}
tokenizer:  $repository/tests/data/corpus/tokenizer
data:       {train: [{path: data}], seq_length: 32}
train:      {steps: 2, global_batch: 4}
END
"$repository/launch/mpirun.sh" --ranks 2 "$real_weft" pretrain run.yaml >log 2>&1 || complain "a real start: $(cat log)"
grep -qE '^layout +2 ranks' log || complain "a real start has not two ranks: $(cat log)"
[ -e run/checkpoints/step-00000002/manifest.json ] || complain "a real start left no checkpoint: $(cat log)"

[ $bad != 0 ] || echo "start scripts: ok"
exit $bad
