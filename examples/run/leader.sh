#!/bin/sh
# tenure run nightly -- examples/run/leader.sh
# This runs only while it leads; SIGTERM asks it to end, and SIGKILL follows.
trap 'echo "leaving"; exit 0' TERM
echo "leading in term $TENURE_TERM of $TENURE_LOCK as $TENURE_IDENTITY"
while :; do
  # Send the token along with what you write: a store that refuses older ones is safe from a
  # leader that does not know yet that it is none.
  echo "working with token $TENURE_TOKEN"
  sleep 1 &
  wait $!
done
