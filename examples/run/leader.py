# tenure run nightly -- python3 examples/run/leader.py
# This runs only while it leads; SIGTERM asks it to end, and SIGKILL follows.
import os, signal, threading

ends = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ends.set())
lock, term = os.environ["TENURE_LOCK"], os.environ["TENURE_TERM"]
print(f"leading in term {term} of {lock} as {os.environ['TENURE_IDENTITY']}", flush=True)
while not ends.is_set():
    # Send the token along with what you write: a store that refuses older ones is safe from a
    # leader that does not know yet that it is none.
    print(f"working with token {os.environ['TENURE_TOKEN']}", flush=True)
    ends.wait(1)
print("leaving", flush=True)
