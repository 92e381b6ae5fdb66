#!/usr/bin/env bash
# From nothing to answers: installs, builds, draws the demo data, trains on two ranks, builds a gallery of kinds that
# were never trained on, measures, serves, asks. Everything it makes lies in build/ and demo/. About 8 minutes on two
# cores; a second run draws and compiles nothing again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bin=build/bin
demo=demo
data=$demo/data
trained=$demo/run/model.safetensors
untrained=$demo/untrained.safetensors
gallery=$demo/gallery

step() { printf '\n== %s  (%dm%02ds)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }

server=
stop_server() {
  [[ -n $server ]] || return 0
  kill -TERM "$server" 2>/dev/null || true
  wait "$server" || true
  server=
}
trap stop_server EXIT

# The value of `key = ...` in the [model] section of the demo's config.
model_option() { sed -n "/^\[model\]/,/^\[/s/^$1 *= *//p" configs/demo.conf; }

# Open MPI starts nothing as root unless told so twice.
if ((EUID == 0)); then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
ranks=2
cores=$(nproc)
threads=$((cores / ranks > 0 ? cores / ranks : 1))

step "packages"
scripts/setup.sh --demo

step "build"
BUILD=build scripts/build.sh kindred-make-demo-data kindred-train kindred-model kindred-index kindred-eval \
  kindred-serve kindred-query

step "data: characters drawn in the fonts of this machine"
make_data() { "$bin/kindred-make-demo-data" --output "$data" --size 48 --difficulty 0.4; }
if ! make_data; then  # made by an older version, with other options
  rm -rf "$data"
  make_data
fi

step "training on $ranks ranks"
rm -rf "$demo/run" "$gallery" "$untrained"
"$bin/kindred-model" init --arch "$(model_option arch)" --embedding "$(model_option embedding)" \
  --image-size "$(model_option image_size)" --seed 1 --output "$untrained"
# Without --bind-to none each of two ranks would be kept on one core, all its threads with it.
OMP_NUM_THREADS=$threads OMP_WAIT_POLICY=passive \
  mpirun --oversubscribe --bind-to none -np "$ranks" "$bin/kindred-train" --config configs/demo.conf

step "gallery of kinds never trained on"
"$bin/kindred-index" build "$gallery" "$data/gallery.tsv" --model "$trained"
"$bin/kindred-index" calibrate "$gallery"

step "evaluation: held-out pictures of the same new kinds as queries"
evaluate() { "$bin/kindred-eval" --queries "$data/query.tsv" --gallery-images "$data/gallery.tsv" "$@"; }
evaluate --baseline color_histogram --name "colour histogram" --output "$demo/histogram.json" >"$demo/eval.log"
evaluate --model "$untrained" --name untrained --output "$demo/untrained.json" >>"$demo/eval.log"
evaluate --model "$trained" --name trained --output "$demo/trained.json" --report "$demo/report.html" \
  --grid "$demo/grid.png" --compare "$demo/untrained.json" --compare "$demo/histogram.json" >"$demo/table.txt"

step "asking the daemon"
rm -f "$demo/port"
"$bin/kindred-serve" --gallery "$gallery" --model "$trained" --port 0 --port-file "$demo/port" 2>"$demo/serve.log" &
server=$!
for ((tenths = 0; tenths < 600; ++tenths)); do
  [[ ! -s $demo/port ]] || break
  if ! kill -0 "$server" 2>/dev/null; then
    echo "demo.sh: the daemon did not start:" >&2
    cat "$demo/serve.log" >&2
    exit 1
  fi
  sleep 0.1
done
# Three pictures, far apart in the list, whose kinds and which themselves the network has never seen.
mapfile -t queries < <(awk -F'\t' '{ path[NR] = $1 } END { for (i = 1; i <= 3; ++i) print path[int(i * NR / 4)] }' "$data/query.tsv")
"$bin/kindred-query" "${queries[@]/#/$data/}" --server "http://127.0.0.1:$(<"$demo/port")" -k 3
stop_server

step "done"
cat "$demo/table.txt"
printf '\nreport: %s\n' "$PWD/$demo/report.html"
