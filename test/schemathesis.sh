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

# What is called, and asked about, is there: agents of two organisations, one of them in two versions, one that is code, and one that
# calls others. They are public, so that nothing takes them away in passing.
text='{"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}'
publish() {
  curl -sf "$url/agents" -H "X-API-Key: $1" -H 'Content-Type: application/json' -d "{\"is_public\": true, \"prompt\": \"You read.\", $2}"
}
org_of() { curl -sf "$url/org" -H "X-API-Key: $1" | sed 's/.*"slug":"\([^"]*\)".*/\1/'; }
other=$(curl -sf "$url/api/v1/auth/register" -H 'Content-Type: application/json' \
  -d '{"name": "Other", "email": "other@example.com"}' | sed 's/.*"api_key":"\([^"]*\)".*/\1/')
ORG=$(org_of "$key") OTHER_ORG=$(org_of "$other")
export ORG OTHER_ORG
{
  publish "$other" '"name": "scanner", "type": "prompt"'
  publish "$key" '"name": "scanner", "type": "prompt"'
  publish "$key" '"name": "scanner", "type": "prompt", "description": "Reads."'
  publish "$key" "\"name\": \"reader\", \"type\": \"prompt\", \"input_schema\": $text"
  publish "$key" "\"name\": \"lead\", \"type\": \"agent\", \"manifest\": {\"dependencies\": [{\"id\": \"$ORG/scanner\", \"version\": \"v1\"}]}"
} >"$work/published"
code=$(publish "$key" '"name": "coder", "type": "tool"' | sed 's/.*"agent":{"id":"\([^"]*\)".*/\1/')
echo 'import sys; print("{\"read\": %d}" % len(sys.stdin.read()))' >"$work/main.py"
(cd "$work" && python3 -m zipfile -c bundle.zip main.py)
curl -sf "$url/agents/$code/upload" -H "X-API-Key: $key" -H 'X-Entrypoint: main.py' -F "file=@$work/bundle.zip;type=application/zip" >>"$work/published"
# One that is asked about by its id, and changed.
SPARE=$(publish "$key" '"name": "spare", "type": "prompt"' | sed 's/.*"agent":{"id":"\([^"]*\)".*/\1/')
WORKSPACE=$(curl -sf "$url/org" -H "X-API-Key: $key" | sed 's/.*"id":"\([^"]*\)".*/\1/')
export SPARE WORKSPACE

config="$PWD/test/schemathesis.toml"
export SCHEMATHESIS_HOOKS="$PWD/test/schemathesis_hooks.py"
export CALLED="$work/called"
touch "$CALLED"
cd "$work" # it keeps its examples beside it
code=0
FUZZ_KEY="$key" schemathesis --config-file "$config" run "$url/openapi.json" "$@" || code=$?
curl -sf "$url/api/v1/runs" -H "X-API-Key: $key" >/dev/null || { echo 'Its key was taken away meanwhile: little was tried.'; exit 1; }
# Little was tried where no agent has answered: of each, with its engine.
for agent in scanner reader lead coder; do
  grep -q "^$agent 200$" "$CALLED" || { echo "No call of $agent has come to anything: $(sort "$CALLED" | uniq -c)"; code=1; }
done
exit "$code"
