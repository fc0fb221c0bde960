#!/bin/bash
# The main job on real files in a temporary folder: track a folder, change it, see what changed, get the old bytes back.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/.cache"

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }

mkdir -p "$work/data/mnist/raw" "$work/project"
seq 1 50000 > "$work/data/mnist/raw/train.csv"
seq 1 10000 > "$work/data/mnist/raw/test.csv"
echo '{"classes": 10}' > "$work/data/mnist/labels.json"
cd "$work/project"

say 'A store lives in a folder, as git does.'
run refstore init

say 'Remember what is in a folder: no file moves, and no file is copied.'
run refstore add "$work/data/mnist" --name mnist --type dataset --description 'as downloaded'

say 'Somebody changes the data: one file is new, one is gone, one has other content.'
echo '0,0,0' > "$work/data/mnist/raw/extra.csv"
rm "$work/data/mnist/labels.json"
seq 1 60000 > "$work/data/mnist/raw/train.csv"

say 'refstore sees it.'
run refstore status mnist:v0 || true

say 'The new state is a new version. The old one stays what it was.'
run refstore add "$work/data/mnist" --name mnist --alias fixed
run refstore diff mnist:v0 mnist:v1
run refstore log mnist

say 'Get the new version as a folder, and its bytes are checked on the way.'
run refstore checkout mnist:fixed
cmp "$work/data/mnist/raw/train.csv" artifacts/mnist:v1/raw/train.csv
run ls artifacts/mnist:v1 artifacts/mnist:v1/raw

say 'The old one, too: a plain file has no versions, so refstore says which bytes are gone instead of handing out others.'
run refstore checkout mnist:v0 --allow-missing || true

say 'Where the storage keeps versions (S3, GCS, Azure), the old bytes come back. That is what `make test` shows.'
