#!/usr/bin/env bash
# Fuzzes a fresh Orchflow with Schemathesis, over every operation of /openapi.json and chains of them along its links (a run
# is started, then its tasks are answered): no 5xx, no answer that is not documented. Ends with 1 when it finds anything.
# schemathesis.toml has what it must know of this API besides.
# Needs `schemathesis` on the PATH (pip install schemathesis); further arguments go to it.
#   npm run fuzz                            npm run fuzz -- --max-examples 500 --seed 7
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/node_modules/.bin:$PATH"

work=$(mktemp -d)
export PORT="${PORT:-8765}" ORCHFLOW_DATA_DIR="$work/data" HOST=127.0.0.1
# It also sends wrong keys, of which an address may send so many a minute.
export FAILED_KEYS_LIMIT_PER_MINUTE=0 OAUTH_LIMIT_PER_MINUTE=0
url="http://127.0.0.1:$PORT"

node src/dev.ts >"$work/log" 2>&1 &
orchflow=$!
trap 'kill -TERM $orchflow 2>/dev/null; wait $orchflow || true; rm -rf "$work"' EXIT
for _ in $(seq 600); do
  grep -q 'Orchflow is ready' "$work/log" && break
  kill -0 $orchflow || { cat "$work/log"; exit 1; }
  sleep 1
done

key=$(curl -sf "$url/api/v1/auth/register" -H 'Content-Type: application/json' \
  -d '{"name": "Fuzz", "email": "fuzz@example.com"}' | sed 's/.*"api_key":"\([^"]*\)".*/\1/')
OWN_KEY_ID=$(curl -sf "$url/api/v1/keys" -H "X-API-Key: $key" | sed 's/.*"key_id":"\([^"]*\)".*/\1/')
export OWN_KEY_ID

config="$PWD/test/schemathesis.toml"
export SCHEMATHESIS_HOOKS="$PWD/test/schemathesis_hooks.py"
cd "$work" # it keeps its examples beside it
code=0
schemathesis --config-file "$config" run "$url/openapi.json" -H "X-API-Key: $key" "$@" || code=$?
curl -sf "$url/api/v1/runs" -H "X-API-Key: $key" >/dev/null || { echo 'Its key was taken away meanwhile: little was tried.'; exit 1; }
exit "$code"
