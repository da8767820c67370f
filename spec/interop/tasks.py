"""Functions that Python workers run for the interop specs."""

import time

from rq import get_current_job


def add(x, y):
    return x + y


def echo(*args, **kwargs):
    return [list(args), kwargs]


def fail(message='on purpose'):
    raise ValueError(message)


def sleep(seconds):
    time.sleep(seconds)
    return 'slept'


def ledger(file, id, seconds=0):
    with open(file, 'a') as lines:
        lines.write(f'start {id} python\n')
    if seconds:
        time.sleep(seconds)
    with open(file, 'a') as lines:
        lines.write(f'end {id} python\n')
    return id


def meta():
    job = get_current_job()
    job.meta['seen'] = True
    job.save_meta()
    return job.meta


def again(seconds):
    from rq import Retry

    return Retry(max=1, interval=seconds)


def left():
    """Seconds until the hash of the running job expires; -1 for never."""
    job = get_current_job()
    return job.connection.ttl(job.key)


def nothing():
    pass


def same(value):
    return value


class Basket(dict):
    """An object that JSON can hold, so that Python enqueues calls of its methods."""

    def total(self):
        return sum(self.values())


def second_time():
    """Fails the first time that the job runs."""
    job = get_current_job()
    if job.meta.get('tried'):
        return 'well'
    job.meta['tried'] = True
    job.save_meta()
    raise ValueError('the first time')


def noted(job, connection, *rest):
    """A callback that writes down that it was called."""
    connection.rpush('noted', job.id)
