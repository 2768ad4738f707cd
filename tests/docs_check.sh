#!/usr/bin/env bash
# Checks what the docs promise: docs_check.sh REPOSITORY [WEFT]
#
# In every tracked *.md: links to files lead somewhere, paths in backquotes exist, and blocks fenced as bash (commands)
# or console (commands after "$ ", output between) parse; in them, weft's commands and options exist, as do the options
# of the repository's own scripts. Without the binary WEFT its commands and options are not checked.
set -uo pipefail
cd "${1:?usage: docs_check.sh REPOSITORY [WEFT]}" || exit 2
weft=${2:-}
folders='core|parallel|models|launch|configs|tests|docker|docs|benchmarks|\.ci'
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bad=0
blocks=0

complain() {
  echo "$1" >&2
  bad=1
}

# A path as written: placeholders (NAME), patterns and variables stand for no particular file.
exists() {
  case $1 in *[*\<\>{}\$]* | *...* | *NAME*) return 0 ;; esac
  [ -e "${1%%:[0-9]*}" ]
}

check_links() {  # FILE
  local line target
  while IFS=: read -r line target; do
    target=${target#](}
    target=${target%)}
    target=${target%%#*}
    case $target in "" | http://* | https://* | mailto:*) continue ;; esac
    [ -e "$(dirname "$1")/$target" ] || complain "$1:$line: the link leads nowhere: $target"
  done < <(grep -noE '\]\([^) ]+\)' "$1")
  while IFS=: read -r line target; do
    target=${target//\`/}
    exists "$target" || complain "$1:$line: no such file: $target"
  done < <(grep -noE "\`($folders)/[^\` ]*\`" "$1")
}

help_of() {  # COMMAND: its help, asked once
  [ -f "$scratch/help-$1" ] || "$weft" help "$1" >"$scratch/help-$1" 2>/dev/null || rm -f "$scratch/help-$1"
  [ -f "$scratch/help-$1" ]
}

check_options() {  # WHERE PROGRAM TEXT WORD...
  local where=$1 program=$2 text=$3 word
  shift 3
  for word in "$@"; do
    case $word in
      -- | weft | */weft) return 0 ;;  # what follows a launcher's command is that command's
      --*) grep -qE -- "(^|[^a-z-])${word%%=*}([^a-z-]|$)" "$text" || complain "$where: $program has no ${word%%=*}" ;;
    esac
  done
}

check_command() {  # WHERE WORD...
  local where=$1 i word
  shift
  local words=("$@")
  for word in "${words[@]}"; do
    if [[ $word =~ ^($folders)/ ]]; then
      exists "$word" || complain "$where: no such file: $word"
    fi
  done
  [ "${words[0]}" != docker ] || return 0  # an image may be called like a command
  for i in "${!words[@]}"; do
    word=${words[i]}
    local rest=("${words[@]:i+1}")
    if [[ $word =~ ^(launch|tests|benchmarks|\.ci)/ && -f $word ]] && head -1 "$word" | grep -q '^#!'; then
      check_options "$where" "$word" "$word" "${rest[@]}"
      [[ $word == launch/mpirun.sh ]] || return 0
    elif [[ $word == weft || $word == */weft || $word == \$weft ]]; then
      [ -n "$weft" ] || return 0
      local command=${rest[0]:-}
      case $command in
        "" | -* | [A-Z]*) return 0 ;;
        help) command=${rest[1]:-help} ;;
      esac
      if help_of "$command"; then
        check_options "$where" "weft $command" "$scratch/help-$command" "${rest[@]:1}"
      else
        complain "$where: weft has no command $command"
      fi
      return 0
    fi
  done
}

check_block() {  # FILE LINE BLOCK-FILE
  local where="$1:$2" line words
  blocks=$((blocks + 1))
  if ! bash -n "$3" 2>"$scratch/error"; then
    complain "$where: bash cannot read this block: $(head -1 "$scratch/error" | sed 's/.*line [0-9]*: //')"
    return
  fi
  # One simple command per line: continuations joined, comments dropped, lists and pipelines cut.
  while read -r line; do
    read -ra words <<<"$line"
    [ ${#words[@]} = 0 ] || check_command "$where" "${words[@]}"
  done < <(sed -e ':a' -e '/\\$/{N;s/\\\n/ /;ba' -e '}' "$3" |
    sed -E 's/(^|[[:space:]])#.*$//; s/&&|\|\||[|;()]/\n/g' | tr -d "\"'")
}

while IFS= read -r file; do
  [ -f "$file" ] || continue
  check_links "$file"
  rm -f "$scratch"/block-*
  awk -v folder="$scratch" '
    /^ *```/ {
      if (inside) { inside = 0; close(out); next }
      language = $0; sub(/^ *```/, "", language)
      inside = 1; out = ""
      if (language == "bash" || language == "console") { out = sprintf("%s/block-%06d-%s", folder, NR, language); printf "" > out }
      next
    }
    inside && out != "" {
      if (language == "bash") print > out
      else if (/^\$ / || more) { more = /\\$/; sub(/^\$ /, ""); print > out }
    }' "$file"
  for block in "$scratch"/block-*; do
    [ -e "$block" ] || continue
    name=${block##*/block-}
    check_block "$file" "$((10#${name%%-*}))" "$block"
  done
done < <(git ls-files --cached --others --exclude-standard -- '*.md' 2>/dev/null || find . -name '*.md' -not -path './build/*')

[ $bad != 0 ] || echo "docs: links, paths and $blocks command blocks ok"
exit $bad
