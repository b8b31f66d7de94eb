#!/bin/sh
# Puts rbee's executables on this machine, for a person who has a login here and nothing else.
#
# The queen sends this text over SSH; by hand it works as well, from a folder with manifest.json and the executables:
#
#   ssh me@box 'sh -s -- --prefix ~/rbee --from ~/rbee-files' < install_node.sh
#
# Without --from and --action it looks and changes nothing. What is made below the prefix:
#
#   versions/.rbee         says that this folder is ours
#   versions/.incoming/    what is on its way; nothing in it counts
#   versions/0.1.0/        the executables of one version and their manifest.json
#   current                a link to the version in use, replaced in one step
#
# Every check comes before anything is changed, and each step can be cut off anywhere and done again. All that is said
# stands in lines that begin with "rbee-install: "; the last one of a failure is "rbee-install: error CODE text".

# shellcheck disable=SC2015 # "A && B || fail" is meant: B fails as A does
# shellcheck disable=SC2088 # the tilde of an argument is expanded here
# shellcheck disable=SC2317 # traps and functions by name

set -eu
umask 022
LC_ALL=C
export LC_ALL

nl='
'
deno_version=2.7.11
# Seconds that a second installation waits for the first.
lock_wait=30
# Seconds without a byte, after which a file that is on its way is given up: a network that was cut tells nobody here.
quiet_max=60
# What must be left on the disk beside the files, in KB.
spare_kb=65536

# ---------------------------------------------------------------- what is said

say() { printf 'rbee-install: %s\n' "$*"; }

fail() {
  fail_code=$1
  shift
  say "error $fail_code $(one_line "$*")"
  exit 1
}

one_line() { printf '%s' "$1" | tr '\n\r\t' '   ' | tr -d '\000-\037\177' | cut -c 1-600; }

# Ends with the code that fits what a tool said about a file.
write_failed() {
  case $1 in
  *'No space left'* | *[Qq]uota*) fail DISK_FULL "Cannot write to $prefix: no space is left" ;;
  *'ermission denied'* | *'ead-only'* | *'not permitted'*) fail INSTALL_PATH_NOT_WRITABLE "Cannot write to $prefix: $1" ;;
  esac
  look_at_disk
  [ "$free_kb" -ge 64 ] || fail DISK_FULL "Cannot write to $prefix: no space is left"
  fail INSTALL_FAILED "Cannot write to $prefix: $1"
}

# ---------------------------------------------------------------- the command line

read_arguments() {
  action='' prefix='~/rbee' version='' files='' from='' backend='' name='' sha='' size='' gzipped=no service=''
  hive_env='' purge=no repo='' branch=main dir='' attended=no
  while [ $# -gt 0 ]; do
    case $1 in
    --gzip) gzipped=yes ;;
    --service) service=yes ;;
    --no-service) service=no ;;
    --purge) purge=yes ;;
    --attended) attended=yes ;;
    --help | -h) usage && exit 0 ;;
    --action | --prefix | --version | --file | --from | --backend | --name | --sha256 | --size | --hive-env | --repo | \
      --branch | --dir)
      [ $# -ge 2 ] || fail INSTALL_FAILED "Cannot understand the command line: $1 needs a value"
      take_value "$1" "$2"
      shift
      ;;
    *) fail INSTALL_FAILED "Cannot understand the command line: $1 is unknown" ;;
    esac
    shift
  done
  absolute "$prefix" && prefix=$path
  case $from in '' | /* | '~'*) ;; *) from=$(pwd)/${from#./} ;; esac
  [ -z "$from" ] || { absolute "${from%/.}" && from=$path; }
  if [ -z "$dir" ]; then dir=$prefix; else absolute "$dir" && dir=$path; fi
  versions=$prefix/versions
  incoming=$versions/.incoming
  [ -n "$action" ] || { [ -n "$from" ] && action=install || action=inspect; }
}

take_value() {
  case $1 in
  --action) action=$2 ;;
  --prefix) prefix=$2 ;;
  --version) is_version "$2" && version=$2 || fail INSTALL_FAILED "Cannot use the version $2" ;;
  --file)
    is_program "${2%%:*}" && is_sha "${2#*:}" || fail INSTALL_FAILED "Cannot use --file $2: it must be NAME:SHA256"
    files="$files $2"
    ;;
  --from) from=$2 ;;
  --backend)
    case $2 in cpu | cuda | vulkan | metal) backend=$2 ;; *) fail INSTALL_FAILED "Cannot use the backend $2" ;; esac
    ;;
  --name) is_program "$2" && name=$2 || fail INSTALL_FAILED "Cannot use the name $2" ;;
  --sha256) is_sha "$2" && sha=$2 || fail INSTALL_FAILED "Cannot use --sha256 $2" ;;
  --size) is_number "$2" && size=$2 || fail INSTALL_FAILED "Cannot use --size $2" ;;
  --hive-env)
    case $2 in
    [!A-Z]* | *[!A-Za-z0-9_./:@=,+-]* | *=*=*) fail INSTALL_FAILED "Cannot use --hive-env $2" ;;
    [A-Z]*=*) hive_env="$hive_env $2" ;;
    *) fail INSTALL_FAILED "Cannot use --hive-env $2: it must be NAME=VALUE" ;;
    esac
    ;;
  --repo) repo=$2 ;;
  --branch) branch=$2 ;;
  --dir) dir=$2 ;;
  esac
}

usage() {
  cat <<'HELP'
Puts rbee's executables on this machine. Run by sh, from standard input or as a file.
  --prefix FOLDER   where (default: ~/rbee)
  --from FOLDER     install what lies there: manifest.json and the executables it names
  --backend NAME    the worker for cpu, cuda, vulkan or metal (default: what this machine has)
  --service         let the system start the hive and keep it running; --no-service takes that back
  --action uninstall [--purge]   remove the executables; with --purge also data and models
  --action source --repo URL [--branch B] [--dir FOLDER]   build it here
  --attended        end all of it when standard input ends, which stays open behind the script
Without --from and --action it tells what is here and changes nothing.
HELP
}

is_version() {
  case $1 in [!0-9]* | *[!0-9A-Za-z.+-]* | *..* | '') return 1 ;; esac
  case $1 in *.*.*) ;; *) return 1 ;; esac
}

is_program() {
  case $1 in
  rbee-hive | llm-worker-rbee) ;;
  llm-worker-rbee-*[!a-z0-9]* | llm-worker-rbee-) return 1 ;;
  llm-worker-rbee-*) case ${1#llm-worker-rbee-} in *[!a-z0-9]*) return 1 ;; esac ;;
  *) return 1 ;;
  esac
}

is_sha() { case $1 in *[!0-9a-f]*) return 1 ;; esac; [ ${#1} -eq 64 ]; }
is_number() { case $1 in '' | *[!0-9]*) return 1 ;; esac; [ ${#1} -le 15 ]; }

# Sets $path: absolute, `~` expanded, no slash behind it.
absolute() {
  case $1 in
  '~') path=${HOME:-} ;;
  '~/'*) path=${HOME:-}/${1#??} ;;
  *) path=$1 ;;
  esac
  case $path in
  *"$nl"*) fail INSTALL_FAILED "Cannot use this folder: its name holds a line end" ;;
  /*) ;;
  *) fail INSTALL_FAILED "Cannot use the folder $1: it must be absolute or begin with ~/" ;;
  esac
  case $path/ in */../* | */./*) fail INSTALL_FAILED "Cannot use the folder $1: it must be written out" ;; esac
  while :; do case $path in */) path=${path%/} ;; *) break ;; esac; done
  [ -n "$path" ] || fail INSTALL_FAILED "Cannot use the folder $1: it is the root of all"
}

