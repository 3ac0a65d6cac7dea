#!/bin/sh
# tenure sidecar nightly & examples/sidecar/leader.sh
# Before each step it asks whether it leads. The question may take 1 s and the step 1 s, so what is
# answered has to hold for both.
url=${TENURE_SIDECAR:-http://127.0.0.1:4040}
while :; do
  if said=$(curl -fs --max-time 1 "$url/leader"); then
    valid=$(printf %s "$said" | sed 's/.*"valid_for_ms":\([0-9]*\).*/\1/')
    token=$(printf %s "$said" | sed 's/.*"token":"\([^"]*\)".*/\1/')
    # Send the token along with what the step writes.
    [ "$valid" -lt 2000 ] || timeout -s KILL 1 echo "working with token $token"
  fi
  sleep 1
done
