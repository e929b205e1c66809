# Looks around in a container, and changes nothing: the processes of a known runtime, what can be written, and with which tools.
# Prints a line for each fact, its parts between tabs. Arguments: directories to look at besides the usual ones.
# Of command lines and environments only known options are told: the rest may hold secrets, and stays in the container.
t=$(printf '\t')
options='--heapsnapshot-signal=.*|--inspect(-brk|-wait)?(=.*)?|--inspect-port=.*|--debug-port=.*|--disable-sigusr1|--diagnostic-dir=.*|-XX:[+]DisableAttachMechanism'
twentieth() { shift 19 && echo "$1"; }
look_at() {
  [ -d "$1" ] && [ -w "$1" ] && df -Pk "$1" 2>/dev/null | { read -r _ && read -r _ _ _ free _ && echo "directory$t$1$t$free"; }
}
for tool in tail dd cat base64 od sha256sum md5sum cksum jcmd jmap; do
  path=$(command -v "$tool" 2>/dev/null) && echo "tool$t$tool$t$path"
done
for p in /proc/[0-9]*; do
  exe=$(readlink "$p/exe" 2>/dev/null) || continue
  case ${exe##*/} in node | nodejs | java | python*) ;; *) continue ;; esac
  # Where processes of others can be seen (hostPID, a shared process namespace), ours have our file system and our name.
  [ "$(readlink "$p/ns/mnt" 2>/dev/null)" = "$(readlink /proc/self/ns/mnt 2>/dev/null)" ] || continue
  if [ -n "$HOSTNAME" ]; then
    tr '\0' '\n' <"$p/environ" 2>/dev/null | grep -qxF "HOSTNAME=$HOSTNAME" || continue
  fi
  stat=$(cat "$p/stat" 2>/dev/null) || continue
  start=$(twentieth ${stat##*) })
  caught= resident=
  while read -r key value _; do
    case $key in SigCgt:) caught=$value ;; VmRSS:) resident=$value ;; esac
  done <"$p/status"
  look_at "$(readlink "$p/cwd")"
  echo "process$t${p#/proc/}$t$start$t$exe$t${caught:-0}$t${resident:-0}$t$(readlink "$p/cwd")"
  {
    tr '\0' '\n' <"$p/cmdline"
    tr '\0' '\n' <"$p/environ" | sed -n 's/^NODE_OPTIONS=//p; s/^JAVA_TOOL_OPTIONS=//p; s/^JDK_JAVA_OPTIONS=//p' | tr ' ' '\n'
  } 2>/dev/null | grep -E "^($options)\$" | while IFS= read -r option; do echo "option$t${p#/proc/}$t$option"; done
done
for directory in "$@" "$TMPDIR" /tmp /var/tmp; do look_at "$directory"; done
while read -r _ point type _; do echo "mount$t$type$t$point"; done </proc/mounts
exit 0