# ---------------------------------------------------------------- what is here

look_at_platform() {
  kernel=$(uname -s)
  machine=$(uname -m)
  case $kernel in Linux) os=linux ;; Darwin) os=macos ;; *) os=$(printf '%s' "$kernel" | tr '[:upper:]' '[:lower:]' | tr -cd '[:alnum:]') ;; esac
  case $machine in x86_64 | amd64) cpu=x64 ;; aarch64 | arm64) cpu=arm64 ;; *) cpu=$(printf '%s' "$machine" | tr -cd 'A-Za-z0-9_') ;; esac
  # A system of 32 bits on a kernel of 64.
  [ "$(getconf LONG_BIT 2>/dev/null || echo 64)" != 32 ] || cpu=${cpu}-32
  platform=$os-$cpu
}

look_at_libc() {
  libc=none
  [ "$os" = linux ] || return 0
  said=$(getconf GNU_LIBC_VERSION 2>/dev/null || :)
  case $said in 'glibc '[0-9]*) libc=$said && return 0 ;; esac
  said=$(ldd --version 2>&1 || :)
  case $said in
  *musl*) libc=musl ;;
  *GLIBC* | *'GNU libc'*) libc="glibc $(printf '%s\n' "$said" | sed -n '1s/.* \([0-9][0-9.]*\)$/\1/p')" ;;
  *) for file in /lib/ld-musl-*; do [ ! -e "$file" ] || libc=musl; done ;;
  esac
}

look_at_gpu() {
  gpu=none
  if [ "$platform" = macos-arm64 ]; then
    gpu=metal
  elif has_nvidia; then
    gpu=cuda
  elif any /dev/dri/renderD* && has_library libvulkan.so.1; then
    gpu=vulkan
  fi
}

has_nvidia() {
  [ ! -r /proc/driver/nvidia/version ] || return 0
  case $(nvidia-smi -L 2>/dev/null </dev/null || :) in *GPU\ [0-9]*:*) return 0 ;; esac
  any /dev/nvidia[0-9]* /dev/dxg && { has_library libcuda.so.1 || [ -e /usr/lib/wsl/lib/libcuda.so.1 ]; }
}

any() {
  for file in "$@"; do [ ! -e "$file" ] || return 0; done
  return 1
}

has_library() {
  case $( (ldconfig -p || /sbin/ldconfig -p) 2>/dev/null || :) in *"$1"*) return 0 ;; esac
  any /usr/lib/"$1" /usr/lib64/"$1" /lib/"$1" /usr/lib/*-linux-gnu/"$1" /usr/local/lib/"$1"
}

# Sets $parent, the nearest folder above the prefix that is there, and $free_kb of its file system.
look_at_disk() {
  parent=$prefix
  while [ ! -e "$parent" ] && [ ! -h "$parent" ]; do
    parent=${parent%/*}
    [ -n "$parent" ] || parent=/
  done
  free_kb=0
  before=0
  # The number before the one with the percent sign: names of file systems may hold spaces.
  for word in $(df -Pk "$parent" 2>/dev/null | tail -n 1); do
    case $word in *%) is_number "$before" && free_kb=$before && break ;; esac
    before=$word
  done
}

# Sets $problem: why nothing could be installed here, or empty.
look_at_place() {
  look_at_disk
  problem=
  if [ ! -d "$parent" ]; then
    problem="$parent is no folder"
  elif [ ! -w "$parent" ] || [ ! -x "$parent" ]; then
    problem="$(id -un) may not write to $parent"
  elif [ -e "$versions" ] && { [ ! -w "$versions" ] || [ ! -x "$versions" ]; }; then
    problem="$(id -un) may not write to $versions"
  fi
}

# Sets $current: the version in use, or empty; and $previous, the same, for later.
look_at_current() {
  current=
  if [ -h "$prefix/current" ]; then
    target=$(readlink "$prefix/current" || :)
    case $target in versions/*) current=${target#versions/} ;; esac
    is_version "$current" || current=
  fi
  previous=$current
}

# Sets $foreign: what others put where rbee's things belong, or empty.
look_at_foreign() {
  foreign=
  if [ -e "$versions" ] && ! is_ours; then
    foreign=$versions
  elif [ -z "$current" ] && { [ -e "$prefix/current" ] || [ -h "$prefix/current" ]; }; then
    foreign=$prefix/current
  fi
}

# Whether the folder of versions is ours; one that a cut-off installation or removal left is empty. The mark is looked for
# once more: another installation may just have made it.
is_ours() { [ -f "$versions/.rbee" ] || { [ -d "$versions" ] && [ -z "$(ls -A "$versions" 2>/dev/null)" ]; } || [ -f "$versions/.rbee" ]; }

look_at_tools() {
  digest_tool=
  for tool in sha256sum shasum openssl; do
    [ -n "$digest_tool" ] || ! command -v $tool >/dev/null 2>&1 || digest_tool=$tool
  done
  tools=$digest_tool
  for tool in gzip git node npx deno; do ! command -v $tool >/dev/null 2>&1 || tools="$tools $tool"; done
}

# Prints the command that runs the deno that rbee is built with, without npx; nothing when there is none.
find_deno() {
  for deno in "$(command -v deno 2>/dev/null || :)" "${HOME:-}/.deno/bin/deno"; do
    [ -n "$deno" ] && [ -x "$deno" ] || continue
    case $("$deno" --version 2>/dev/null </dev/null || :) in "deno $deno_version"*) printf '%s\n' "$deno" && return 0 ;; esac
  done
}

# SHA-256 of stdin, 64 hex digits.
digest() {
  case $digest_tool in
  sha256sum) sha256sum ;;
  shasum) shasum -a 256 ;;
  openssl) openssl dgst -sha256 -r ;;
  esac | cut -c 1-64
}

size_of() { wc -c <"$1" | tr -d ' '; }

# Prints pid and program of what runs out of the prefix, one a line.
running() {
  real=$(cd -P "$prefix" 2>/dev/null && pwd -P) || return 0
  if [ -d /proc/self ]; then
    # shellcheck disable=SC2012 # one call instead of one for each process
    ls -l /proc/[0-9]*/exe 2>/dev/null | sed -n 's|.* /proc/\([0-9]*\)/exe -> |\1 |p'
  else
    ps -axo pid=,comm= | sed 's/^ *//'
  fi | while read -r pid exe; do
    case $exe in "$real/versions/"*) printf '%s %s\n' "$pid" "$exe" ;; esac
  done
}

