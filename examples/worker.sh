#!/bin/sh
# A worker for Headrace in shell: curl, and python3 to read JSON. HEADRACE_URL, HEADRACE_KEY; sh worker.sh [QUEUE]
# It takes tasks of the type `shout` one at a time and answers with their text in capitals.
set -eu
url=${HEADRACE_URL:-http://127.0.0.1:8000}
queue=${1:-default}

post() {  # PATH BODY
  curl -sS --fail-with-body -H "Authorization: Bearer $HEADRACE_KEY" -H "Content-Type: application/json" "$url$1" -d "$2"
}
field() {  # JSON on stdin; a Python expression of `it`
  python3 -c 'import json, sys; it = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}

while :; do
  leased=$(post "/v1/queues/$queue/lease" '{"max": 1, "lease_seconds": 60, "wait": "20s", "types": ["shout"]}') || {
    sleep 2
    continue
  }
  [ "$(printf %s "$leased" | field 'len(it["tasks"])')" = 1 ] || continue
  id=$(printf %s "$leased" | field 'it["tasks"][0]["id"]')
  lease=$(printf %s "$leased" | field 'it["tasks"][0]["lease"]')
  answer=$(printf %s "$leased" | field 'json.dumps(it["tasks"][0]["args"]["text"].upper())')
  post "/v1/tasks/$id/complete" "{\"lease\": \"$lease\", \"result\": $answer}" >/dev/null || echo "$id: not ours any more" >&2
done
