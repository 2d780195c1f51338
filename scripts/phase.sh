# Sourced by the scripts beside it: where things stand, and how they say what they do.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Exported, so that every part, also one that sudo starts, means the same cache (components/README.md says the rule).
export ROADSTEAD_CACHE=${ROADSTEAD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/roadstead}
target=${CARGO_TARGET_DIR:-$repository/target}
xtask=$target/debug/xtask

# say WHAT...: a line with the seconds since the script began.
say() {
  show_end
  printf '[%4d s] %s\n' "$SECONDS" "$*"
}

# show WHAT...: what is going on now. On a terminal one line that changes; otherwise a line when the words before the
# first ";" change, and every 15 s.
shown='' shown_at=-15
show() {
  if [ -t 1 ]; then
    printf '\r\033[K[%4d s] %.*s' "$SECONDS" $((${COLUMNS:-100} - 12)) "$*"
    shown=$*
  elif [ "${shown%%;*}" != "${1%%;*}" ] || [ $((SECONDS - shown_at)) -ge 15 ]; then
    printf '[%4d s] %s\n' "$SECONDS" "$*"
    shown=$* shown_at=$SECONDS
  fi
}

show_end() {
  if [ -t 1 ] && [ -n "$shown" ]; then
    printf '\r\033[K'
  fi
  shown=''
}

# die WHAT...: what went wrong and what to do, and the end.
die() {
  show_end
  printf 'error: %s\n' "$*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo --preserve-env=ROADSTEAD_CACHE "$@"
  else
    die "this needs root: run it as root, or install sudo"
  fi
}

# components_in_background [SET]...: builds the components of a first cluster, its nodes and its add-ons in the background, and
# then these sets: process $builder, which writes to $builder_log. Should the script end before it, it is ended too.
builder='' builder_log=$ROADSTEAD_CACHE/components.log
components_in_background() {
  cargo build --quiet --package xtask
  mkdir -p "$ROADSTEAD_CACHE"
  # A group of its own: the compilers end with it.
  setsid nice -n 5 bash -c '"$0" components --add-ons && if [ $# -gt 0 ]; then exec "$0" components "$@"; fi' \
    "$xtask" "$@" >"$builder_log" 2>&1 &
  builder=$!
  trap '[ -z "$builder" ] || kill -- "-$builder" 2>/dev/null || true' EXIT
  say "components: being built in the background, see $builder_log"
}

# Whether the builder is still at work; the script ends if it failed.
components_are_being_built() {
  [ -n "$builder" ] || return 1
  kill -0 "$builder" 2>/dev/null && return 0
  wait "$builder" || { builder='' && tail -n 25 "$builder_log" >&2 && die "the components could not be built, see above"; }
  builder=''
  say "components: $(components_now)"
  return 1
}

# Whether what nodes need is built.
node_components_are_there() {
  ! "$xtask" components --nodes --list | grep -qE '^ *(missing|damaged|unlinked) '
}

# The builder's last words, on one line.
components_now() {
  tail -n 1 "$builder_log" | sed 's/^ *//' | tr -s ' '
}

# Where the pinned aws, kubectl and helm stand, as a part of PATH.
clients() {
  local path=$ROADSTEAD_CACHE/venv/bin name
  for name in $({ "$xtask" components --only kubectl --list; "$xtask" components helm --list; } | awk '$1 != "in" {print $2}'); do
    path=$path:$ROADSTEAD_CACHE/components/${name%/*}
  done
  echo "$path"
}
