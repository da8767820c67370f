/** Processes whose clock is another one. */
import { spawnSync } from 'node:child_process';

/** The library that `faketime` preloads; `undefined` where it is not installed. */
const FAKETIME: string | undefined = /\S*libfaketime\S*/.exec(
  spawnSync('faketime', ['-f', '+0', 'printenv', 'LD_PRELOAD'], { encoding: 'utf8' }).stdout ?? '',
)?.[0];

/** Why no process can have another clock on this machine. */
export const LACKS: string | undefined =
  FAKETIME === undefined ? 'faketime is not installed (Debian: apt-get install faketime)' : undefined;

/** The environment of a process with this clock, as `faketime -f` takes it; its timers go as fast as others'. */
export function clockAt(time: string): Record<string, string> {
  return { LD_PRELOAD: FAKETIME ?? '', FAKETIME: time, FAKETIME_DONT_FAKE_MONOTONIC: '1', TZ: 'UTC' };
}
