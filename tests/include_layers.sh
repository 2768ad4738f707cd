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

folder_of() {  # the architectural folder of a path
  case $1 in
    core/*/*) printf '%s/%s' "$(cut -d/ -f1 <<<"$1")" "$(cut -d/ -f2 <<<"$1")" ;;
    *) cut -d/ -f1 <<<"$1" ;;
  esac
}

bad=0
while IFS=: read -r file include; do
  from=$(folder_of "$file")
  to=$(folder_of "$include")
  [ "$from" = "$to" ] && continue
  allowed=no
  for folder in ${may[$from]:-}; do
    case $to in "$folder" | "$folder"/*) allowed=yes ;; esac
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
