/** What the commands of `rq` share: where Redis is, how they print, and how they fail. */
import { createInterface } from 'node:readline/promises';
import { styleText } from 'node:util';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { Rq, VERSION } from '../lib/index.ts';
import { escapeControls, escapeJson, messageOf, quote } from '../lib/options.ts';

/** Exit codes: done, an error, wrong usage. */
export const OK = 0;
export const FAILED = 1;
export const USAGE = 2;

/** Ends a command with one line on standard error. */
export class Complaint extends Error {
  readonly code: number;

  constructor(message: string, code: number = FAILED) {
    super(message);
    this.code = code;
  }
}

/** The options that every command has. */
export interface Shared {
  readonly url?: string;
  readonly json?: boolean;
  readonly yes?: boolean;
}

/** A command with `--url`; and with `--serializer json`, which RQ's commands need beside our jobs, and fingers know. */
export function redisCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('-u, --url <url>', 'Redis (default: RQ_REDIS_URL, else redis://127.0.0.1:6379)')
    .addOption(new Option('-S, --serializer <name>', 'there is no other').choices(['json']).hideHelp())
    .exitOverride();
}

export function countFrom(least: number): (value: string) => number {
  return value => {
    const n = /^\d+$/.test(value) ? Number(value) : NaN;
    if (!Number.isSafeInteger(n) || n < least)
      throw new InvalidArgumentError(`It must be a whole number of ${least} or more.`);
    return n;
  };
}

/** Hands a command all queues and workers of its Redis, and closes the connection after it. */
export async function withRq<T>({ url }: Shared, use: (rq: Rq) => Promise<T>): Promise<T> {
  // who reads has seen enough, as `head` does
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(OK);
  });
  const rq = new Rq(url === undefined ? {} : { connection: url });
  try {
    return await use(rq);
  } finally {
    await rq.close();
  }
}

/** @throws {Complaint} where no job was ever put on one of these queues, and no worker listens to it. */
export async function checkQueues(rq: Rq, names: readonly string[]): Promise<void> {
  const known = new Set(await rq.queueNames());
  if (names.every(name => known.has(name))) return;
  for (const { queues } of await rq.workers()) for (const queue of queues) known.add(queue);
  for (const name of names) {
    if (!known.has(name))
      throw new Complaint(`There is no queue ${quote(name)}: 'rq info' shows those there are`);
  }
}

/** Writes a line. What comes from jobs goes through `safe` first. */
export function print(line: string = ''): void {
  process.stdout.write(`${line}\n`);
}

/** A text that somebody else wrote, as it can be printed: it must not steer a terminal, nor look like another text. */
export { escapeControls as safe };

export function printJson(value: unknown): void {
  print(escapeJson(JSON.stringify(value, undefined, process.stdout.isTTY ? 2 : 0)));
}

/** A text in colour, where standard output is a terminal that wants it. */
export function colour(style: Parameters<typeof styleText>[0], text: string): string {
  return process.stdout.isTTY ? styleText(style, text) : text;
}

/** A number of seconds in the unit that says most. */
export function span(seconds: number): string {
  const [unit, size] = (
    [
      ['d', 86_400],
      ['h', 3600],
      ['m', 60],
    ] as const
  ).find(([, each]) => seconds >= each) ?? ['s', 1];
  return `${Math.floor(Math.max(0, seconds) / size)}${unit}`;
}

/** How long ago something was. */
export function ago(date: Date): string {
  return `${span((Date.now() - date.getTime()) / 1000)} ago`;
}

/** Asks before something is lost: on a terminal only, where `--yes` does not answer. */
export async function confirmed(question: string, { yes }: Shared): Promise<boolean> {
  if (yes === true) return true;
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    throw new Complaint(`${question} Nobody can be asked here: say --yes`, USAGE);
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  // Ctrl-C, and an input that ends, are a no
  const ended = new Promise<undefined>(resolve =>
    terminal.once('SIGINT', () => resolve(undefined)).once('close', () => resolve(undefined)),
  );
  try {
    const answer = await Promise.race([terminal.question(`${question} [y/N] `), ended]);
    if (answer === undefined) print();
    if (/^y(es)?$/i.test(answer?.trim() ?? '')) return true;
    print('Nothing was done');
    return false;
  } finally {
    terminal.close();
  }
}

/** Runs a program of commands; answers its exit code. */
export async function runProgram(program: Command, args: readonly string[]): Promise<number> {
  program.version(VERSION, '--version').exitOverride();
  const complain = (message: string): void => {
    process.stderr.write(`${program.name()}: ${escapeControls(message)}\n`);
  };
  for (const command of [program, ...program.commands]) {
    const help = command === program ? '--help' : `help ${command.name()}`;
    // on one line, like ours, and with what to do
    const outputError = (text: string): void => {
      const said = text.replace(/^error: /, '').replace(/\.?\s*$/, '');
      complain(`${said.replaceAll(/\s*\n\s*/g, ' ')}: '${program.name()} ${help}' says more`);
    };
    command.configureOutput({ outputError });
  }
  try {
    await program.parseAsync(args);
    return Number(process.exitCode ?? OK);
  } catch (error) {
    // commander has said it already
    if (error instanceof CommanderError) return error.exitCode === 0 ? OK : USAGE;
    complain(messageOf(error));
    return error instanceof Complaint ? error.code : isUsage(error) ? USAGE : FAILED;
  }
}

function isUsage(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError;
}
