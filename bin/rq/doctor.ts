/** `rq doctor`: looks at a Redis for what this needs, and for what people get wrong. */
import { Option, type Command } from 'commander';
import { RqError, type DoctorOptions, type Finding, type Promised, type Role } from '../../lib/index.ts';
import { messageOf } from '../../lib/options.ts';
import {
  Complaint,
  OK,
  colour,
  countFrom,
  print,
  printJson,
  redisCommand,
  safe,
  withRq,
  type Shared,
} from '../cli.ts';
import { Progress } from '../progress.ts';

/** Exit codes, by the worst finding. */
const WARNINGS = 1;
const ERRORS = 2;

interface Flags extends Shared {
  readonly promise?: Promised;
  readonly role?: Role;
  readonly maxKeys?: number;
}

export function doctorCommand(): Command {
  return redisCommand('doctor', 'Checks a Redis: its settings, its user, its clock, its keys.')
    .argument('[url]', 'Redis; as --url')
    .addOption(
      new Option('--promise <promise>', 'what is to survive a crash of Redis').choices([
        'none',
        'snapshot',
        'everysec',
        'always',
      ]),
    )
    .addOption(
      new Option('--role <role>', "whose rights this user is to have, of the README's").choices([
        'producer',
        'worker',
        'operator',
      ]),
    )
    .option('--max-keys <n>', 'most keys that are looked at (default: 100000)', countFrom(1))
    .option('--json', 'prints JSON')
    .addHelpText('after', '\nExit codes: 0 fine, 1 warnings, 2 errors.')
    .action(async (url: string | undefined, flags: Flags) => {
      const options: DoctorOptions = {
        ...(flags.promise === undefined ? {} : { promise: flags.promise }),
        ...(flags.role === undefined ? {} : { role: flags.role }),
        ...(flags.maxKeys === undefined ? {} : { maxKeys: flags.maxKeys }),
      };
      let interrupted = false;
      const findings = await withRq(url === undefined ? flags : { ...flags, url }, async rq => {
        using progress = new Progress('Looked at', undefined);
        const { signal } = progress;
        // Ctrl-C is heard until it is over, and not until it has begun
        const found = await rq.doctor({ ...options, signal, onProgress: n => progress.add(n) });
        interrupted = progress.interrupted;
        return found;
      }).catch((error: unknown) => {
        throw error instanceof RqError ? new Complaint(messageOf(error), ERRORS) : error;
      });
      if (flags.json === true) printJson(findings);
      else for (const each of findings) print(lineOf(each));
      const has = (severity: Finding['severity']): boolean =>
        findings.some(each => each.severity === severity);
      process.exitCode = has('error') ? ERRORS : has('warning') || interrupted ? WARNINGS : OK;
    });
}

const COLOURS = { ok: 'green', note: 'cyan', warning: 'yellow', error: 'red' } as const;

function lineOf({ severity, about, what, fix }: Finding): string {
  const todo = fix === '' ? '' : ` → ${safe(fix)}`;
  return `${colour(COLOURS[severity], severity.padEnd(7))}  ${safe(about)}: ${safe(what)}${todo}`;
}
