/** Sections of README.md below those of the second level, pasted into a shell. */
import { describe, expect, it } from 'vitest';
import { useRedis } from './support/in-process.ts';
import { Reader, section } from './support/readme.ts';

const redis = useRedis();

describe('README', () => {
  it.each(['Unique jobs', 'Callbacks', 'Progress'])('%s prints what it says', async heading => {
    const { files, sessions } = section(heading, 3);
    const reader = await Reader.start(redis.url);
    try {
      await reader.write([['package.json', '{ "type": "module" }'], ...files]);
      const steps = sessions.flat();
      expect(steps.length).toBeGreaterThan(0);
      for (const { command, output } of steps) expect(await reader.run(command)).toBe(output);
    } finally {
      await reader.end();
    }
  });
});
