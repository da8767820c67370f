"""Has this RQ write each kind of thing it writes, and prints all keys as they are then: the golden vectors.

    .venv/rq-<version>/bin/python spec/interop/vectors/dump.py <port> > spec/interop/vectors/rq-<version>.json

The Redis on that port must be empty, and is empty again afterwards. Ids are the same in each run. Times, and what names
the machine, are as they were written: the spec compares their form. `at` is the moment of the dump, in unix seconds; a
TTL is in milliseconds, null for none. Bytes that are not text stand as {"base64": ...}.
"""

import base64
import json
import os
import random
import re
import socket
import sys
import threading
import time
import traceback
import uuid
from datetime import datetime, timedelta, timezone

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True

# the same ids each time, and nothing about the machine
ids = random.Random(0)
uuid.uuid4 = lambda: uuid.UUID(int=ids.getrandbits(128), version=4)
socket.gethostname = lambda: 'host.example'
format_exception = traceback.format_exception
traceback.format_exception = lambda *args, **options: [
    re.sub(r'File "[^"]*/', 'File "', part) for part in format_exception(*args, **options)
]

import redis
import rq
from rq import Callback, Queue, Repeat, Retry, SimpleWorker, Worker
from rq.command import send_stop_job_command
from rq.group import Group
from rq.intermediate_queue import IntermediateQueue
from rq.job import Dependency, Job
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer
from rq.suspension import suspend

c = redis.Redis(port=int(sys.argv[1]))
scenarios = {}
q = Queue('vectors', connection=c, serializer=JSONSerializer)


def text(value):
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {'base64': base64.b64encode(value).decode()}


def score(value):
    return value if abs(value) != float('inf') else 'inf'


def value_of(key, kind):
    if kind == 'string':
        return text(c.get(key))
    if kind == 'list':
        return [text(member) for member in c.lrange(key, 0, -1)]
    if kind == 'set':
        return sorted(text(member) for member in c.smembers(key))
    if kind == 'zset':
        return [[text(member), score(at)] for member, at in c.zrange(key, 0, -1, withscores=True)]
    if kind == 'hash':
        return {text(name): text(value) for name, value in sorted(c.hgetall(key).items())}
    return [[text(id), {text(n): text(v) for n, v in sorted(entry.items())}] for id, entry in c.xrange(key)]


def dump(name):
    """Notes all keys there are under this name."""
    keys = {}
    for key in sorted(c.keys()):
        kind = c.type(key).decode()
        ttl = c.pttl(key)
        keys[key.decode()] = {'type': kind, 'ttl': ttl if ttl >= 0 else None, 'value': value_of(key, kind)}
    scenarios[name] = {'at': time.time(), 'keys': keys}


def take(name):
    dump(name)
    c.flushall()


def work(max_jobs=1, kind=SimpleWorker):
    worker = kind([q], name='worker', connection=c, serializer=JSONSerializer)
    worker.work(burst=True, logging_level='CRITICAL', max_jobs=max_jobs)


def queued():
    q.enqueue('tasks.add', 1, 2, job_id='queued')
    take('queued')


def options():
    q.enqueue('tasks.add', 1, 2, job_id='behind')
    q.enqueue(
        'tasks.echo',
        args=('é', [], 1.5),
        kwargs={'deep': {'list': [None, True]}},
        job_id='options',
        job_timeout=30,
        result_ttl=60,
        failure_ttl=70,
        ttl=80,
        description='All of them',
        meta={'for': 'you', 'n': 1},
        retry=Retry(max=3, interval=[10, 20], enqueue_at_front=True),
        repeat=Repeat(times=2, interval=[50, 60]),
        on_success=Callback('tasks.on_success', timeout=5),
        on_failure=Callback('tasks.on_failure', timeout=6),
        on_stopped=Callback('tasks.on_stopped', timeout=7),
        at_front=True,
    )
    take('options')


def finished():
    q.enqueue('tasks.add', 1, 2, job_id='finished')
    q.enqueue('tasks.echo', 'ü', job_id='for-ever', result_ttl=-1, meta={'kept': True})
    q.enqueue('tasks.sleep', 0, job_id='not-kept', result_ttl=0)
    work(3)
    take('finished')


def failed():
    q.enqueue('tasks.fail', 'ouch ü', job_id='failed')
    q.enqueue('tasks.fail', 'soon gone', job_id='short', failure_ttl=60)
    work(2)
    take('failed')


def started_and_stopped():
    job = q.enqueue('tasks.sleep', 30, job_id='started')

    def stop():
        while job.get_status() != 'started':
            time.sleep(0.01)
        dump('started')
        send_stop_job_command(c, 'started', serializer=JSONSerializer)

    threading.Thread(target=stop).start()
    work(kind=Worker)
    take('stopped')


def canceled():
    q.enqueue('tasks.add', 1, 2, job_id='canceled').cancel()
    take('canceled')


def retried():
    q.enqueue('tasks.fail', 'once', job_id='at-once', retry=Retry(max=2))
    work()
    take('retried')
    q.enqueue('tasks.fail', 'once', job_id='later', retry=Retry(max=2, interval=[600, 1200]))
    q.enqueue('tasks.again', 600, job_id='asked', retry=None)
    work(2)
    take('retried-later')


def scheduled():
    q.enqueue_in(timedelta(minutes=10), 'tasks.add', 1, 2, job_id='in')
    q.enqueue_at(datetime(2099, 12, 31, 23, 59, 59, tzinfo=timezone.utc), 'tasks.add', 3, 4, job_id='at')
    take('scheduled')


def deferred():
    first = q.enqueue('tasks.add', 1, 2, job_id='first')
    second = q.enqueue('tasks.add', 3, 4, job_id='second', depends_on=first)
    q.enqueue('tasks.add', 5, 6, job_id='both', depends_on=[first, second])
    q.enqueue('tasks.add', 7, 8, job_id='anyway', depends_on=Dependency([first], allow_failure=True, enqueue_at_front=True))
    take('deferred')


def repeated():
    q.enqueue('tasks.add', 1, 2, job_id='repeated', repeat=Repeat(times=2, interval=600))
    work()
    take('repeated')


def grouped():
    prepared = [Queue.prepare_data('tasks.add', (n, n), job_id=f'member-{n}') for n in (1, 2)]
    Group.create(connection=c, name='vectors').enqueue_many(q, prepared)
    take('group')


def registered():
    worker = Worker([q, Queue('other', connection=c)], name='worker', connection=c, serializer=JSONSerializer)
    worker.register_birth()
    worker.set_state('idle')
    worker.heartbeat()
    take('worker')


def intermediate():
    q.enqueue('tasks.add', 1, 2, job_id='between')
    Queue.dequeue_any([q], None, connection=c, serializer=JSONSerializer)
    IntermediateQueue(q.key, connection=c).set_first_seen('between')
    take('intermediate')


def switches():
    scheduler = RQScheduler([q], connection=c, serializer=JSONSerializer, logging_level='CRITICAL')
    # a uuid of its own making, in some versions with the machine's name before it
    scheduler.acquire_locks()
    suspend(c, ttl=600)
    take('switches')


if c.dbsize() > 0:
    sys.exit('The Redis on this port is not empty.')
for scenario in (
    queued,
    options,
    finished,
    failed,
    started_and_stopped,
    canceled,
    retried,
    scheduled,
    deferred,
    repeated,
    grouped,
    registered,
    intermediate,
    switches,
):
    scenario()
print(json.dumps({'rq': rq.VERSION, 'python': sys.version.split()[0], 'scenarios': scenarios}, indent=1))
