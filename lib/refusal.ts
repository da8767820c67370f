/** What Redis says when it refuses a call: what that means for us, and whether it passes by itself. */
import { RedisRefusedError } from './errors.ts';

export interface Refusal {
  /** The first word of Redis' error. */
  readonly name: string;
  /** What it means, and what to do. */
  readonly meaning: string;
  /** Nothing was done, and the same call may well succeed in a moment. */
  readonly passes: boolean;
  /** The one to write to may be another Redis by now: the connection is to be made anew. */
  readonly moved: boolean;
}

const passing = { passes: true, moved: false };
const lasting = { passes: false, moved: false };
const moving = { passes: true, moved: true };

const MEANINGS: Readonly<Record<string, Omit<Refusal, 'name'>>> = {
  LOADING: { ...passing, meaning: 'Redis is loading its data' },
  BUSY: { ...passing, meaning: 'a script of somebody else holds Redis up' },
  NOSCRIPT: { ...passing, meaning: 'Redis forgot the script, which is sent again' },
  READONLY: { ...moving, meaning: 'this Redis is a replica; after a failover the connection is made anew' },
  UNBLOCKED: { ...moving, meaning: 'this Redis became a replica while it was waited for' },
  MASTERDOWN: { ...moving, meaning: 'this Redis is a replica that has lost its master' },
  NOREPLICAS: {
    ...lasting,
    meaning: 'too few replicas are there for min-replicas-to-write: bring them back, or lower it',
  },
  MISCONF: {
    ...lasting,
    meaning: 'Redis can’t persist and takes no writes: look at its disk and its log',
  },
  OOM: { ...lasting, meaning: 'Redis is full: raise its maxmemory, or take jobs off it' },
  NOAUTH: { ...lasting, meaning: 'a password is needed: redis://user:password@host' },
  WRONGPASS: { ...lasting, meaning: 'the user or its password is wrong' },
  WRONGTYPE: { ...lasting, meaning: 'a key is of another type than RQ’s: rq doctor names it' },
  NOPERM: {
    ...lasting,
    meaning:
      'the user of this connection may not do that: the README lists what a producer and a worker need',
  },
};
const MAX_CLIENTS = 'max number of clients reached';
const NO_DATABASE = /DB index is out of range|SELECT is not allowed/;

/** What an error of Redis' own means; `undefined` for any other error, and for one that nobody foresaw. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined;
  const name = /^[A-Z]+/.exec(error.message)?.[0] ?? '';
  if (error.message.includes(MAX_CLIENTS)) {
    return {
      name: 'maxclients',
      ...passing,
      meaning: 'Redis takes no more connections: raise its maxclients',
    };
  }
  if (NO_DATABASE.test(error.message))
    return { name: 'database', ...lasting, meaning: 'this Redis has no database of the number in the URL' };
  const known = MEANINGS[name];
  return known === undefined ? undefined : { name, ...known };
}

/** What Redis said, with what it means; without the command, which holds a job's arguments. */
export function saidBy(error: Error): string {
  const meaning = refusalOf(error)?.meaning;
  return meaning === undefined ? error.message : `${error.message} (${meaning})`;
}

/** An error without the command that it answers: that holds a password, or the arguments of a job. */
export function withoutCommand(error: Error): Error {
  if ('command' in error) delete error.command;
  return error;
}

/** The error to throw, or to tell of, where Redis refused to do something. */
export function refused(what: string, error: Error): RedisRefusedError {
  return new RedisRefusedError(`Redis refused to ${what}: ${saidBy(error)}`, {
    cause: withoutCommand(error),
  });
}
