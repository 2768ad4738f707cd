#!/usr/bin/env bash
# Fails on an include edge that the architecture does not allow: include_layers.sh REPOSITORY
set -euo pipefail
cd "${1:?usage: include_layers.sh REPOSITORY}"

# folder -> the folders it may include (besides itself)
declare -A may=(
  [core/base]=""
  [core/tensor]="core/base"
  [core/backend]="core/tensor core/base"
  [core/autograd]="core/backend core/tensor core/base"
  [core/ops]="core/autograd core/backend core/tensor core/base"
  [core/nn]="core/ops core/autograd core/backend core/tensor core/base"
  [core/optim]="core/nn core/ops core/autograd core/backend core/tensor core/base"
  [core/text]="core/base"
  [core/data]="core/text core/backend core/tensor core/base"
  [core/io]="core/backend core/tensor core/base"
  [parallel]="core"
  [models]="parallel core"
  [launch]="models parallel core"
)

# Sets `folder` to the architectural folder of a path: two levels inside core, one elsewhere.
set_folder_of() {
  folder=${1%%/*}
  if [ "$folder" = core ]; then
    local below=${1#core/}
    folder=core/${below%%/*}
  fi
}

bad=0
while IFS=: read -r file include; do
  set_folder_of "$file"
  from=$folder
  set_folder_of "$include"
  to=$folder
  [ "$from" = "$to" ] && continue
  allowed=no
  for allowed_folder in ${may[$from]:-}; do
    case $to in "$allowed_folder" | "$allowed_folder"/*) allowed=yes ;; esac
  done
  if [ $allowed = no ]; then
    echo "$file includes $include: $from may include only: ${may[$from]:-nothing}"
    bad=1
  fi
done < <(grep -rnoE --include='*.cpp' --include='*.hpp' --include='*.cu' --include='*.cuh' \
  '^#include "(core|parallel|models|launch|tests|benchmarks)/[^"]+"' core parallel models launch |
  sed -E 's/^([^:]+):[0-9]+:#include "(.*)"$/\1:\2/')
[ $bad = 0 ] && echo "include layers: ok"
exit $bad
