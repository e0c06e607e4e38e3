#!/usr/bin/env bash
# bubblewrap 0.8.0 (Debian 12): the CPU time of what runs in it, as the parent that waited for it is told by getrusage.
#
# bwrap stays outside until the program has ended, hands on its exit code, and is waited for; so one would take the program's CPU time for
# that of a child of a child. With a PID namespace (--unshare-pid, and so --unshare-all) there is none of it: the process outside takes the exit code
# from an eventfd and ends without having waited for the one inside, whose time then counts for nobody. A program that takes
# a second of CPU:
#
#   alone: 1
#   in bwrap: 1
#   in bwrap --unshare-pid: 0
#   in bwrap --unshare-pid --as-pid-1: 1
#
# With --as-pid-1 there is no process between them that waits for the others, and bwrap has no eventfd to read. The guess was a second in each line. Whoever
# bills or bounds code in a jail by RUSAGE_CHILDREN, times() or GNU time counts nothing; a cgroup, or /proc while it runs, counts it.
set -euo pipefail
command -v bwrap >/dev/null && command -v python3 >/dev/null || { echo 'bubblewrap and Python are not here'; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >burn.py <<'PY'
import time
while time.process_time() < 1:
    pass
PY
cat >measure.py <<'PY'
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(round(used.ru_utime + used.ru_stime))
PY
jail=(bwrap --ro-bind / / --dev /dev --proc /proc)
"${jail[@]}" --unshare-pid true || { echo 'there are no namespaces for us here'; exit 0; }
{
  echo "alone: $(python3 measure.py python3 burn.py)"
  echo "in bwrap: $(python3 measure.py "${jail[@]}" python3 burn.py)"
  echo "in bwrap --unshare-pid: $(python3 measure.py "${jail[@]}" --unshare-pid python3 burn.py)"
  echo "in bwrap --unshare-pid --as-pid-1: $(python3 measure.py "${jail[@]}" --unshare-pid --as-pid-1 python3 burn.py)"
} | tee seen
diff seen - <<'SEEN'
alone: 1
in bwrap: 1
in bwrap --unshare-pid: 0
in bwrap --unshare-pid --as-pid-1: 1
SEEN
