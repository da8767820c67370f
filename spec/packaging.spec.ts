/** docs/compose.yaml, docs/rq-worker.service and docs/kubernetes.yaml, held to the worker that they start and to each other. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chmod, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { parseDuration, type Duration } from '../lib/duration.ts';
import { useFolder } from './support/folder.ts';
import { useQueue, useRedis } from './support/in-process.ts';
import { ask, servedBy } from './support/metrics.ts';
import { PROGRAM, TASKS, WorkerProcess } from './support/worker-process.ts';
import { useWorkerProcesses } from './support/worker-processes.ts';

const text = (name: string): string => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

interface Compose {
  readonly services: Readonly<
    Record<
      'redis' | 'worker',
      {
        readonly command: readonly string[];
        readonly build?: string;
        readonly stop_grace_period?: string;
        readonly environment?: Readonly<Record<string, string>>;
        readonly depends_on?: unknown;
        readonly volumes: readonly string[];
        readonly healthcheck: { readonly test: readonly string[] } & Readonly<Record<string, unknown>>;
      }
    >
  >;
  readonly volumes: object;
}
interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
  readonly periodSeconds: number;
  readonly failureThreshold?: number;
}
interface Deployment {
  readonly kind: string;
  readonly spec: {
    readonly selector: { readonly matchLabels: object };
    readonly template: {
      readonly metadata: { readonly labels: object; readonly annotations: Readonly<Record<string, string>> };
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly containers: readonly {
          readonly args: readonly string[];
          readonly env: readonly object[];
          readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
          readonly livenessProbe: Probe;
          readonly readinessProbe: Probe;
        }[];
      };
    };
  };
}

const compose = parse(text('docs/compose.yaml'), { strict: true }) as Compose;
const documents = parseAllDocuments(text('docs/kubernetes.yaml'), { strict: true });
const [secret, deployment] = documents.map(document => document.toJS() as unknown) as [
  { readonly metadata: { readonly name: string }; readonly stringData: object },
  Deployment,
];
const { terminationGracePeriodSeconds, containers } = deployment.spec.template.spec;
const [container] = containers as [(typeof containers)[number]];
const unit = new Map(
  text('docs/rq-worker.service')
    .split('\n')
    .filter(line => /^\w+=/.test(line))
    .map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
);
const [program = '', ...unitArgs] = (unit.get('ExecStart') ?? '').split(' ');

/** How each starts a worker, and the time that it gives it to stop. */
const CASES: readonly (readonly [name: string, args: readonly string[], stop: Duration])[] = [
  [
    'docs/compose.yaml',
    compose.services.worker.command,
    compose.services.worker.stop_grace_period as Duration,
  ],
  ['docs/rq-worker.service', unitArgs, unit.get('TimeoutStopSec') as Duration],
  ['docs/kubernetes.yaml', container.args, terminationGracePeriodSeconds],
];

const redis = useRedis();
const queue = useQueue(redis);
const folder = useFolder();
const workers = useWorkerProcesses(redis);

const flag = (args: readonly string[], name: string): string =>
  args.find(arg => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? '';
/** Seconds from a stop to its end at most, as the README says it. */
const mostSeconds = (args: readonly string[]): number =>
  parseDuration(flag(args, 'shutdown-timeout'), '') + parseDuration(flag(args, 'grace'), '') + 10;

describe.each(CASES)('%s', (_, args, stop) => {
  it('names flags that rq-worker has', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, '--help']);
    const flags = args.filter(arg => arg.startsWith('-')).map(arg => arg.replace(/=.*/, ''));
    expect(flags).toContain('--metrics-port');
    for (const name of flags) expect(stdout).toMatch(new RegExp(`^ +(-\\w, )?${name}\\b`, 'm'));
  });

  it('gives the worker the time that its flags say it may take to stop', () => {
    expect(parseDuration(stop, 'stop')).toBe(mostSeconds(args));
  });

  it('starts a worker that becomes ready, runs jobs, and stops', async () => {
    const here = args.map(arg =>
      arg
        .replace(/^--functions=.*/, `--functions=${TASKS}`)
        .replace(/^--metrics-port=.*/, '--metrics-port=0')
        .replace(/^--metrics-host=.*/, '--metrics-host=127.0.0.1'),
    );
    const worker = workers.keep(new WorkerProcess(here, { RQ_REDIS_URL: redis.url }));
    const url = await servedBy(worker);
    await expect.poll(() => ask(url, '/readyz'), { timeout: 10_000 }).toEqual([200, 'ok\n']);
    expect(await (await queue.enqueue('add', [40, 2])).wait()).toBe(42);
    expect(await worker.end('SIGTERM')).toEqual({ code: 0, signal: null });
  });
});

