#!/usr/bin/env bash
# Trains on several machines by Open MPI over ssh.
#
#   scripts/launch/mpirun_nodes.sh HOST[,HOST...] RANKS_PER_HOST kindred-train OPTIONS...
#
# Needs on every host: ssh without a password, the same path to the program, the data and the run's folder (a shared
# file system), and the same processor kind if the build is -march=native.
#
#   THREADS=8    CPU threads of a rank (default: the cores of this host / RANKS_PER_HOST)
#   NETWORK=eth0 the interface that the hosts reach each other by (default: Open MPI's choice)
set -euo pipefail

if (($# < 3)); then
  sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
ranks=$2
IFS=, read -r -a hosts <<<"$1"
shift 2
cores=$(nproc)
threads=${THREADS:-$((cores / ranks > 0 ? cores / ranks : 1))}

options=(
  -np $((${#hosts[@]} * ranks))
  --host "$(printf "%s:$ranks\n" "${hosts[@]}" | paste -sd,)"
  # PE gives each rank its own cores: with few ranks Open MPI would else pin all threads of a rank to one core.
  --map-by "ppr:$ranks:node:PE=$threads" --bind-to core
  --mca pml ob1 --mca btl tcp,vader,self
  -x PATH -x LD_LIBRARY_PATH -x "OMP_NUM_THREADS=$threads"
  --tag-output
)
if [[ -n ${NETWORK:-} ]]; then
  options+=(--mca btl_tcp_if_include "$NETWORK" --mca oob_tcp_if_include "$NETWORK" -x "NCCL_SOCKET_IFNAME=$NETWORK")
fi
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}
exec mpirun "${options[@]}" "$@"
