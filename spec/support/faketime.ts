/** Processes whose clock is another one. */
import { spawnSync } from 'node:child_process';

/**
 * The library that `faketime` preloads; `undefined` where it is not installed. Asked for some times, as it fails where a
 * process of its id was killed before: what that one had in shared memory is there still.
 */
function findLibrary(): string | undefined {
  for (let tries = 0; tries < 5; tries++) {
    const said = spawnSync('faketime', ['-f', '+0', 'printenv', 'LD_PRELOAD'], { encoding: 'utf8' });
    const found = /\S*libfaketime\S*/.exec(said.stdout ?? '')?.[0];
    if (found !== undefined) return found;
  }
  return undefined;
}
const FAKETIME: string | undefined = findLibrary();

/** Why no process can have another clock on this machine. */
export const LACKS: string | undefined =
  FAKETIME === undefined ? 'faketime is not installed (Debian: apt-get install faketime)' : undefined;

/** The environment of a process with this clock, as `faketime -f` takes it; its timers go as fast as others'. */
export function clockAt(time: string): Record<string, string> {
  return { LD_PRELOAD: FAKETIME ?? '', FAKETIME: time, FAKETIME_DONT_FAKE_MONOTONIC: '1', TZ: 'UTC' };
}
