/** JSON and nothing else: what may travel as an argument, a keyword argument, meta or a result. */
import { DESCRIPTION_LENGTH, JSON_DEPTH } from './defaults.ts';
import { isReference, type References } from './reference.ts';

/** What arguments, results and meta are made of. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/**
 * The JSON text of a value. With `references`, jobs may stand in it for their results, and are noted there.
 * @throws {TypeError} naming the path and the kind of the first thing that is not JSON, such as `args[1].when is a Date`.
 */
export function toJson(value: unknown, path: string, references?: References): string {
  checkJson(value, path, references);
  return references === undefined ? JSON.stringify(value) : references.stringify(value);
}

/** The same without the text. */
export function checkJson(value: unknown, path: string, references?: References): void {
  const flaw = findFlaw(value, [], references);
  if (flaw !== undefined) throw new TypeError(`${path}${flaw.path} ${flaw.what}`);
}

/** What is not JSON, and where: the path is put together on the way out, so that a value without a flaw costs none. */
interface Flaw {
  readonly path: string;
  readonly what: string;
}

function findFlaw(value: unknown, above: object[], references?: References): Flaw | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined;
    case 'number':
      return Number.isFinite(value)
        ? undefined
        : { path: '', what: `is ${value}, which JSON has no form for` };
    case 'object':
      break;
    default:
      return { path: '', what: `is ${kindOf(value)}, which is not JSON` };
  }
  if (value === null) return undefined;
  if (above.includes(value)) return { path: '', what: 'is a cycle, which JSON has no form for' };
  if (above.length >= JSON_DEPTH) return { path: '', what: `is nested deeper than ${JSON_DEPTH} levels` };
  if ('toJSON' in value) return { path: '', what: `is ${kindOf(value)}, which is not JSON` };
  above.push(value);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const flaw = findFlaw(value[i], above, references);
      if (flaw !== undefined) return { path: `[${i}]${flaw.path}`, what: flaw.what };
    }
  } else {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null && !isForeignPlain(prototype)) {
      if (references !== undefined && isReference(value)) {
        above.pop();
        const flaw = references.add(value);
        return flaw === undefined ? undefined : { path: '', what: flaw };
      }
      return { path: '', what: `is ${kindOf(value)}, which is not JSON` };
    }
    for (const name of Object.keys(value)) {
      const flaw = findFlaw((value as Record<string, unknown>)[name], above, references);
      if (flaw !== undefined) return { path: `${member(name)}${flaw.path}`, what: flaw.what };
    }
  }
  above.pop();
  return undefined;
}

/** A plain object of another realm (a `vm` context, a test runner's): its prototype is that realm's `Object.prototype`. */
function isForeignPlain(prototype: unknown): boolean {
  return (
    typeof prototype === 'object' &&
    prototype !== null &&
    Object.getPrototypeOf(prototype) === null &&
    Object.hasOwn(prototype, 'hasOwnProperty')
  );
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'undefined';
  if (typeof value !== 'object' || value === null) return `a ${typeof value}`;
  const name: unknown = value.constructor?.name;
  if ('toJSON' in value && (name === 'Object' || name === 'Array')) return 'an object with a toJSON method';
  if (name === 'Object') return 'an object with a prototype of its own';
  const kind = typeof name === 'string' && name !== '' ? name : 'class instance';
  return `${/^[AEIOU]/.test(kind) ? 'an' : 'a'} ${kind}`;
}

function member(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
}

/** How a call looks to a person, as RQ writes a description: `sum([42, 43])`. Cut to a bounded length. */
export function describeCall(
  name: string,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
): string {
  let text = `${name}(`;
  let first = true;
  const put = (part: string): void => {
    if (text.length <= DESCRIPTION_LENGTH) text += part;
  };
  const value = (item: unknown): void => {
    if (text.length > DESCRIPTION_LENGTH) return;
    if (Array.isArray(item)) {
      put('[');
      item.every((inner: unknown, i) => {
        if (i > 0) put(', ');
        value(inner);
        return text.length <= DESCRIPTION_LENGTH;
      });
      put(']');
    } else if (isReference(item)) {
      const { ids, list } = item.standsFor;
      put(list ? `[${ids.map(id => `job ${id}`).join(', ')}]` : `job ${ids[0] ?? ''}`);
    } else if (typeof item === 'object' && item !== null) {
      put('{');
      Object.entries(item).every(([key, inner], i) => {
        put(`${i > 0 ? ', ' : ''}${JSON.stringify(key)}: `);
        value(inner);
        return text.length <= DESCRIPTION_LENGTH;
      });
      put('}');
    } else put(typeof item === 'string' ? JSON.stringify(item.slice(0, DESCRIPTION_LENGTH)) : String(item));
  };
  for (const item of args) {
    if (!first) put(', ');
    first = false;
    value(item);
    if (text.length > DESCRIPTION_LENGTH) break;
  }
  for (const [key, item] of Object.entries(kwargs)) {
    put(`${first ? '' : ', '}${/^[\w$]+$/.test(key) ? key : JSON.stringify(key)}=`);
    first = false;
    value(item);
    if (text.length > DESCRIPTION_LENGTH) break;
  }
  text += ')';
  return text.length > DESCRIPTION_LENGTH
    ? `${text.slice(0, DESCRIPTION_LENGTH - 2).toWellFormed()}…)`
    : text;
}
