/** Errors as text: how one is stored for people and for Python, and what is read back from it. */
import { inspect } from 'node:util';
import { RqError, type RemoteError } from './errors.ts';

/** Characters of an error that are stored. */
const MOST = 64 * 1024;

/**
 * Name, message, stack, further properties and causes, as Node prints them; of our own errors, whose stack is the
 * worker's and no help, name and message. Never throws, whatever was thrown.
 */
export function errorText(error: unknown): string {
  let text: string;
  try {
    if (error instanceof RqError) text = `${error.name}: ${error.message}`;
    else if (error instanceof Error) text = shown(error, 4).replace(/^<ref \*\d+> /, '');
    else text = `Error: thrown was ${shown(error, 2)}, not an Error`;
  } catch (cause) {
    text = `Error: an error that can't be shown (${cause instanceof Error ? cause.name : typeof cause})`;
  }
  return text.length > MOST ? `${text.slice(0, MOST).toWellFormed()}…` : text;
}

function shown(value: unknown, depth: number): string {
  return inspect(value, { depth, breakLength: 110, maxArrayLength: 50, maxStringLength: 4000 });
}

/** Name and message from a stored text: a JavaScript stack, or a Python traceback, whose last line says both. */
export function parseErrorText(text: string): RemoteError {
  const python = text.startsWith('Traceback (most recent call last)');
  const said = python
    ? (text
        .trimEnd()
        .split('\n')
        .findLast(line => /^\S/.test(line)) ?? '')
    : text;
  // an error that carries a code is shown as `Name [CODE]: message`
  const [, name, message] =
    /^([\w$.]+)(?: \[[^\]\n]*\])?(?:: ([\s\S]*?))?(?:\n {4}at |\s*$)/.exec(said) ?? [];
  return {
    name: name ?? 'Error',
    message: (name === undefined ? said : (message ?? '')).trimEnd(),
    stack: text,
  };
}
