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
