#!/usr/bin/env bash
# Starts Weft as several ranks on this machine or on several hosts: launch/mpirun.sh [OPTIONS] COMMAND [ARGUMENT...]
#
#   --hostfile FILE     hosts of the job, one per line: NAME slots=RANKS (launch/hostfile.example)
#   --ranks N           ranks in all; default: the hostfile's slots, else one per GPU that this weft can use, else one
#                       per socket, in both cases rounded down to a power of two so that batches divide
#   --threads N         threads of each rank; default: its share of the cores (and of a container's quota)
#   --network A.B.C.D/N the network the ranks talk over, when a host has several
#   --mpi "OPTIONS"     further options for mpirun
#
# Several ranks of this machine are bound to cores of their own; those of a hostfile, whose hosts may be others, to as
# many cores as --threads says. Ctrl-C, SIGTERM, SIGUSR1 or a lost terminal asks the ranks to save and stop (exit status
# 75: start again to go on); a second Ctrl-C or SIGTERM ends them at once. A host that falls silent for ten seconds ends
# the job.
set -euo pipefail

usage() { sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
fail() {
  echo "error: $1" >&2
  exit 2
}

hostfile="" ranks="" threads="" network="" extra=()
while [ $# -gt 0 ]; do
  case $1 in
    --hostfile | --ranks | --threads | --network | --mpi)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case $1 in
        --hostfile) hostfile=$2 ;;
        --ranks) ranks=$2 ;;
        --threads) threads=$2 ;;
        --network) network=$2 ;;
        --mpi) read -ra extra <<<"$2" ;;
      esac
      shift 2
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    --)
      shift
      break
      ;;
    -*) fail "unknown option $1; launch/mpirun.sh --help lists them" ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || fail "no command given, such as: launch/mpirun.sh --ranks 2 weft pretrain configs/bert-mini-cpu.yaml"
command -v mpirun >/dev/null || fail "mpirun was not found: apt-get install openmpi-bin"
for value in "$ranks" "$threads"; do
  case $value in *[!0-9]* | 0) fail "--ranks and --threads take a number from 1 on" ;; esac
done

# CPUs (hardware threads), cores and sockets of this machine. Machines simulated with one socket per CPU have one memory
# node all the same, and one rank suits them.
read -r cpus cores sockets < <(lscpu -p=CPU,CORE,SOCKET,NODE 2>/dev/null | awk -F, '
  /^[0-9]/ {++cpus; cores += !core[$3 "," $2]++; sockets += !socket[$3]++; nodes += !node[$4]++}
  END {print cpus + 0, cores + 0, nodes < sockets ? nodes : sockets + 0}')
# A part of the machine (taskset, a container): which cores these are mpirun does not know, so nothing is bound.
[ "$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)" = "$cpus" ] || cores=0 sockets=1

gpus=0
for word in "$@"; do  # the program may stand behind others, such as numactl
  [ "${word##*/}" = weft ] || continue
  if "$word" --version 2>/dev/null | grep -qE '^ *CUDA +[0-9]'; then
    gpus=$({ nvidia-smi -L 2>/dev/null || true; } | grep -c '^GPU' || true)
  fi
  break
done

if [ -n "$hostfile" ]; then
  [ -r "$hostfile" ] || fail "$hostfile: cannot be read"
  slots=$(sed 's/#.*//' "$hostfile" | awk 'NF {n = 1; for (i = 2; i <= NF; ++i) if (sub(/^slots=/, "", $i)) n = $i; print n}')
  [ -n "$slots" ] || fail "$hostfile: names no host"
  ranks=${ranks:-$(awk '{n += $1} END {print n}' <<<"$slots")}
else
  if [ -z "$ranks" ]; then
    devices=$((gpus > 0 ? gpus : sockets))
    ranks=1
    while [ $((ranks * 2)) -le "$devices" ]; do ranks=$((ranks * 2)); done
  fi
fi

options=(-np "$ranks")
[ -z "$threads" ] || options+=(-x "OMP_NUM_THREADS=$threads")  # else each rank sees for itself what it may use
share=0  # cores of a rank; 0: it is not bound
if [ -n "$hostfile" ]; then
  share=${threads:-0}
elif [ "$ranks" -gt 1 ] && [ $((${threads:-1} * ranks)) -le "$cpus" ]; then
  share=$((cores / ranks))
fi
if [ "$share" -gt 0 ]; then
  options+=(--map-by "slot:PE=$share" --bind-to core)
else
  options+=(--bind-to none)
fi
if [ -n "$hostfile" ]; then
  options+=(--hostfile "$hostfile")
  # Without these a host that vanished is never noticed, and mpirun ignores SIGTERM meanwhile.
  options+=(--mca plm_rsh_args "${WEFT_SSH_OPTIONS:-} -o ServerAliveInterval=5 -o ServerAliveCountMax=2")
else
  options+=(--host "localhost:$ranks")
fi
if [ -n "$network" ]; then
  options+=(--mca btl_tcp_if_include "$network" --mca oob_tcp_if_include "$network")
fi
[ "$(id -u)" != 0 ] || options+=(--allow-run-as-root)

# In a session of its own, so that the terminal's Ctrl-C reaches this script alone: mpirun would forward it and kill the
# ranks a second later, before they have saved.
setsid mpirun "${options[@]}" "${extra[@]}" "$@" &
mpirun_pid=$!
signalled=no asked=no
save_and_stop() {
  signalled=yes
  kill -USR1 "$mpirun_pid" 2>/dev/null || true
}
stop() {
  if [ $asked = no ]; then
    asked=yes
    echo "stopping: asking the ranks to save (again: stop at once)" >&2 || true  # the terminal may be gone
    save_and_stop
  else
    signalled=yes
    kill -TERM "$mpirun_pid" 2>/dev/null || true
  fi
}
trap stop INT TERM
trap save_and_stop USR1 HUP

# A signal ends wait early, with a status of its own: mpirun's is that of a wait without one.
while :; do
  signalled=no status=0
  wait "$mpirun_pid" || status=$?
  [ $signalled = yes ] || exit $status
done
