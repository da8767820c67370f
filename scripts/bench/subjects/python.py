"""Python RQ and Celery: the parts of a measure, as child.js and parts/ do them for Node.

Python RQ: JSON serializer, and the worker that its documentation starts, which forks for each job. Celery: Redis as broker
and as result backend, JSON, a prefork pool of as many processes as the concurrency.
"""

import json
import math
import os
import signal
import subprocess
import sys
import time

HERE = os.path.abspath(__file__)
PORT = os.environ.get("BENCH_PORT", "0")
REDIS = f"redis://127.0.0.1:{PORT}/0"


def task(argument):
    return argument


def say(message):
    print(json.dumps(message), flush=True)


class PythonRq:
    def __init__(self):
        import redis
        from rq import Queue
        from rq.serializers import JSONSerializer

        self.queue = Queue("bench", connection=redis.Redis.from_url(REDIS), serializer=JSONSerializer)

    def enqueue(self, argument):
        # by name, as the worker imports this file as a module of another name
        return self.queue.enqueue("python.task", argument)

    def enqueue_many(self, arguments):
        from rq import Queue

        self.queue.enqueue_many([Queue.prepare_data("python.task", (argument,)) for argument in arguments])

    def call(self, argument):
        return self.enqueue(argument).latest_result(timeout=30).return_value

    def queued(self):
        return self.queue.count

    def finished(self):
        return self.queue.connection.zcard(self.queue.finished_job_registry.key)

    def worker(self, concurrency):
        serializer = "rq.serializers.JSONSerializer"
        return ["-m", "rq.cli", "worker", "--quiet", "--url", REDIS, "--serializer", serializer, "bench"]

    def ready(self):
        return self.queue.connection.scard("rq:workers") > 0


class Celery:
    def __init__(self):
        import redis

        self.redis = redis.Redis.from_url(REDIS)
        self.task = celery_app().tasks["python.task"]

    def enqueue(self, argument):
        return self.task.delay(argument)

    def enqueue_many(self, arguments):
        for argument in arguments:
            self.enqueue(argument)

    def call(self, argument):
        return self.enqueue(argument).get(timeout=30)

    def queued(self):
        return self.redis.llen("celery")

    def finished(self):
        return sum(1 for _ in self.redis.scan_iter("celery-task-meta-*", count=1000))

    def worker(self, concurrency):
        pool = ["--pool", "prefork", "--concurrency", str(concurrency)]
        return ["-m", "celery", "-A", "python", "worker", "--loglevel", "ERROR", *pool]

    def ready(self):
        return bool(celery_app().control.ping(timeout=0.2))


def celery_app():
    """Celery finds it in this file by the name `app`, which `__getattr__` gives it."""
    global _app
    if _app is None:
        import celery

        _app = celery.Celery("python", broker=REDIS, backend=REDIS)
        _app.task(name="python.task")(task)
    return _app


_app = None


def __getattr__(name):
    if name == "app":
        return celery_app()
    raise AttributeError(name)


def start_worker(subject, concurrency):
    folder = os.path.dirname(HERE)
    env = {**os.environ, "PYTHONPATH": folder, "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES", "C_FORCE_ROOT": "1"}
    return subprocess.Popen([sys.executable, *subject.worker(concurrency)], env=env, stdout=sys.stderr, cwd=folder)


def stop_worker(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


def fill(subject, order):
    for first in range(0, order["jobs"], 1000):
        subject.enqueue_many(list(range(first + 1, min(first + 1000, order["jobs"]) + 1)))
    return {}


def enqueue(subject, order):
    warm, jobs = order["warm"], order["jobs"]

    def send(first, last):
        if order["mode"] == "bulk":
            for at in range(first, last, 1000):
                subject.enqueue_many(list(range(at + 1, min(at + 1000, last) + 1)))
        else:
            for i in range(first, last):
                subject.enqueue(i + 1)

    send(0, warm)
    began, cpu = time.perf_counter(), time.process_time()
    send(warm, warm + jobs)
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    if subject.queued() != warm + jobs:
        raise SystemExit(f"{subject.queued()} of {warm + jobs} jobs are queued")
    return {"perSecond": jobs / seconds, "cpuPerJob": used * 1e6 / jobs}


def drain(subject, order):
    """The worker is another process, so the jobs that are finished are counted in Redis, some hundred times a second."""
    warm, total = order["warm"], order["warm"] + order["jobs"]
    process = start_worker(subject, order["concurrency"])
    began = at = None
    while True:
        finished = subject.finished()
        if began is None and finished >= warm:
            began, at = time.perf_counter(), finished
        if finished >= total:
            break
        if process.poll() is not None:
            raise SystemExit("The worker has ended")
        time.sleep(0.003)
    seconds = time.perf_counter() - began
    stop_worker(process)
    if subject.finished() != total or subject.queued() != 0:
        raise SystemExit(f"{subject.finished()} of {total} jobs are finished, {subject.queued()} queued")
    return {"perSecond": (total - at) / seconds}


def serve(subject, order):
    process = start_worker(subject, order["concurrency"])
    while not subject.ready():
        time.sleep(0.05)
    say({"ready": True})
    sys.stdin.readline()
    stop_worker(process)
    return {}


def round_trip(subject, order):
    times = []
    for i in range(order["warm"] + order["jobs"]):
        began = time.perf_counter()
        result = subject.call(i)
        times.append((time.perf_counter() - began) * 1000)
        if result != i:
            raise SystemExit(f"The result of job {i} is {result}")
    times = sorted(times[order["warm"] :])

    def quantile(q):
        place = (len(times) - 1) * q
        below, above = times[math.floor(place)], times[math.ceil(place)]
        return below + (above - below) * (place - math.floor(place))

    return {"p50": quantile(0.5), "p99": quantile(0.99)}


PARTS = {"fill": fill, "enqueue": enqueue, "drain": drain, "serve": serve, "roundTrip": round_trip}


def main():
    if sys.argv[1] == "--versions":
        from importlib.metadata import version

        names = {"Python RQ": "rq", "Celery": "celery", "redis-py": "redis"}
        found = {name: version(package) for name, package in names.items()}
        return say({"Python": sys.version.split()[0], **found})
    order = json.loads(sys.argv[1])
    os.environ["BENCH_PORT"] = str(order["port"])
    # once more under the module's own name, which the workers import as well
    sys.path.insert(0, os.path.dirname(HERE))
    import python

    subject = {"python-rq": python.PythonRq, "celery": python.Celery}[order["subject"]]()
    say({"figures": PARTS[order["part"]](subject, order)})


if __name__ == "__main__":
    main()
