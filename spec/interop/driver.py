"""Runs statements that a spec sends, one JSON line each, and answers with one JSON line."""

import json
import sys
import traceback
from datetime import datetime, timedelta, timezone

import redis
import rq
from rq import Callback, Queue, Repeat, Retry, SimpleWorker, Worker
from rq.command import send_kill_horse_command, send_shutdown_command, send_stop_job_command
from rq.job import Dependency, Job, JobStatus
from rq.group import Group
from rq.intermediate_queue import IntermediateQueue
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
    clean_registries,
)
from rq.results import Result
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer
from rq.suspension import is_suspended, resume, suspend
from rq.utils import utcformat

c = redis.Redis(port=int(sys.argv[1]))
answers = sys.stdout
# whatever RQ prints must not stand between the answers
sys.stdout = sys.stderr


def queue(name='default', **options):
    return Queue(name, connection=c, serializer=JSONSerializer, **options)


def job(id):
    return Job.fetch(id, connection=c, serializer=JSONSerializer)


def work(*names, **options):
    """Runs the jobs of these queues in this process until they are empty."""
    worker = SimpleWorker([queue(name) for name in names], connection=c, serializer=JSONSerializer)
    worker.log_result_lifespan = False
    return worker.work(burst=True, logging_level='ERROR', **options)


def time_of(at):
    return utcformat(at) if at else ''


def view(it):
    """A job's fields as RQ understands them; times in the form in which they are stored."""
    return dict(id=it.id, status=it.get_status(refresh=False).value, origin=it.origin, func=it.func_name, args=it.args,
        kwargs=it.kwargs, description=it.description, meta=it.meta, timeout=it.timeout, ttl=it.ttl,
        result_ttl=it.result_ttl, failure_ttl=it.failure_ttl, worker=it.worker_name, created_at=time_of(it.created_at),
        enqueued_at=time_of(it.enqueued_at), started_at=time_of(it.started_at), ended_at=time_of(it.ended_at))


namespace = dict(globals())
for line in sys.stdin:
    asked = json.loads(line)
    namespace.update(asked['values'])
    namespace['out'] = None
    try:
        exec(asked['code'], namespace)
        answer = {'out': namespace['out']}
        text = json.dumps(answer, default=str)
    except BaseException:
        text = json.dumps({'error': traceback.format_exc()})
    answers.write(text + '\n')
    answers.flush()