describe('a worker that stops', () => {
  it('needs no more than its shutdown timeout, its grace and 10 s, whatever its jobs and Redis do', async () => {
    const args = ['--shutdown-timeout=1s', '--grace=1s', '--concurrency=2'];
    const worker = await workers.start([], ...args).listening();
    const jobs = await queue.enqueueMany([
      ['stubborn', [60_000]],
      ['waitForAbort', [60_000]],
    ]);
    for (const job of jobs) await expect.poll(() => job.getStatus()).toBe('started');
    process.kill(redis.pid, 'SIGSTOP');
    const began = performance.now();
    try {
      expect(await worker.end('SIGTERM')).toEqual({ code: 0, signal: null });
      expect((performance.now() - began) / 1000).toBeLessThan(mostSeconds(args));
      expect(performance.now() - began).toBeGreaterThan(1_900);
    } finally {
      process.kill(redis.pid, 'SIGCONT');
    }
  });
});

describe('docs/compose.yaml', () => {
  const { redis: store, worker } = compose.services;

  it('has a Redis that keeps what it acknowledged, in a volume', () => {
    expect(store.command).toEqual(expect.arrayContaining(['--appendonly', 'yes', 'noeviction']));
    expect(store.volumes).toEqual(['redis:/data']);
    expect(Object.keys(compose.volumes)).toEqual(['redis']);
  });

  it('waits for Redis, and asks for the worker’s health where it serves it', () => {
    expect(worker.depends_on).toEqual({ redis: { condition: 'service_healthy' } });
    expect(worker.environment).toEqual({ RQ_REDIS_URL: 'redis://redis:6379' });
    const port = flag(worker.command, 'metrics-port');
    expect(worker.healthcheck.test.at(-1)).toBe(`http://127.0.0.1:${port}/healthz`);
  });

  it('is of the Dockerfile, which hands its command on to rq-worker and finds the functions', () => {
    const dockerfile = text('Dockerfile');
    expect(worker.build).toBe('..');
    expect(dockerfile).toMatch(/^ENTRYPOINT \["rq-worker"\]$/m);
    // the last stage has wget, which asks for the health
    expect(dockerfile.match(/^FROM .*/gm)?.at(-1)).toMatch(/-alpine$/);
    expect(worker.volumes).toEqual([`./tasks.js:${flag(worker.command, 'functions')}:ro`]);
    expect(dockerfile).toMatch(/^WORKDIR \/app$/m);
  });
});

describe('docs/kubernetes.yaml', () => {
  it('has no error, and selects its own pods', () => {
    expect(documents.map(({ errors, warnings }) => errors.concat(warnings as never[]))).toEqual([[], []]);
    expect(deployment.kind).toBe('Deployment');
    expect(deployment.spec.selector.matchLabels).toEqual(deployment.spec.template.metadata.labels);
  });

  it('probes where the worker serves, and where others reach it', () => {
    const port = Number(flag(container.args, 'metrics-port'));
    expect(flag(container.args, 'metrics-host')).toBe('0.0.0.0');
    expect(container.ports).toEqual([{ name: 'metrics', containerPort: port }]);
    expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'metrics' });
    expect(container.livenessProbe.httpGet).toEqual({ path: '/healthz', port: 'metrics' });
    expect(deployment.spec.template.metadata.annotations['prometheus.io/port']).toBe(String(port));
  });

  it('gives a worker whose Redis is away minutes before it is ended', () => {
    const { periodSeconds, failureThreshold = 3 } = container.livenessProbe;
    expect(periodSeconds * failureThreshold).toBe(300);
  });

  it('takes the URL of Redis from its secret', () => {
    const [key] = Object.keys(secret.stringData);
    expect(container.env).toEqual([
      { name: 'RQ_REDIS_URL', valueFrom: { secretKeyRef: { name: secret.metadata.name, key } } },
    ]);
  });
});

describe('docs/rq-worker.service', () => {
  it('stops the worker itself, starts it again, and not after wrong usage', () => {
    expect(Object.fromEntries(unit)).toMatchObject({
      KillMode: 'mixed',
      KillSignal: 'SIGTERM',
      Restart: 'always',
      RestartPreventExitStatus: '2',
    });
    expect(program).toBe(`${unit.get('WorkingDirectory')}/node_modules/.bin/rq-worker`);
  });

  it('has nothing that systemd finds wrong, where there is a systemd', async () => {
    // with a program that is there: a unit's own need not be on the machine that looks at it
    const start = await folder.write('rq-worker', '#!/bin/sh\n');
    await chmod(start, 0o755);
    const path = await folder.write(
      'rq-worker.service',
      (await readFile(fileURLToPath(new URL('../docs/rq-worker.service', import.meta.url)), 'utf8')).replace(
        program,
        start,
      ),
    );
    const said = await promisify(execFile)('systemd-analyze', ['verify', '--man=no', path]).then(
      ({ stderr }) => stderr,
      (error: Error & { readonly code?: unknown; readonly stderr?: string }) =>
        error.code === 'ENOENT' ? '' : `${error.message}${error.stderr ?? ''}`,
    );
    expect(said.split('\n').filter(line => line.includes('rq-worker'))).toEqual([]);
  });
});
