/** Errors as text: how one is stored for people and for Python, and what is read back from it. */
import { inspect, types } from 'node:util';
import { RqError, type RemoteError } from './errors.ts';
import { isNonRetryable, retryAsked } from './retry.ts';

/** Characters of an error that are stored. */
const MOST = 64 * 1024;
/** Properties that are shown in another way, or say nothing more. */
const SAID_ELSEWHERE: ReadonlySet<string> = new Set(['name', 'message', 'stack', 'cause']);
/** Causes of causes that are shown. */
const DEEPEST = 4;

/**
 * `Name: message`, the frames of the stack, further properties, and the cause; of our own errors, whose stack is the
 * worker's and no help, the first line. Never throws, whatever was thrown.
 */
export function errorText(error: unknown): string {
  let text: string;
  try {
    text = isError(error) ? shown(error, []) : `Error: thrown was ${inspected(error)}, not an Error`;
  } catch {
    text = 'Error: something was thrown that can not be shown';
  }
  return text.length > MOST ? `${text.slice(0, MOST).toWellFormed()}…` : text;
}

function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value);
}

function shown(error: Error, above: readonly Error[]): string {
  if (above.includes(error)) return '[Circular]';
  // whatever somebody has put there
  const { name: named, message: told } = error as { readonly name: unknown; readonly message: unknown };
  // a class that says no name of its own is known by its class's
  const own = named === 'Error' ? (error.constructor?.name ?? '') : String(named);
  const [name, message] = [own === '' ? 'Error' : own, String(told)];
  const lines = [message === '' ? name : `${name}: ${message}`];
  if (error instanceof RqError && !thrownByFunctions(error)) return lines.join('');
  const stack: unknown = error.stack;
  if (typeof stack === 'string') lines.push(...stack.split('\n').filter(line => /^\s+at /.test(line)));
  const more = Object.entries(error).filter(([key]) => !SAID_ELSEWHERE.has(key));
  if (more.length > 0) lines.push(`    with ${inspected(Object.fromEntries(more))}`);
  const part = (value: unknown): string =>
    isError(value) ? shown(value, [...above, error]) : inspected(value);
  if (above.length < DEEPEST) {
    if (error instanceof AggregateError)
      for (const each of error.errors) lines.push(`    [errors]: ${part(each)}`);
    if (error.cause !== undefined) lines.push(`    [cause]: ${part(error.cause)}`);
  }
  return lines.join('\n');
}

/** Errors of ours that functions throw: their stacks show where. */
function thrownByFunctions(error: RqError): boolean {
  return isNonRetryable(error) || retryAsked(error) !== undefined;
}

function inspected(value: unknown): string {
  return inspect(value, { depth: 3, breakLength: Infinity, maxArrayLength: 50, maxStringLength: 4000 });
}

/** Name and message from a stored text: a JavaScript error's, or a Python traceback, which says both at its end. */
export function parseErrorText(text: string): RemoteError {
  const said = text.startsWith('Traceback (most recent call last)') ? endOfTraceback(text) : text;
  const end = /\n {4}(?:at |with |\[errors\]: |\[cause\]: )/.exec(said)?.index ?? said.length;
  const head = said.slice(0, end).trimEnd();
  // a name may have spaces when a message follows; alone it is a name only if it looks like one
  const [, named, message = ''] =
    /^([^\n:]{1,100}): ([\s\S]*)$/.exec(head) ?? /^([\w$.]+):?$/.exec(head) ?? [];
  return named === undefined
    ? { name: 'Error', message: head, stack: text }
    : { name: named, message, stack: text };
}

/** What follows the last frame of a traceback: the exception, whose message may have several lines. */
function endOfTraceback(text: string): string {
  const lines = text.trimEnd().split('\n');
  const lastFrame = lines.findLastIndex(line => /^ {2}(?:File "| {2}|\[Previous line)/.test(line));
  return lines.slice(lastFrame + 1).join('\n');
}