look() {
  look_at_platform
  look_at_libc
  look_at_gpu
  look_at_place
  look_at_current
  look_at_foreign
  look_at_tools
  look_at_service
}

inspect() {
  look
  say "platform $platform"
  say "libc $libc"
  say "gpu $gpu"
  say "prefix $prefix"
  say "home ${HOME:-}"
  say "hostname $(uname -n)"
  say "disk_free_mb $((free_kb / 1024))"
  if [ -z "$problem" ]; then say "writable yes"; else say "writable no $problem"; fi
  say "current ${current:-none}"
  [ -z "$foreign" ] || say "foreign $foreign"
  say "tools $tools"
  say "service $service_is"
  running | while read -r line; do say "running $line"; done
  if [ -n "$version" ] && [ -n "$digest_tool" ]; then
    list_files "file $version" "$versions/$version"
    list_files incoming "$incoming"
  fi
  say "done inspect"
}

list_files() {
  for file in "$2"/rbee-hive "$2"/llm-worker-rbee "$2"/llm-worker-rbee-*; do
    file_name=${file##*/}
    [ -f "$file" ] && [ ! -h "$file" ] && is_program "$file_name" || continue
    say "$1 $(digest <"$file") $(size_of "$file") $file_name"
  done
}

# ---------------------------------------------------------------- processes

# Prints what tells a process from a later one of the same number; nothing when it is not there.
born() {
  if [ -r /proc/self/stat ]; then
    { read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return 0
    # Behind the name, which may hold anything: the state, and 19 words later the ticks from the boot to its start.
    # shellcheck disable=SC2086 # words
    set -- ${stat_line##*) }
    [ "$1" = Z ] || printf '%s.%s\n' "${20}" "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || :)"
  else
    TZ=UTC0 ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' _ || :
  fi
}

# Prints the processes here, each as PID:PARENT.
all_processes() {
  if [ -r /proc/self/stat ]; then
    for stat in /proc/[0-9]*/stat; do
      { read -r stat_line <"$stat"; } 2>/dev/null || continue
      stat=${stat#/proc/}
      # shellcheck disable=SC2086 # words
      set -- ${stat_line##*) }
      [ "$1" = Z ] || printf '%s:%s\n' "${stat%/stat}" "$2"
    done
  else
    ps -A -o pid= -o ppid= -o stat= | while read -r pid ppid state; do
      case $state in Z*) ;; *) printf '%s:%s\n' "$pid" "$ppid" ;; esac
    done
  fi
}

# Sets $found: process $1 and all below it, without $2 and what is below that.
find_below() {
  found=" $1 "
  table=$(all_processes)
  grown=yes
  while [ -n "$grown" ]; do
    grown=
    for pair in $table; do
      case $found in *" ${pair%:*} "*) continue ;; esac
      case $found in *" ${pair#*:} "*) [ "${pair%:*}" = "$2" ] || { found="$found${pair%:*} " && grown=yes; } ;; esac
    done
  done
}

my_attendant=
# Whoever sent this script keeps standard input open for as long as somebody waits for its end; nothing else would tell
# git and deno that nobody does any more.
attend() {
  my_birth=$(born $$)
  end_with_reader &
  my_attendant=$!
  exec 3<&-
}

end_with_reader() {
  exec </dev/null >/dev/null 2>&1
  while read -r _ <&3; do :; done
  # shellcheck disable=SC2016 # that shell's own parameter
  me=$(exec sh -c 'echo "$PPID"')
  if [ "$(born $$)" = "$my_birth" ]; then end_below "$me"; fi
  # What has left its parent is in the group still, if that is this script's alone: sshd gives each command one.
  kill -9 -$$ || { [ "$(born $$)" != "$my_birth" ] || kill -9 $$; }
}

# Ends all that this script has started but process $1, and removes what those and the script leave.
end_below() {
  stopped=
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    find_below $$ "$1"
    [ "$found" != "$stopped" ] || break
    # One that is stopped starts nothing behind our back.
    # shellcheck disable=SC2086 # words
    kill -STOP $found || :
    stopped=$found
  done
  # shellcheck disable=SC2086 # words
  [ "$found" = " $$ " ] || kill -9 ${found#" $$ "} || :
  [ "$(readlink "$versions/.lock")" != "$(lock_text)" ] || {
    rm -rf "$versions/.clone.$$" "$versions/.build.log"
    rm -f "$versions/.lock"
  }
}

# ---------------------------------------------------------------- changing something

# The checks that everything begins with which writes.
check_place() {
  look
  [ -z "$problem" ] || fail INSTALL_PATH_NOT_WRITABLE "Cannot install to $prefix: $problem"
  [ -n "$digest_tool" ] || fail INSTALL_FAILED "Cannot check a file: sha256sum, shasum and openssl are all missing here"
  [ -z "$foreign" ] || fail INSTALL_FAILED "Cannot install to $prefix: $foreign is there and not rbee's"
}

# $1: bytes that are to come.
check_disk() {
  wanted_kb=$(($1 / 1024 + spare_kb))
  [ "$free_kb" -ge "$wanted_kb" ] || fail INSUFFICIENT_DISK \
    "Cannot install to $prefix: $((wanted_kb / 1024)) MB are needed, $((free_kb / 1024)) MB are free"
}

# Our mark comes before all else: a folder with something in it and without the mark counts as somebody else's.
make_folders() {
  why=$(mkdir -p "$versions" 2>&1) || write_failed "$why"
  [ -f "$versions/.rbee" ] || why=$( (echo 'the versions of rbee' >"$versions/.rbee") 2>&1) || write_failed "$why"
  why=$(mkdir -p "$incoming" 2>&1) || write_failed "$why"
}

# A file of ours keeps another one's `finish` from removing the folder as empty.
make_part() {
  for _ in 1 2 3; do
    make_folders
    ! (: >"$part") 2>/dev/null || return 0
  done
  why=$( (: >"$part") 2>&1) || write_failed "$why"
}

my_part=
my_watch=
my_lock=
my_link=
clean_up() {
  [ -z "$my_watch" ] || kill "$my_watch" 2>/dev/null || :
  [ -z "$my_attendant" ] || kill "$my_attendant" 2>/dev/null || :
  [ -z "$my_part" ] || { rm -f "$my_part" && rmdir "$incoming" 2>/dev/null; } || :
  [ -z "$my_link" ] || rm -f "$my_link"
  [ -z "$my_lock" ] || rm -f "$my_lock"
}

is_alive() { is_number "$1" && kill -0 "$1" 2>/dev/null; }

# What stands in our lock: a number alone may be another process's after a reboot.
lock_text() { printf '%s:%s\n' "$$" "$(born $$)"; }

# $1: what stands in a lock.
is_at_work() {
  is_number "${1%%:*}" || return 1
  case $1 in
  *:) is_alive "${1%:}" ;; # a machine that does not tell when a process began
  *) [ "$(born "${1%%:*}")" = "${1#*:}" ] ;;
  esac
}

