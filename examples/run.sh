#!/bin/sh
# One run with curl and sed: it is started, asks for what only you know, is answered, watched, and read.
# ORCHFLOW_URL is http://localhost:8000 unless given; without ORCHFLOW_API_KEY a new account is registered.
set -eu
URL=${ORCHFLOW_URL:-http://localhost:8000}/api/v1
KEY=${ORCHFLOW_API_KEY:-}
me=$(date +%s)-$$ # new each time
requests=0

fail() {
  echo "$1" >&2
  exit 1
}

# One request. Its answer is left in $answer and not printed, because in a $(call …) `fail` would end only the subshell.
# A server that is busy (429) or just starting (503) is asked again, and so is one where our first try is still at work
# (IN_FLIGHT). The key lets nothing be done twice.
call() {
  path=$1
  shift
  requests=$((requests + 1))
  for pause in 0 1 2 4 8 16; do
    sleep $pause
    answer=$(curl -sS --fail-with-body --max-time 60 "$URL$path" -H "X-API-Key: $KEY" \
      -H "Idempotency-Key: $me-$requests" -H 'Content-Type: application/json' "$@") && return
    case $answer in *'"status":429'* | *'"status":503'* | *_IN_FLIGHT*) ;; *) break ;; esac
  done
  fail "$path: $answer"
}

# A text of the answer, by its name. Where jq is at hand, it does this better: jq -r .final_output
text() {
  printf '%s\n' "$answer" | sed -nE 's/.*"'"$1"'":"(([^"\\]|\\.)*)".*/\1/p' | sed 's/\\"/"/g'
}

# Waits until the run has ended or waits for a person, five minutes at most: `wait` holds each answer back for 30 seconds.
settle() {
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    call "/runs/$RUN?wait=30"
    # The run's own status follows its id; the later ones are those of its tasks.
    status=$(printf '%s\n' "$answer" | sed -nE 's/^\{"run_id":"[^"]*","status":"([^"]*)".*/\1/p')
    case $status in pending | running) ;; *) return ;; esac
  done
}

if [ -z "$KEY" ]; then
  call /auth/register -d '{"name": "Your Name", "email": "you+'"$me"'@example.com"}'
  KEY=$(text api_key)
  echo 'Registered a new account. Set ORCHFLOW_API_KEY to use yours.'
fi

call /runs -d '{
  "task": "Research 5 competing channels, define our positioning, and draft a 30-day content plan.",
  "agents": [{ "name": "research" }, { "name": "analyst" }, { "name": "writer" }],
  "ask_me_about": ["brand voice", "target audience"]
}'
RUN=$(text run_id)
echo "Started $RUN"

settle
case $answer in
  *'"waiting_tasks":["T1"]'*) echo 'T1 waits for the brand voice and the target audience' ;;
  *) fail "T1 does not wait: the run is $status: $(text error)" ;;
esac
call "/runs/$RUN/tasks/T1/complete" -d '{"output": "Practical and founder-friendly, for solo freelancers."}'
echo 'Answered T1. What happens in the run:'

# The stream begins with the first event of the run, and ends when the run does.
curl -sSN --max-time 300 "$URL/runs/$RUN/events" -H "X-API-Key: $KEY" |
  sed -nE 's/^data: .*"task_id":"([^"]*)".*"type":"([a-z.]+)","created_at".*/  \1 \2/p'

settle
[ "$status" = completed ] || fail "The run is $status: $(text error)"
printf 'Completed. The result:\n\n%b\n' "$(text final_output)"
