import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { useRedis } from '../support/in-process.ts';

const redis = useRedis();
const LIBRARY = new URL('../../dist/lib/index.js', import.meta.url).href;

/** Runs a job in a process of its own; gives the packages whose modules were loaded then. */
async function loadedWith(options: string): Promise<string[]> {
  const script = `
    import { createRequire } from 'node:module';
    import { Queue, Worker } from ${JSON.stringify(LIBRARY)};
    const q = new Queue();
    const job = await q.enqueue('f');
    const worker = new Worker('default', { functions: { f: () => 1 }, ${options} });
    await worker.work({ burst: true });
    if ((await job.result) !== 1) throw new Error('the job did not run');
    const { cache } = createRequire(import.meta.url);
    console.log(JSON.stringify(Object.keys(cache)));
    process.exit();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
    env: { ...process.env, RQ_REDIS_URL: redis.url },
  });
  const files = JSON.parse(stdout) as string[];
  const names = files.flatMap(file => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? []);
  return [...new Set(names)];
}

describe('what nobody asked for', () => {
  it('is not loaded: neither prom-client nor OpenTelemetry', async () => {
    const packages = await loadedWith('');
    expect(packages).toContain('ioredis');
    expect(packages.filter(name => /prom-client|opentelemetry/.test(name))).toEqual([]);
  });

  it('is loaded when it is asked for', async () => {
    expect(await loadedWith('metrics: { port: 0 }')).toContain('prom-client');
  });
});