# $1: a lock, $2: what a dead one left in it. One at a time takes such a lock away, and looks again before it does: when two
# did, the second took the lock of whoever had come in between, and two installations changed one folder.
remove_dead() {
  if ln -s "$(lock_text)" "$1.s" 2>/dev/null; then
    [ "$(readlink "$1" 2>/dev/null || :)" != "$2" ] || rm -f "$1"
    rm -f "$1.s"
  else
    # Whoever was to take it away may itself have been killed.
    remover=$(readlink "$1.s" 2>/dev/null || :)
    [ -z "$remover" ] || is_at_work "$remover" || remove_dead "$1.s" "$remover"
  fi
}

# One at a time changes versions. The link's target is the process that holds it: there in one step, and never empty.
lock() {
  waited=0
  until ln -s "$(lock_text)" "$versions/.lock" 2>/dev/null; do
    owner=$(readlink "$versions/.lock" 2>/dev/null || :)
    if [ -z "$owner" ]; then
      why=$( (: >"$versions/.try.$$" && rm -f "$versions/.try.$$") 2>&1) || write_failed "$why"
    elif ! is_at_work "$owner"; then
      remove_dead "$versions/.lock" "$owner"
      continue
    fi
    waited=$((waited + 1))
    [ "$waited" -le "$lock_wait" ] || fail INSTALL_FAILED "Cannot change $prefix: another installation is at work there \
(process ${owner%%:*}); if that is none, remove $versions/.lock"
    sleep 1
  done
  my_lock=$versions/.lock
}

