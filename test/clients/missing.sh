# What every run.sh begins with: it stops at the first fault, and says so when a tool is missing (77, as in Automake).
set -euo pipefail

skip() {
  echo "$1"
  exit 77
}

need() {
  command -v "$1" >/dev/null || skip "$1 is missing"
}
