# Prints the end of a log of the user who logs in here; the queen sends this script over SSH (remote_log.ts).
#
#   sh -s -- NAME LINES FOLLOW      NAME is `hive` or a worker's id, FOLLOW is yes or no
#
# First a line `rbee-log: ok`, or `rbee-log: none`; then the log as it stands. Following ends with standard input.
set -eu
main() {
  name=$1 lines=$2 follow=$3
  folder=${RBEE_HOME:-$HOME/.rbee}/logs
  file=$folder/$name.log
  # A hive that could not start has written to no other file.
  if [ "$name" = hive ] && [ ! -s "$file" ]; then file=$folder/hive.boot.log; fi
  if [ ! -r "$file" ]; then echo "rbee-log: none"; return 0; fi
  echo "rbee-log: ok"
  if [ "$follow" = no ]; then
    for piece in "$file.2" "$file.1" "$file"; do
      [ ! -r "$piece" ] || cat "$piece"
    done | tail -n "$lines"
    return 0
  fi
  missing=$((lines - $(wc -l <"$file")))
  if [ "$missing" -gt 0 ]; then
    for piece in "$file.2" "$file.1"; do
      [ ! -r "$piece" ] || cat "$piece"
    done | tail -n "$missing"
  fi
  # The shell gives what runs in the background no standard input, so another name for it is kept.
  exec 3<&0
  tail -n "$lines" -F "$file" 2>/dev/null 3<&- &
  tail=$!
  # The end of standard input says that the other side is gone; nothing else would tell `tail`.
  cat <&3 >/dev/null || :
  kill "$tail" 2>/dev/null || :
}
main "$@"
exit
