# Takes one heap dump. Arguments: the way, the process's pid and start, the file (of `signal`: the directory), and what the way needs.
# Prints `written BYTES` each second, so that nobody takes the silence of a long pause for a broken connection; last `file PATH`.
way=$1 pid=$2 started=$3 file=$4
shift 4
umask 077
# The tools are programs of the same runtime, and would load the same agents.
unset JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS NODE_OPTIONS
twentieth() { shift 19 && echo "$1"; }
same_process() {
  stat=$(cat "/proc/$pid/stat" 2>/dev/null) && [ "$(twentieth ${stat##*) })" = "$started" ]
}
size() { [ -f "$1" ] && wc -c <"$1" || echo 0; }
follow() {
  while kill -0 "$1" 2>/dev/null; do
    sleep 1
    echo "written $(size "$file")"
  done
  wait "$1"
}
same_process || { echo "process $pid is not the one of the plan any more" >&2; exit 64; }
case $way in
  jcmd) "$1" "$pid" GC.heap_dump "$file" 2>&1 & follow $! ;;
  jmap) "$1" "-dump:live,format=b,file=$file" "$pid" 2>&1 & follow $! ;;
  histogram) "$1" "$pid" GC.class_histogram >"$file" & follow $! ;;
  inspector)
    IFS= read -r code # from stdin, as one line: it is too long for the address of a request
    "$1" -e "$code" "$pid" "$file" "$2" &
    follow $!
    ;;
  signal)
    directory=$file
    before=$(ls "$directory")
    kill -USR2 "$pid" || exit 65
    file= last=-1
    while same_process; do
      sleep 1
      for found in "$directory"/Heap.*."$pid".*.heapsnapshot; do
        case "$before" in *"${found##*/}"*) ;; *) [ -f "$found" ] && file=$found ;; esac
      done
      now=$(size "$file")
      echo "written $now"
      [ "$now" -gt 0 ] && [ "$now" = "$last" ] && [ "$(tail -c 1 "$file")" = "}" ] && break
      last=$now
    done
    ;;
esac || exit 66
same_process || { echo "process $pid has ended meanwhile" >&2; exit 67; }
[ "$(size "$file")" -gt 0 ] || { echo "no dump was written" >&2; exit 68; }
echo "file $file"
