# tenure sidecar nightly & python3 examples/sidecar/leader.py
# Before each step it asks whether it leads, on a clock that also counts while the machine sleeps.
import json, os, time, urllib.request

url = os.environ.get("TENURE_SIDECAR", "http://127.0.0.1:4040") + "/leader"
now = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
while True:
    asked = now()  # What is answered counts from here, however long the answer takes.
    try:
        said = json.load(urllib.request.urlopen(url, timeout=1))
        until = asked + said["valid_for_ms"] / 1000
        if now() < until:  # The step has to be over by then; send the token along.
            print(f"working with token {said['token']}", flush=True)
    except OSError:
        pass  # 503: it does not lead. No answer: nobody knows.
    time.sleep(1)