# What killed ones left: parts, links, versions that were being removed. Only with the lock.
sweep() {
  sweep_parts
  for file in "$prefix"/.current.*; do [ ! -h "$file" ] || rm -f "$file"; done
  for file in "$versions"/.lock.s*; do
    remover=$(readlink "$file" 2>/dev/null || :)
    [ -z "$remover" ] || is_at_work "$remover" || remove_dead "$file" "$remover"
  done
  for file in "$versions"/.old.* "$versions"/.clone.* "$versions"/.try.* "$versions"/*/.manifest.*; do [ ! -e "$file" ] || rm -rf "$file"; done
}

sweep_parts() {
  for file in "$incoming"/*.part; do
    [ -f "$file" ] || continue
    part_pid=${file%.part}
    is_alive "${part_pid##*.}" || rm -f "$file"
  done
}

# Runs beside the script, and ends it when nothing more of its part comes: between one and two times $quiet_max later.
watch_part() {
  exec </dev/null >/dev/null 2>&1 3<&- 4>&-
  part_size=
  quiet=0
  while sleep 1 && is_alive $$; do
    quiet=$((quiet + 1))
    [ "$quiet" -ge "$quiet_max" ] || continue
    quiet=0
    [ "$(size_of "$part")" != "$part_size" ] || { rm -f "$part" && rmdir "$incoming" || :; kill -9 $$; }
    part_size=$(size_of "$part")
  done
}

# Takes a file from descriptor 3, unpacked by "$1", into incoming/$name; $sha and $size say what it must be.
take() {
  part=$incoming/$name.$$.part
  my_part=$part
  make_part
  watch_part &
  my_watch=$!
  # The tools' faults come out beside the digest: on a full disk there is no other place for them.
  said=$(
    exec 4>&1
    { "$@" <&3 2>&4 || echo "unpacking failed" >&4; } | { tee "$part" 2>&4 || echo "writing failed" >&4; } | digest
  )
  kill "$my_watch" 2>/dev/null || :
  my_watch=
  got=
  why=
  # Words are lines here: the digest, and what else was said.
  while IFS= read -r line; do
    if is_sha "$line"; then got=$line; else why="$why$line "; fi
  done <<SAID
$said
SAID
  if [ "$got" != "$sha" ] || [ "$(size_of "$part" 2>/dev/null || echo 0)" != "$size" ]; then
    case $why in *'writing failed'* | *'No space'* | *'uota'*) write_failed "$why" ;; esac
    fail CHECKSUM_MISMATCH "Cannot use $name: $(size_of "$part" 2>/dev/null || echo 0) of $size bytes came, or others. $why"
  fi
  why=$(mv -f "$part" "$incoming/$name" 2>&1) || write_failed "$why"
  my_part=
}

receive() {
  [ -n "$name" ] && [ -n "$sha" ] && [ -n "$size" ] || fail INSTALL_FAILED "Cannot receive: --name, --sha256, --size are needed"
  check_place
  check_disk "$size"
  [ "$gzipped" = no ] || case " $tools " in *' gzip '*) ;; *) fail INSTALL_FAILED "Cannot unpack: gzip is missing here" ;; esac
  sweep_parts
  if [ "$gzipped" = yes ]; then take gzip -dc; else take cat; fi
  say "done receive"
}

# Ends when a file is none that this platform runs: a shell would take another one for a script.
check_kind() {
  head=$(dd if="$1" bs=20 count=1 2>/dev/null | od -An -v -tx1 | tr -d ' \n')
  case $platform:$head in
  *:2321* | linux-x64:7f454c46????????????????????????????3e00 | linux-arm64:7f454c46????????????????????????????b700 | \
    macos-*:cffaedfe* | macos-*:cafebabe*) ;;
  *) fail INSTALL_FAILED "Cannot use ${1##*/}: it is no program for $platform" ;;
  esac
}

# Ends when a program does not run here, or is of another version. A worker unpacks its libraries by it.
check_runs() {
  check_kind "$1"
  why=$(chmod 755 "$1" 2>&1) || write_failed "$why"
  said=$("$1" --version 2>&1 </dev/null) || {
    look_at_disk
    case $said in *'No space left'*) write_failed "$said" ;; esac
    drop "${1##*/}"
    fail INSTALL_FAILED "Cannot use ${1##*/}: it does not run here: $said"
  }
  case "$said " in
  *" $version "*) ;;
  *)
    drop "${1##*/}"
    fail INSTALL_FAILED "Cannot use ${1##*/}: it is not of version $version: $said"
    ;;
  esac
}

# What does not run here is sent again the next time.
drop() { rm -rf "${incoming:?}/$1" "${incoming:?}/.$1"; }

finish() {
  [ -n "$version" ] && [ -n "$files" ] || fail INSTALL_FAILED "Cannot finish: --version and --file are needed"
  check_place
  check_service
  make_folders
  lock
  finish_locked
}

# The part of `finish` that also other actions end with; they hold the lock.
finish_locked() {
  sweep
  look_at_current
  place=$versions/$version
  moved=
  for item in $files; do
    file_name=${item%%:*}
    if [ -f "$incoming/$file_name" ] && [ "$(digest <"$incoming/$file_name")" = "${item#*:}" ]; then
      moved="$moved $file_name"
      check_runs "$incoming/$file_name"
    elif [ -f "$place/$file_name" ] && [ "$(digest <"$place/$file_name")" = "${item#*:}" ]; then
      check_runs "$place/$file_name"
    else
      fail CHECKSUM_MISMATCH "Cannot install $file_name: it did not come whole"
    fi
  done
  why=$(mkdir -p "$place" 2>&1) || write_failed "$why"
  for file_name in $moved; do move_in "$file_name"; done
  write_manifest
  remove_others
  switch
  prune
  rm -rf "$incoming"/.llm-worker-rbee* "$incoming"/.rbee-hive
  for file in "$incoming"/rbee-hive "$incoming"/llm-worker-rbee "$incoming"/llm-worker-rbee-*; do
    case $file in *.part) ;; *) rm -f "$file" ;; esac
  done
  rmdir "$incoming" 2>/dev/null || :
  set_service
  say "done $version"
}

move_in() {
  rm -rf "$place/.$1"
  why=$(mv -f "$incoming/$1" "$place/$1" 2>&1) || write_failed "$why"
  # What the check unpacked there is of use here.
  [ ! -d "$incoming/.$1" ] || mv "$incoming/.$1" "$place/.$1" 2>/dev/null || :
  said=$("$place/$1" --version 2>&1 </dev/null) || fail INSTALL_FAILED "Cannot use $1: it does not run here: $said"
}

write_manifest() {
  why=$( (manifest >"$place/.manifest.$$" && mv -f "$place/.manifest.$$" "$place/manifest.json") 2>&1) || write_failed "$why"
}

manifest() {
  printf '{\n  "version": "%s",\n  "platform": "%s",\n  "backend": "cpu",\n  "files": {' "$version" "$platform"
  comma=
  for item in $files; do
    file_name=${item%%:*}
    case $file_name in llm-worker-rbee-*) kind=${file_name#llm-worker-rbee-} ;; *) kind=cpu ;; esac
    printf '%s\n    "%s": { "sha256": "%s", "size": %s, "backend": "%s" }' \
      "$comma" "$file_name" "${item#*:}" "$(size_of "$place/$file_name")" "$kind"
    comma=,
  done
  printf '\n  }\n}\n'
}

# A variant of an earlier build of this version: a hive would start it.
remove_others() {
  for file in "$place"/llm-worker-rbee-*; do
    [ -f "$file" ] || continue
    case " $files" in *" ${file##*/}:"*) ;; *) rm -rf "$file" "$place/.${file##*/}" ;; esac
  done
}

