import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unpackJobs } from '../lib/packed-jobs.ts';
import type { Fields } from '../lib/record.ts';
import { useRedis } from './support/in-process.ts';

interface Given {
  readonly queue: number;
  readonly jobId: string;
  /** Names and values; values as `latin1` texts, a character for each byte, which are quick to compare. */
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** Packs jobs in Redis as the advance script does: queue, id and a table of names and values, in turn. */
const PACK = `
local jobs, at = {}, 1
while at <= #ARGV do
  local fields, n = {}, tonumber(ARGV[at + 2])
  for i = 1, n do fields[i] = ARGV[at + 2 + i] end
  jobs[#jobs + 1], jobs[#jobs + 2], jobs[#jobs + 3] = tonumber(ARGV[at]), ARGV[at + 1], fields
  at = at + 3 + n
end
return cmsgpack.pack(jobs)`;

const server = useRedis();

async function pack(jobs: readonly Given[]): Promise<Buffer> {
  const args: (string | Buffer)[] = [];
  for (const { queue, jobId, fields } of jobs) {
    args.push(String(queue), jobId, String(fields.length * 2));
    for (const [name, value] of fields) args.push(name, Buffer.from(value, 'latin1'));
  }
  return (await server.client.callBuffer('EVAL', [PACK, '0', ...args])) as Buffer;
}

/** What comes out of Redis, in the form that went in. */
async function roundTrip(jobs: readonly Given[]): Promise<Given[]> {
  return unpackJobs(await pack(jobs)).map(({ queue, jobId, fields }, i) => ({
    queue,
    jobId,
    fields: (jobs[i]?.fields ?? []).map(([name]) => [name, textIn(fields, name) ?? 'missing'] as const),
  }));
}

function textIn(fields: Fields | undefined, name: string): string | undefined {
  const value = fields?.get(name);
  return value === undefined ? undefined : Buffer.from(value as Buffer).toString('latin1');
}

const job = (...fields: (readonly [string, string])[]): Given => ({ queue: 1, jobId: 'job-1', fields });

describe('unpackJobs, of what Redis packs', () => {
  it('reads no jobs', async () => {
    expect(unpackJobs(await pack([]))).toEqual([]);
  });

  it('reads a job without fields', async () => {
    const [read] = unpackJobs(await pack([job()]));
    expect(read).toMatchObject({ queue: 1, jobId: 'job-1' });
    expect(read?.fields.get('data')).toBeUndefined();
  });

  it.each([0, 1, 31, 32, 255, 256, 65_535, 65_536, 1_000_000])('reads a value of %d bytes', async length => {
    const jobs = [job(['data', '\u00c1'.repeat(length)], ['status', 'queued'])];
    expect(await roundTrip(jobs)).toEqual(jobs);
  });

  it.each([1, 31, 32, 255, 256, 70_000])('reads a name of %d characters', async length => {
    const jobs = [job(['n'.repeat(length), 'v'], ['status', 'queued'])];
    expect(await roundTrip(jobs)).toEqual(jobs);
  });

  it.each([1, 36, 128, 300])('reads an id of %d characters', async length => {
    const jobs = [{ ...job(['a', 'b']), jobId: 'i'.repeat(length) }];
    expect(await roundTrip(jobs)).toEqual(jobs);
  });

  it.each([1, 127, 128, 255, 256, 65_535, 65_536])('reads the place of queue %d', async queue => {
    const jobs = [{ ...job(['a', 'b']), queue }];
    expect(await roundTrip(jobs)).toEqual(jobs);
  });

  it.each([1, 7, 8, 100])('reads a job of %d fields', async count => {
    const fields = Array.from({ length: count }, (_, i) => [`field-${i}`, `value-${i}`] as const);
    expect(await roundTrip([job(...fields)])).toEqual([job(...fields)]);
  });

  it('reads a job of more fields than 16 bits count', async () => {
    const script = `
local fields = {}
for i = 1, 40000 do fields[i * 2 - 1], fields[i * 2] = 'f' .. i, 'v' .. i end
return cmsgpack.pack({ 1, 'job-1', fields, 2, 'job-2', { 'a', 'b' } })`;
    const packed = (await server.client.callBuffer('EVAL', [script, '0'])) as Buffer;
    const [first, second] = unpackJobs(packed);
    expect(textIn(first?.fields, 'f40000')).toBe('v40000');
    expect(second).toMatchObject({ queue: 2, jobId: 'job-2' });
    expect(textIn(second?.fields, 'a')).toBe('b');
  });

  it.each([1, 5, 6, 500, 22_000])('reads %d jobs', async count => {
    const script = `
local jobs = {}
for i = 1, tonumber(ARGV[1]) do
  jobs[i * 3 - 2], jobs[i * 3 - 1], jobs[i * 3] = i, 'job-' .. i, { 'n', tostring(i) }
end
return cmsgpack.pack(jobs)`;
    const packed = (await server.client.callBuffer('EVAL', [script, '0', count])) as Buffer;
    const jobs = unpackJobs(packed);
    expect(jobs).toHaveLength(count);
    expect(jobs.every(({ queue, jobId }, i) => queue === i + 1 && jobId === `job-${i + 1}`)).toBe(true);
    expect(textIn(jobs.at(-1)?.fields, 'n')).toBe(String(count));
  });

  it('hands binary values through as they are', async () => {
    const bytes = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
    const [read] = unpackJobs(await pack([job(['data', bytes])]));
    expect(textIn(read?.fields, 'data')).toBe(bytes);
  });

  it('reads what a hash holds', async () => {
    await server.client.hset('rq:job:1', {
      status: 'queued',
      data: Buffer.from([0x78, 0x9c, 0, 255]),
      ttl: '',
    });
    const script = "return cmsgpack.pack({ 3, '1', redis.call('HGETALL', 'rq:job:1') })";
    const [read] = unpackJobs((await server.client.callBuffer('EVAL', [script, '0'])) as Buffer);
    expect(read).toMatchObject({ queue: 3, jobId: '1' });
    expect(textIn(read?.fields, 'status')).toBe('queued');
    expect(read?.fields.get('data')).toEqual(Buffer.from([0x78, 0x9c, 0, 255]));
    expect(read?.fields.get('ttl')).toEqual(Buffer.alloc(0));
  });

  it.each([
    '0',
    '180',
    '007',
    '999999999999999',
    '9'.repeat(16),
    '-1',
    '',
    '5m',
    '2.5',
    '/',
    ':',
    ' 5',
    '5\n',
    'é',
  ])('reads %j as a number as the same text is read, or leaves it to that', async text => {
    const [read] = unpackJobs(await pack([job(['timeout', text])]));
    expect(read?.fields.digits?.('timeout')).toBe(/^\d{1,15}$/.test(text) ? Number(text) : null);
    expect(read?.fields.digits?.('ttl')).toBeUndefined();
  });

  it('does not take a value for a name, nor a part of a name for the whole', async () => {
    const [read] = unpackJobs(await pack([job(['result_ttl', 'ttl'], ['ttl', '60'], ['x', 'data'])]));
    expect(textIn(read?.fields, 'ttl')).toBe('60');
    expect(read?.fields.get('data')).toBeUndefined();
    expect(read?.fields.get('result')).toBeUndefined();
  });

  it('gives back whatever was packed', async () => {
    const name = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 40 });
    const value = fc
      .oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.uint8Array({ minLength: 250, maxLength: 260 }),
        fc.constantFrom(65_535, 65_536).map(length => new Uint8Array(length).fill(0x90)),
      )
      .map(bytes => Buffer.from(bytes).toString('latin1'));
    const any = fc.record({
      queue: fc.integer({ min: 1, max: 70_000 }),
      jobId: fc.string({ unit: 'grapheme', maxLength: 60 }),
      fields: fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, maxLength: 20 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(any, { maxLength: 8 }), async jobs => {
        expect(await roundTrip(jobs)).toEqual(jobs);
      }),
      { numRuns: 100 },
    );
  });
});
