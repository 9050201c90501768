#!/usr/bin/env python3
"""Works on a service over webadmin's HTTP API with nothing but Python 3.8. Start it as often as you like; SIGTERM ends it after what it has in hand:
    WEBADMIN_URL=http://127.0.0.1:8080 WEBADMIN_TOKEN=… python3 worker.py orders"""
import http.client, json, os, signal, socket, sys, threading, time, urllib.error, urllib.parse, urllib.request

URL, TOKEN = os.environ["WEBADMIN_URL"].rstrip("/"), os.environ["WEBADMIN_TOKEN"]
LEASE = float(os.environ.get("WEBADMIN_LEASE", "30"))  # seconds; if we die, another worker has it after that
AWAY = (OSError, http.client.HTTPException)  # no answer, or (HTTPError) one that says no
stop = threading.Event()


def handle(payload, cid):
    """Does the work and returns the result. It may run twice. If it raises, it runs again later. For a code: call("translate", 5, cid, …)"""
    return {"total": sum(line["price"] * line["count"] for line in payload["lines"])}


def call(path, patience, cid="", **body):
    """Sends a call, for patience seconds again and again until it is taken or refused. What it meets and changes leads back to cid."""
    headers = {"Authorization": "Bearer " + TOKEN, "X-Correlation-Id": cid}
    request = urllib.request.Request(f"{URL}/api/v1/{path}", json.dumps(body).encode(), headers)
    end = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or "null")
        except AWAY as e:
            if isinstance(e, urllib.error.HTTPError) and e.code < 500 or time.monotonic() > end:
                raise
            time.sleep(0.5)


def work(cid, lease, payload):
    path, done = f"broker/invocations/{cid}/", threading.Event()

    def extend():  # while handle takes its time
        while not done.wait(LEASE / 3):
            call(path + "extend", LEASE / 3, lease=lease)

    threading.Thread(target=extend, daemon=True).start()
    try:
        verb, outcome = "ack", {"result": handle(payload, cid)}
    except Exception as e:
        verb, outcome = "nack", {"error": f"{type(e).__name__}: {e}"}
    done.set()
    try:
        call(path + verb, LEASE, lease=lease, **outcome)
    except AWAY as e:  # 409: the lease was lost, or this is done already and only the answer was lost
        print(f"{verb} {cid}: {e}", file=sys.stderr)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: stop.set()), signal.signal(signal.SIGTERM, lambda *_: stop.set())
    service, me = urllib.parse.quote(sys.argv[1], safe=""), f"{socket.gethostname()}-{os.getpid()}"
    while not stop.is_set():
        try:
            for i in call(f"broker/services/{service}/receive", 0, wait_ms=5000, lease_ms=int(LEASE * 1000), worker=me)["invocations"]:
                work(i["cid"], i["lease"], i["payload"])
        except AWAY as e:
            print(f"no work: {e}", file=sys.stderr)
            stop.wait(1)
