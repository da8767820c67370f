/** The worker's log on standard output and standard error, as text or as JSON lines. */
import { hostname } from 'node:os';
import { styleText } from 'node:util';
import type { Logger } from '../lib/index.ts';
import { escapeControls, escapeJson } from '../lib/options.ts';

export type LogFormat = 'text' | 'json';
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** pino's numbers for its levels. */
const LEVELS: Readonly<Record<LogLevel, number>> = { debug: 20, info: 30, warn: 40, error: 50 };

/** Lines that are written together, once a turn of the event loop, so that logging does not set the pace. */
class LineStream {
  readonly #stream: NodeJS.WriteStream;
  #lines: string[] = [];

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    // who read the log has gone: the jobs go on
    stream.on('error', () => {});
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY;
  }

  write(line: string): void {
    if (this.#lines.push(line) === 1) setImmediate(() => this.flush());
  }

  flush(): void {
    if (this.#lines.length === 0) return;
    const text = this.#lines.join('');
    this.#lines = [];
    this.#stream.write(text);
  }
}

/** What is below `level` is not written. Warnings and errors go to standard error, text errors with their stack. */
export function makeLogger(format: LogFormat, level: LogLevel): Logger & { flush(): void } {
  const out = new LineStream(process.stdout);
  const err = new LineStream(process.stderr);
  const at = (name: LogLevel) => (fields: object, message: string) => {
    if (LEVELS[name] < LEVELS[level]) return;
    const stream = LEVELS[name] >= LEVELS.warn ? err : out;
    stream.write(
      format === 'json'
        ? jsonLine(name, fields, message)
        : textLine(name, fields, message, stream.isTerminal),
    );
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    flush() {
      out.flush();
      err.flush();
    },
  };
}

function jsonLine(level: LogLevel, fields: object, msg: string): string {
  const line = JSON.stringify({
    level: LEVELS[level],
    time: Date.now(),
    pid: process.pid,
    hostname: hostname(),
    ...fields,
    msg,
  });
  return `${escapeJson(line)}\n`;
}

function textLine(level: LogLevel, fields: object, message: string, colour: boolean): string {
  const now = new Date();
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()]
    .map(n => String(n).padStart(2, '0'))
    .join(':');
  let text = escapeControls(message);
  // indented, so that no error's text can pass for a line of the log
  if ('err' in fields)
    text += stackOf(fields.err).replace(/^/, '\n').split('\n').map(escapeControls).join('\n    ');
  if (colour) {
    if (level === 'error') text = styleText('red', text);
    else if (level === 'warn') text = styleText('yellow', text);
    else if (/: Job OK \(/.test(text)) text = styleText('green', text);
  }
  return `${colour ? styleText('gray', time) : time} ${text}\n`;
}

function stackOf(err: unknown): string {
  return typeof err === 'object' && err !== null && 'stack' in err && typeof err.stack === 'string'
    ? err.stack
    : String(err);
}