switch() {
  [ "$current" != "$version" ] || return 0
  my_link=$prefix/.current.$$
  why=$(ln -s "versions/$version" "$my_link" 2>&1) || write_failed "$why"
  rename_link "$my_link" "$prefix/current"
  my_link=
  current=$version
}

# Renames a link over a link in one step. GNU and busybox spell that -T, BSD -h; without both, perl knows it.
rename_link() {
  ! mv -T -f "$1" "$2" 2>/dev/null || return 0
  ! mv -h -f "$1" "$2" 2>/dev/null || return 0
  # shellcheck disable=SC2016 # perl's own variables
  ! perl -e 'exit !rename($ARGV[0], $ARGV[1])' "$1" "$2" 2>/dev/null || return 0
  rm -f "$2"
  mv -f "$1" "$2"
}

# Keeps one older version: the one that was in use before, else the newest.
prune() {
  keep=
  [ "$previous" = "$version" ] || keep=$previous
  # shellcheck disable=SC2012 # names of versions, none of another form
  [ -n "$keep" ] || keep=$(cd "$versions" && ls -1td [0-9]*/ 2>/dev/null | tr -d / | grep -vFx "$version" | head -n 1 || :)
  for folder in "$versions"/[0-9]*; do
    folder_name=${folder##*/}
    is_version "$folder_name" && [ "$folder_name" != "$version" ] && [ "$folder_name" != "$keep" ] || continue
    # Renamed first: half of a version must not be taken for one.
    mv "$folder" "$versions/.old.$$" && rm -rf "$versions/.old.$$"
  done
}

# ---------------------------------------------------------------- from a folder on this machine

# Reads a manifest into lines "NAME SHA SIZE", and sets $version.
read_manifest() {
  [ -f "$1" ] || fail EXECUTABLES_NOT_FOUND "Cannot find the executables: $1 is not there"
  entries=
  file_name=
  made_for=
  entry_sha=
  # One token a line, so that it does not matter how the JSON is laid out.
  tokens=$(tr -d '\n\r' <"$1" | tr ',{}' '[\n*]' | tr -d ' \t"')
  while IFS= read -r token; do
    case $token in
    version:*) is_version "${token#*:}" && version=${token#*:} ;;
    platform:*) made_for=${token#*:} ;;
    sha256:*) entry_sha=${token#*:} ;;
    size:*)
      is_program "$file_name" && is_sha "$entry_sha" && is_number "${token#*:}" || continue
      entries="$entries$file_name $entry_sha ${token#*:}$nl"
      ;;
    *:) file_name=${token%:} entry_sha= ;;
    esac
  done <<TOKENS
$tokens
TOKENS
  [ -n "$version" ] && [ -n "$entries" ] || fail EXECUTABLES_NOT_FOUND "Cannot find the executables: $1 is no manifest of rbee"
  [ "$made_for" = "$platform" ] ||
    fail PLATFORM_NOT_AVAILABLE "Cannot install on $platform: the executables are for $made_for"
}

# Copies what this machine needs out of a folder, and finishes. With the lock.
install_folder() {
  read_manifest "$1/manifest.json"
  wanted='rbee-hive llm-worker-rbee'
  variant=${backend:-$gpu}
  case $variant in
  cuda | vulkan)
    case $entries in
    *"llm-worker-rbee-$variant "*) wanted="$wanted llm-worker-rbee-$variant" ;;
    *)
      [ -z "$backend" ] || fail EXECUTABLES_NOT_FOUND "Cannot find llm-worker-rbee-$variant: $1/manifest.json does not name it"
      say "note This machine has $variant, and $1 holds no worker for it: models run on the CPU"
      ;;
    esac
    ;;
  esac
  total=0
  files=
  for file_name in $wanted; do
    case $nl$entries in *"$nl$file_name "*) ;; *) fail EXECUTABLES_NOT_FOUND "Cannot find $file_name: $1/manifest.json does not name it" ;; esac
    [ -f "$1/$file_name" ] || fail EXECUTABLES_NOT_FOUND "Cannot find $file_name: it is not in $1"
  done
  while read -r file_name sha size; do
    case " $wanted " in *" ${file_name:-none} "*) total=$((total + size)) files="$files $file_name:$sha" ;; esac
  done <<ENTRIES
$entries
ENTRIES
  check_disk "$total"
  make_folders
  [ -n "$my_lock" ] || lock
  copy_entries "$1"
  finish_locked
}

copy_entries() {
  while read -r name sha size; do
    case " $wanted " in *" ${name:-none} "*) ;; *) continue ;; esac
    [ ! -f "$versions/$version/$name" ] || [ "$(digest <"$versions/$version/$name")" != "$sha" ] || continue
    say "step copy $name"
    exec 3<"$1/$name"
    take cat
    exec 3<&-
  done <<ENTRIES
$entries
ENTRIES
}

install_here() {
  [ -n "$from" ] || fail INSTALL_FAILED "Cannot install: --from must name a folder with manifest.json and the executables"
  check_place
  check_service
  install_folder "$from"
}

# ---------------------------------------------------------------- from source

source_here() {
  [ -n "$repo" ] || fail INSTALL_FAILED "Cannot build: --repo is missing"
  check_place
  check_service
  case " $tools " in *' git '*) ;; *) fail TOOLCHAIN_MISSING "Cannot build here: git is missing" ;; esac
  choose_deno
  check_checkout
  make_folders
  lock
  sweep
  why=$(mkdir -p "$dir" 2>&1) || write_failed "$why"
  cd "$dir"
  checkout
  build
  install_folder "$dir/dist/$platform"
}

# Defines run_deno. npx brings the very version by itself.
choose_deno() {
  deno=$(find_deno)
  if [ -n "$deno" ]; then
    run_deno() { "$deno" "$@"; }
  elif command -v npx >/dev/null 2>&1 && command -v node >/dev/null 2>&1; then
    run_deno() { npx -y "deno@$deno_version" "$@"; }
  else
    fail TOOLCHAIN_MISSING "Cannot build here: Deno $deno_version is missing, and so are node and npx, which would bring it"
  fi
}

