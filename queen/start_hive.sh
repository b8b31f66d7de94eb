# Finds the hive of the user who logs in here, or starts one; the queen sends this script over SSH (remote_start.ts).
#
#   sh -s -- find|start|stop EXECUTABLE HIVE_PORT FIRST_WORKER_PORT LAST_WORKER_PORT SECONDS
#
# find   tells of a running hive; start starts one where none runs; stop ends whichever runs (SIGTERM).
# What it has to tell are lines that begin with `rbee-start:`; whatever else is printed here comes from rc files.
set -eu
umask 077
action=$1 exe=$2 hive_port=$3 first_port=$4 last_port=$5 seconds=$6
home=${RBEE_HOME:-$HOME/.rbee}
case $exe in "~/"*) exe=$HOME/${exe#"~/"} ;; esac

say() { printf 'rbee-start: %s\n' "$*"; }

# Sets pid when hive.json names a living hive. The file outlives a killed one, and its number may be anybody's by now:
# after a reboot even that of this script, whose command line names the executable, too.
running() {
  [ -s "$home/hive.json" ] || return 1
  pid=$(sed -n 's/.*"pid":[ ]*\([0-9][0-9]*\).*/\1/p' "$home/hive.json")
  [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || return 1
  command=$({ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null || ps -o args= -p "$pid" 2>/dev/null) || return 1
  case $command in *rbee-hive" daemon"*|*hive/main.ts" daemon"*) return 0 ;; *) return 1 ;; esac
}

tell() {
  say "$1"
  case $command in *" --leased"*) say "leased" ;; esac
  [ ! -r "$home/hive.token" ] || printf 'rbee-start: token %s\n' "$(cat "$home/hive.token")"
  printf 'rbee-start: running %s\n' "$(cat "$home/hive.json")"
}

# A hive that is just ending has taken its file away, or takes no requests: it is waited for.
until_gone() {
  i=0
  while kill -0 "$1" 2>/dev/null; do
    i=$((i + 1))
    [ "$i" -le $((seconds * 10)) ] || return 1
    sleep 0.1
  done
}

case $action in
find)
  if running; then tell found; else say none; fi
  exit 0
  ;;
stop)
  if ! running; then say none; exit 0; fi
  kill -TERM "$pid"
  kill -CONT "$pid" 2>/dev/null || true # one that is stopped takes no signal but this
  if ! until_gone "$pid"; then kill -KILL "$pid" 2>/dev/null || true; say killed; exit 0; fi
  say stopped
  exit 0
  ;;
esac

if running; then tell found; exit 0; fi
if [ ! -x "$exe" ]; then say "missing $exe"; exit 1; fi
# Not an empty file: a full disk still takes its name. English, because the queen reads why.
probe() {
  LC_ALL=C
  export LC_ALL
  mkdir -p "$home/logs" && printf '%4096s' '' | cat >"$home/logs/hive.boot.log"
}
if ! why=$(probe 2>&1); then
  say "unwritable $(printf '%s\n' "$why" | tail -n 1)"
  exit 1
fi
cd "$home"
# After a reboot the new hive may well get the number that is in the old one's file: only another file is its own.
former=$(cat hive.json 2>/dev/null || true)
RBEE_HIVE_PORT=$hive_port RBEE_WORKERS_PORT_START=$first_port RBEE_WORKERS_PORT_END=$last_port
export RBEE_HIVE_PORT RBEE_WORKERS_PORT_START RBEE_WORKERS_PORT_END
# In a session of its own: it outlives this login, and ends when no queen renews its lease.
own_session=
if command -v setsid >/dev/null 2>&1; then own_session=setsid; fi
$own_session nohup "$exe" daemon --leased --detached --port-fallback </dev/null >"$home/logs/hive.boot.log" 2>&1 &
started=$!
i=0
until [ "$(cat hive.json 2>/dev/null || true)" != "$former" ] && running && [ "$pid" = "$started" ]; do
  if ! kill -0 "$started" 2>/dev/null; then
    # Of two starts at once one finds the other's hive.
    if running; then tell found; exit 0; fi
    code=0
    wait "$started" || code=$?
    say "died $code"
    tail -n 20 "$home/logs/hive.boot.log" >&2
    exit 1
  fi
  i=$((i + 1))
  if [ "$i" -gt $((seconds * 20)) ]; then
    kill -KILL "$started" 2>/dev/null || true
    say "late"
    exit 1
  fi
  sleep 0.05
done
tell started
