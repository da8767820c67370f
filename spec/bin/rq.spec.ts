import { describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { useRedis } from '../support/in-process.ts';
import { RqProcess, complaint, rq } from '../support/rq.ts';
import { TASKS } from '../support/worker-process.ts';

const NOWHERE = 'redis://127.0.0.1:1';
const redis = useRedis();

const COMMANDS = [
  'cancel',
  'clean',
  'cron',
  'doctor',
  'empty',
  'enqueue',
  'failed',
  'info',
  'job',
  'pause',
  'rate',
  'requeue',
  'resume',
  'stop',
  'suspend',
  'top',
  'unpause',
  'worker',
];

/** One of each command that asks Redis something and ends. */
const CALLS: readonly (readonly [command: string, args: readonly string[]])[] = [
  ['info', []],
  ['enqueue', ['f']],
  ['requeue', ['--queue', 'q', '--all']],
  ['empty', ['q', '--yes']],
  ['suspend', []],
  ['resume', []],
  ['pause', ['q']],
  ['unpause', ['q']],
  ['rate', ['q', '10/m']],
  ['cancel', ['a']],
  ['stop', ['a']],
  ['failed', []],
  ['job', ['a']],
  ['top', ['--once']],
  ['clean', ['--yes']],
  ['cron', []],
];

describe('rq', () => {
  it('names its commands with --help', async () => {
    const { code, out, err } = await rq(NOWHERE, '--help');
    for (const command of COMMANDS) expect(out).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
    expect([code, err]).toEqual([0, '']);
  });

  it('shows its help and ends with 2 where no command is named', async () => {
    const { code, out, err } = await rq(NOWHERE);
    expect(err).toMatch(/^Usage: rq/);
    expect([code, out]).toEqual([2, '']);
  });

  it('prints its version', async () => {
    expect(await rq(NOWHERE, '--version')).toEqual({ code: 0, out: `${packageJson.version}\n`, err: '' });
  });

  it.each(COMMANDS)('%s --help says how Redis is found, and ends with 0', async command => {
    const { code, out } = await rq(NOWHERE, command, '--help');
    expect(out).toContain('RQ_REDIS_URL');
    expect(code).toBe(0);
  });

  it.each<[what: string, args: readonly string[], said: RegExp]>([
    ['an unknown command', ['inof'], /unknown command 'inof'.*info.*'rq --help'/],
    ['an unknown option', ['info', '--jsno'], /'--jsno'.*--json/],
    ['a command that steers the terminal', ['\x1b[2J'], /unknown command '\\x1b\[2J'/],
    ['a URL that is none', ['info', '--url', 'nonsense'], /URL.*redis:\/\//],
    [
      'a serializer that jobs here have not',
      ['info', '--serializer', 'pickle'],
      /serializer.*'pickle'.*json/,
    ],
    ['an argument too many', ['resume', 'now'], /too many arguments/],
    ['a missing argument', ['job'], /missing required argument 'id': 'rq help job' says more/],
    ['a missing option', ['requeue', '--all'], /--queue/],
    ['a worker without functions', ['worker'], /no functions.*--functions/],
    ['a worker with a name that is none', ['worker', '-f', TASKS, '-n', 'a/b'], /worker name.*"a\/b"/],
  ])('ends with 2 and one line for %s', async (_, args, said) => {
    expect(await rq(NOWHERE, ...args)).toEqual(complaint(said, 2));
  });

  it.each(CALLS)('%s ends with 1 and one line where a Redis turns it away', async (command, args) => {
    await redis.client.call('ACL', 'SETUSER', 'nobody', 'reset', 'on', '>secret', '~rq:*', '+info');
    const url = redis.url.replace('redis://', 'redis://nobody:secret@');
    expect(await rq(url, command, ...args)).toEqual(complaint(/NOPERM.*README/, 1));
  });

  it('ends with 1 and one line where there is no Redis, whatever the command', async () => {
    const said = await Promise.all(CALLS.map(([command, args]) => rq(NOWHERE, command, ...args)));
    const expected = complaint(/No connection to Redis at 127\.0\.0\.1:1 within 5000 ms/, 1);
    expect(said).toEqual(CALLS.map(() => expected));
  }, 60_000);

  it('ends with 1 and one line where there is no Redis, and shows no password', async () => {
    const said = await rq('redis://bob:sekret@127.0.0.1:1', 'info');
    expect(said).toEqual(complaint(/No connection to Redis at 127\.0\.0\.1:1/, 1));
    expect(said.err).not.toContain('sekret');
  });

  it('ends with 1 and one line where the password is wrong', async () => {
    expect(await rq(redis.url.replace('//', '//bob:sekret@'), 'info')).toEqual(complaint(/WRONGPASS/, 1));
  });

  it('ends quietly where its reader has seen enough', async () => {
    const keys = Array.from({ length: 2000 }, (_, i) => `rq:queue:q${i}`);
    await redis.client.sadd('rq:queues', ...keys);
    const process = new RqProcess(redis.url, ['info', '--raw']);
    process.child.stdout?.destroy();
    const { code, err } = await process.end();
    expect([code, err]).toEqual([0, '']);
  });
});