check_checkout() {
  [ -d "$dir" ] && [ ! -e "$dir/.git" ] || return 0
  # shellcheck disable=SC2010 # only whether there is anything besides ours
  other=$(ls -A "$dir" | grep -vx -e versions -e current -e '\.current\..*' | head -n 1 || :)
  [ -z "$other" ] || fail INSTALL_FAILED "Cannot clone into $dir: it is not empty and no checkout ($other)"
}

checkout() {
  GIT_TERMINAL_PROMPT=0
  GIT_SSH_COMMAND=${GIT_SSH_COMMAND:-ssh -o BatchMode=yes}
  export GIT_TERMINAL_PROMPT GIT_SSH_COMMAND
  say "step clone $repo"
  if [ ! -e .git ]; then
    # `git clone` wants an empty folder, and ours may lie in this one; a clone that was cut off must not count.
    git_step clone --quiet --no-checkout -- "$repo" "$versions/.clone.$$"
    : >"$versions/.clone.$$/.git/$replacing"
    why=$(mv "$versions/.clone.$$/.git" .git 2>&1) || write_failed "$why"
    rm -rf "$versions/.clone.$$"
    say "step checkout $branch"
    replace_files "$branch" --
  else
    git_step fetch --quiet -- "$repo" "$branch"
    say "step checkout $branch"
    # Detached: a person's own branch here stays as it is.
    replace_files --detach FETCH_HEAD
  fi
  for line in /versions /current '/.current.*'; do
    grep -qFx "$line" .git/info/exclude 2>/dev/null || { mkdir -p .git/info && echo "$line" >>.git/info/exclude; }
  done
}

# A file in .git: the checkout that is under way changes nothing but files as git has them.
replacing=rbee-replacing

