/** A job's hash, read: which fields there are, what form each has, and what is said where one has another. */
import { inflateSync } from 'node:zlib';
import { INFLATE_LIMIT } from './defaults.ts';
import { InvalidJobError } from './errors.ts';
import { escapeControls, quote } from './options.ts';

/** The statuses a job can be in. Python RQ's master adds a few; they are read and never written. */
export const STATUSES = [
  'queued',
  'started',
  'finished',
  'failed',
  'deferred',
  'scheduled',
  'canceled',
  'stopped',
] as const;
export type JobStatus = (typeof STATUSES)[number];

/** The raw fields of a job's hash, by RQ's names: bytes as Redis keeps them, or text that is on its way there. */
export interface Fields {
  get(name: string): Buffer | string | undefined;
  /** The same as text, where there is a shorter way to it. */
  text?(name: string): string | undefined;
  /** And as a whole number; `null` where it is not of up to 15 digits and nothing else. */
  digits?(name: string): number | undefined | null;
}

/** What is called: a registered function's name and what it is given. */
export interface CallRecord {
  readonly functionName: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}

/** Pairs of a flat `HGETALL` reply. */
export function toFields(flat: readonly unknown[]): Fields {
  const fields = new Map<string, Buffer>();
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(String(flat[i]), flat[i + 1] as Buffer);
  return fields;
}

/** The text of a field; `undefined` where it is missing or, as Python writes it, empty. */
export function textOf(fields: Fields, name: string): string | undefined {
  const value = fields.text === undefined ? fields.get(name)?.toString() : fields.text(name);
  return value === '' ? undefined : value;
}

/** @throws {InvalidJobError} where the field is there and not a whole number. */
export function wholeNumberOf(id: string, fields: Fields, name: string): number | undefined {
  const digits = fields.digits === undefined ? null : fields.digits(name);
  if (digits !== null) return digits;
  const text = textOf(fields, name);
  if (text === undefined) return undefined;
  if (!/^-?\d{1,15}$/.test(text))
    throw new InvalidJobError(id, `its field ${name} is not a whole number: ${quote(text)}`);
  return Number(text);
}

/** A timestamp as RQ writes it, with any precision; `undefined` where there is none that can be read. */
export function timeOf(fields: Fields, name: string): Date | undefined {
  const text = textOf(fields, name);
  if (text === undefined || !/^\d{4}-\d\d-\d\dT/.test(text)) return undefined;
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

/** The job's `meta`; one that is not a JSON object is read as an empty one, as meta never decides whether a job runs. */
export function metaOf(fields: Fields): Record<string, unknown> {
  const text = textOf(fields, 'meta');
  if (text === undefined) return {};
  try {
    const meta: unknown = JSON.parse(text);
    return isObject(meta) ? meta : {};
  } catch {
    return {};
  }
}

/** The status; what nobody knows is handed through as it stands. */
export function statusOf(fields: Fields): JobStatus | undefined {
  return textOf(fields, 'status') as JobStatus | undefined;
}

/** The first byte of a zlib stream; its first two are a multiple of 31. */
const ZLIB = 0x78;

/** Whether a job's raw `data` was written compressed: by Python, then, whose dialect the answer is to be in. */
export function isPythons(data: Buffer | string | undefined): boolean {
  return typeof data === 'object' && data[0] === ZLIB;
}

/** @throws {InvalidJobError} where `data` is not, plain or compressed, JSON of the form `[name, null, [args], {kwargs}]`. */
export function callOf(id: string, fields: Fields): CallRecord {
  return parseCall(id, dataOf(id, fields.get('data')));
}

/** A job's `data`, no longer compressed. @throws {InvalidJobError} where there is none. */
export function dataOf(id: string, raw: Buffer | string | undefined): string | Buffer {
  if (raw === undefined || raw.length === 0)
    throw new InvalidJobError(id, 'it has no data: nothing says what to call');
  return typeof raw === 'string' ? raw : inflated(id, raw);
}

/** @throws {InvalidJobError} */
export function parseCall(id: string, data: string | Buffer): CallRecord {
  let call: unknown;
  try {
    call = JSON.parse(data.toString());
  } catch (cause) {
    const pickle = data[0] === 0x80 ? ' (a pickle: enqueue with the JSON serializer)' : '';
    throw new InvalidJobError(id, `its data is not JSON${pickle}: ${said(cause)}`, { cause });
  }
  const [name, instance, args, kwargs] = Array.isArray(call) ? (call as unknown[]) : [];
  if (typeof name !== 'string' || name === '' || !Array.isArray(args) || !isObject(kwargs)) {
    throw new InvalidJobError(id, 'its data is not of the form [function name, null, [args], {kwargs}]');
  }
  if (instance !== null)
    throw new InvalidJobError(id, `it calls a method of an object, '${name}': functions only`);
  return { functionName: name, args, kwargs };
}

function inflated(id: string, raw: Buffer): Buffer {
  // JSON begins with another byte, whatever follows
  if (raw[0] !== ZLIB) return raw;
  try {
    return inflateSync(raw, { maxOutputLength: INFLATE_LIMIT });
  } catch (cause) {
    const why =
      cause instanceof RangeError
        ? `it inflates to more than ${INFLATE_LIMIT / 1024 / 1024} MiB`
        : said(cause);
    throw new InvalidJobError(id, `its data can't be decompressed: ${why}`, { cause });
  }
}

/** An error's text, compressed or plain. */
export function errorTextOf(value: Buffer | string | undefined): string | undefined {
  if (value === undefined || value.length === 0) return undefined;
  if (typeof value === 'string') return value;
  if (value[0] !== ZLIB || value.length < 2 || value.readUInt16BE(0) % 31 !== 0) return value.toString();
  try {
    return inflateSync(value, { maxOutputLength: INFLATE_LIMIT }).toString();
  } catch {
    // a plain text may begin with an x as well
    return value.toString();
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function said(error: unknown): string {
  return escapeControls(error instanceof Error ? error.message : String(error)).slice(0, 200);
}
