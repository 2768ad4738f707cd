#!/usr/bin/env bash
# Starts Weft as several ranks on this machine or on several hosts: launch/mpirun.sh [OPTIONS] COMMAND [ARGUMENT...]
#
#   --hostfile FILE     hosts of the job, one per line: NAME slots=RANKS (launch/hostfile.example)
#   --ranks N           ranks in all; default: the hostfile's slots, else one per GPU, else one per socket
#   --threads N         threads of each rank; default: the cores of this machine over its ranks
#   --network A.B.C.D/N the network the ranks talk over, when a host has several
#   --mpi "OPTIONS"     further options for mpirun
#
# Ctrl-C, SIGTERM or SIGUSR1 to this script asks the ranks to save and stop (exit status 75: start again to go on);
# a second Ctrl-C or SIGTERM ends them at once. A host that falls silent for ten seconds ends the job.
set -euo pipefail

usage() { sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
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

count() { { "$@" 2>/dev/null || true; } | grep -c . || true; }

local_cores=$(nproc)
per_host=""
if [ -n "$hostfile" ]; then
  [ -r "$hostfile" ] || fail "$hostfile: cannot be read"
  slots=$(sed 's/#.*//' "$hostfile" | awk 'NF {n = 1; for (i = 2; i <= NF; ++i) if (sub(/^slots=/, "", $i)) n = $i; print n}')
  [ -n "$slots" ] || fail "$hostfile: names no host"
  per_host=$(sort -n <<<"$slots" | tail -1)
  ranks=${ranks:-$(awk '{n += $1} END {print n}' <<<"$slots")}
else
  if [ -z "$ranks" ]; then
    ranks=$(count nvidia-smi -L)
    [ "$ranks" -gt 0 ] || ranks=$(lscpu -p=SOCKET 2>/dev/null | grep -v '^#' | sort -u | count cat)
    [ "$ranks" -gt 0 ] || ranks=1
  fi
  per_host=$ranks
fi
[ "$per_host" -le "$ranks" ] || per_host=$ranks
threads=${threads:-$((local_cores / per_host > 0 ? local_cores / per_host : 1))}

options=(-np "$ranks" -x "OMP_NUM_THREADS=$threads" --quiet)
if [ $((per_host * threads)) -le "$local_cores" ]; then
  options+=(--map-by "slot:PE=$threads" --bind-to core)
else  # more threads than cores: waiting ranks must give way
  options+=(--bind-to none -x OMPI_MCA_mpi_yield_when_idle=1)
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
asked=no
stop() {
  if [ $asked = no ]; then
    asked=yes
    echo "stopping: asking the ranks to save (again: stop at once)" >&2
    kill -USR1 "$mpirun_pid" 2>/dev/null || true
  else
    kill -TERM "$mpirun_pid" 2>/dev/null || true
  fi
}
trap stop INT TERM
trap 'kill -USR1 "$mpirun_pid" 2>/dev/null || true' USR1

status=0
wait "$mpirun_pid" || status=$?
while kill -0 "$mpirun_pid" 2>/dev/null; do  # wait was interrupted by a signal
  status=0
  wait "$mpirun_pid" || status=$?
done
exit $status