# One that was cut off is done over what it left; where a person has changed files, git decides.
replace_files() {
  force=
  if [ -e ".git/$replacing" ]; then
    force=--force
    rm -f .git/*.lock
  elif [ -z "$(git status --porcelain --untracked-files=no 2>&1 </dev/null)" ]; then
    : >".git/$replacing"
  fi
  said=$(git checkout --quiet $force "$@" 2>&1 </dev/null) || {
    # By a signal it was cut off; otherwise git has changed nothing.
    [ $? -gt 128 ] || rm -f ".git/$replacing"
    fail INSTALL_FAILED "Cannot checkout $repo: $said"
  }
  rm -f ".git/$replacing"
}

git_step() { said=$(git "$@" 2>&1 </dev/null) || fail INSTALL_FAILED "Cannot $1 $repo: $said"; }

build() {
  set -- task compile
  case $platform:${backend:-$gpu} in linux-x64:cuda | linux-x64:vulkan) set -- "$@" --backend "${backend:-$gpu}" ;; esac
  say "step build rbee-hive llm-worker-rbee"
  why=$( (: >"$versions/.build.log") 2>&1) || write_failed "$why"
  NO_COLOR=1 run_deno "$@" >"$versions/.build.log" 2>&1 </dev/null ||
    fail INSTALL_FAILED "Cannot build in $dir: $(tail -n 8 "$versions/.build.log")"
  rm -f "$versions/.build.log"
}

# ---------------------------------------------------------------- the service

unit_mark='written by install_node.sh of rbee'
label=local.rbee.hive

# Sets $unit, the service's file, $unit_program, how it names our hive, and $service_is: yes, no, or foreign, which is
# also the one of an installation in another folder.
look_at_service() {
  if [ "$os" = macos ]; then
    unit=${HOME:-}/Library/LaunchAgents/$label.plist
    unit_program="<string>$(printf '%s' "$prefix" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g')/current/rbee-hive</string>"
  else
    unit=${XDG_CONFIG_HOME:-${HOME:-}/.config}/systemd/user/rbee-hive.service
    unit_program="\"$(printf '%s' "$prefix" | sed 's/[\\"]/\\&/g; s/%/%%/g; s/\$/$$/g')/current/rbee-hive\""
  fi
  service_is=no
  [ -e "$unit" ] || return 0
  service_is=foreign
  ! grep -qF "$unit_mark" "$unit" 2>/dev/null || ! grep -qF "$unit_program" "$unit" || service_is=yes
}

check_service() {
  [ "$service" != yes ] && return 0
  [ "$service_is" != foreign ] || fail INSTALL_FAILED "Cannot write the service: $unit is there and not this installation's"
  case $os in linux | macos) ;; *) fail INSTALL_FAILED "Cannot write a service on $os" ;; esac
}

set_service() {
  case $service:$service_is in
  yes:*) write_service && start_service ;;
  no:yes) remove_service ;;
  :yes) restart_service ;; # it runs the version before
  esac
}

write_service() {
  folder=${unit%/*}
  why=$( (mkdir -p "$folder" && "unit_$os" >"$unit.$$" && mv -f "$unit.$$" "$unit") 2>&1) || {
    rm -f "$unit.$$"
    write_failed "$why"
  }
}

unit_linux() {
  # systemd takes no program whose name holds a quote or a backslash; a shell's argument it takes.
  # shellcheck disable=SC2016 # that shell's own parameters
  case $prefix in *[\"\'\\\$]*) through='/bin/sh -c "exec \"$$0\" \"$$@\"" ' ;; *) through='' ;; esac
  printf '# %s\n[Unit]\nDescription=rbee-hive: the models of this machine\n\n[Service]\n' "$unit_mark"
  printf 'ExecStart=%s%s daemon\n' "$through" "$unit_program"
  for pair in $hive_env; do printf 'Environment="%s"\n' "$pair"; done
  printf 'Restart=on-failure\nRestartSec=2\nStandardOutput=journal\nStandardError=journal\n\n'
  printf '[Install]\nWantedBy=default.target\n'
}

unit_macos() {
  printf '<?xml version="1.0" encoding="UTF-8"?>\n<!-- %s -->\n<plist version="1.0"><dict>\n' "$unit_mark"
  printf '<key>Label</key><string>%s</string>\n<key>ProgramArguments</key><array>' "$label"
  printf '%s<string>daemon</string></array>\n' "$unit_program"
  printf '<key>EnvironmentVariables</key><dict>'
  for pair in $hive_env; do printf '<key>%s</key><string>%s</string>' "${pair%%=*}" "${pair#*=}"; done
  printf '</dict>\n<key>RunAtLoad</key><true/><key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>\n</dict></plist>\n'
}

start_service() {
  if [ "$os" = macos ]; then
    launchctl bootout "gui/$(id -u)/$label" 2>/dev/null || :
    launchctl bootstrap "gui/$(id -u)" "$unit" 2>/dev/null ||
      say "note The service is written, and starts at the next login; now: launchctl bootstrap gui/$(id -u) $unit"
    return 0
  fi
  user=$(id -un)
  if user_systemctl daemon-reload && user_systemctl enable rbee-hive.service && user_systemctl restart rbee-hive.service; then
    loginctl enable-linger "$user" >/dev/null 2>&1 </dev/null ||
      say "note The hive ends with the last login of $user; type there: sudo loginctl enable-linger $user"
  else
    say "note The service is written, and no systemd of $user answers. Type there: sudo loginctl enable-linger $user && systemctl --user enable --now rbee-hive"
  fi
}

user_systemctl() {
  XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)} systemctl --user "$@" >/dev/null 2>&1 </dev/null
}

restart_service() {
  if [ "$os" = macos ]; then
    launchctl kickstart -k "gui/$(id -u)/$label" >/dev/null 2>&1 || :
  else
    user_systemctl try-restart rbee-hive.service || :
  fi
}

remove_service() {
  if [ "$os" = macos ]; then
    launchctl bootout "gui/$(id -u)/$label" 2>/dev/null || :
  else
    user_systemctl disable --now rbee-hive.service || :
  fi
  rm -f "$unit"
  [ "$os" = macos ] || user_systemctl daemon-reload || :
}

# ---------------------------------------------------------------- taking it away

uninstall() {
  look
  if [ ! -e "$versions" ] && [ ! -h "$prefix/current" ]; then
    [ ! -d "$prefix" ] || [ -z "$(ls -A "$prefix")" ] || fail INSTALL_FAILED "Cannot uninstall: $prefix holds nothing of rbee's"
    say "note Nothing of rbee was in $prefix"
  else
    [ ! -e "$versions" ] || is_ours || fail INSTALL_FAILED "Cannot uninstall: $versions is not rbee's"
    [ -z "$problem" ] || fail INSTALL_PATH_NOT_WRITABLE "Cannot uninstall from $prefix: $problem"
    [ "$purge" = no ] || check_purge
    [ "$service_is" != yes ] || remove_service
    refuse_running
    [ ! -d "$versions" ] || { lock && sweep; }
    [ -z "$current" ] || rm -f "$prefix/current"
    for folder in "$versions"/[0-9]*; do [ ! -d "$folder" ] || { mv "$folder" "$versions/.old.$$" && rm -rf "$versions/.old.$$"; }; done
    rm -rf "$incoming"
    rm -f "$versions/.build.log"
    [ -z "$my_lock" ] || { rm -f "$my_lock" && my_lock=; }
    rm -f "$versions/.rbee"
    rmdir "$versions" 2>/dev/null || :
  fi
  [ "$prefix" = "${HOME:-}" ] || [ ! -d "$prefix" ] || rmdir "$prefix" 2>/dev/null ||
    say "note $prefix stays: other files are in it"
  data_folders
  if [ "$purge" = yes ]; then purge_data; else
    for folder in "$data" "$models"; do [ ! -e "$folder" ] || say "note $folder stays; --purge removes it"; done
  fi
  [ ! -e "$config" ] || say "note $config stays: it is yours"
  say "done uninstall"
}

# A stopped service takes a moment to end.
refuse_running() {
  waited=0
  while :; do
    found=$(running | head -n 1)
    [ -n "$found" ] || return 0
    waited=$((waited + 1))
    { [ "$service_is" = yes ] && [ "$waited" -le 20 ]; } || break
    sleep 1
  done
  fail HIVE_RUNNING "Cannot uninstall from $prefix: ${found#* } runs (process ${found%% *})"
}

data_folders() {
  data=${RBEE_HOME:-${HOME:-}/.rbee}
  models=${XDG_DATA_HOME:-${HOME:-}/.local/share}/rbee
  config=${XDG_CONFIG_HOME:-${HOME:-}/.config}/rbee/config.toml
}

# Only folders that show themselves as rbee's are removed.
check_purge() {
  data_folders
  case $data in /*/* | '') ;; *) fail INSTALL_FAILED "Cannot remove the data in $data: it is no folder of rbee's own" ;; esac
  [ "$data" != "${HOME:-}" ] || fail INSTALL_FAILED "Cannot remove the data in $data: it is a home"
}

purge_data() {
  # Of a queen on this machine: her registry is not the node's to remove.
  for file in hive.token hive.json models.db models.db-wal models.db-shm models.db.lock calibration.json speeds.json logs workers \
    models partial; do
    rm -rf "${data:?}/$file"
  done
  if [ -e "$data/beehives.db" ] || [ -e "$data/queen.token" ]; then
    say "note $data stays: a queen of this machine has her registry there"
  else
    rmdir "$data" 2>/dev/null || [ ! -e "$data" ] || say "note $data stays: other files are in it"
  fi
  rm -rf "${models:?}/models"
  rmdir "$models" 2>/dev/null || :
}

# ---------------------------------------------------------------- begin

# All of the text is read before the first step: a text that was cut off does nothing.
main() {
  # The text may have come by stdin, and `receive` takes its file from there: no program may read of it.
  exec 3<&0 </dev/null
  trap clean_up EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 141' PIPE
  read_arguments "$@"
  [ "$attended" = no ] || [ "$action" = receive ] || attend
  case $action in
  inspect) inspect ;;
  receive) receive ;;
  finish) finish ;;
  install) install_here ;;
  source) source_here ;;
  uninstall) uninstall ;;
  *) fail INSTALL_FAILED "Cannot understand the command line: the action $action is unknown" ;;
  esac
}

main "$@"; exit $?
