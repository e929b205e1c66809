# The same as connect.py, with what a shell finds, for images with neither Python nor Node.js.
export RES_OPTIONS="timeout:1 attempts:1"
tries=$1 limit=$2 budget=$3
shift 3

# Milliseconds; where date knows no nanoseconds (busybox), since the machine's start, to 10 ms.
now() {
  at=$(date +%s%N 2>/dev/null)
  case $at in
    *[!0-9]* | '') read -r up _ </proc/uptime; echo "${up%.*}${up#*.}0" ;;
    *) echo "$((at / 1000000))" ;;
  esac
}

# Connects once: $1 host, $2 port.
if command -v nc >/dev/null 2>&1; then
  try() { timeout "$limit" nc -z -w 1 "$1" "$2" </dev/null >/dev/null 2>&1; }
elif command -v bash >/dev/null 2>&1; then
  try() { timeout "$limit" bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null; }
elif command -v curl >/dev/null 2>&1; then
  try() { [ "$(curl -s -o /dev/null -m "$limit" -w '%{time_connect}' "telnet://$1:$2" </dev/null)" != 0.000000 ]; }
else
  echo "no Python, Node.js, nc, bash or curl in this image" >&2
  exit 127
fi

began=$(now) turn=0 silent=" "
while [ $turn -lt "$tries" ]; do
  turn=$((turn + 1))
  # What starting the program takes, and a connection that stays in the pod.
  since=$(now)
  try 127.0.0.1 9
  printf 'self\t0\t%s\t\n' "$(($(now) - since))"
  for one in "$@"; do
    case $silent in *" $one "*) continue ;; esac
    [ $(($(now) - began)) -le $((${budget%.*} * 1000)) ] || exit 0
    host=${one%:*} port=${one##*:} named= problem=
    if [ "$turn" -eq 1 ] && command -v getent >/dev/null 2>&1; then
      since=$(now)
      getent hosts "$host" >/dev/null 2>&1 || problem="name: not found"
      named=$(($(now) - since))
    fi
    since=$(now)
    [ -n "$problem" ] || try "$host" "$port" || problem="no connection"
    [ -z "$problem" ] || silent="$silent$one "
    printf '%s\t%s\t%s\t%s\n' "$one" "$named" "$(($(now) - since))" "$problem"
  done
done
