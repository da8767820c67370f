/** A measuring process: does one part of a measure with one subject, says its figures on a line, and ends. */
import { PARTS } from './parts/index.js';

const order = /** @type {import('./types.d.ts').Order} */ (JSON.parse(process.argv[2] ?? '{}'));

const say = (/** @type {unknown} */ message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** Resolves when the parent says so, or is gone. */
const toldToEnd = new Promise(resolve => {
  process.stdin.once('data', resolve);
  process.stdin.once('end', resolve);
  process.stdin.once('error', resolve);
});

/** Milliseconds that a process goes on whose parent is gone, or has told it to end. */
const GRACE_MS = 20_000;
process.stdin.once('end', () => setTimeout(() => process.exit(1), GRACE_MS).unref());

const part = PARTS[order.part];
if (part === undefined) throw new Error(`There is no part ${order.part}`);
const { subject } = /** @type {{ subject: import('./types.d.ts').Subject }} */ (
  await import(`./subjects/${order.subject}.js`)
);
const figures = await part(subject, order, { ready: () => say({ ready: true }), toldToEnd });
say({ figures });
process.exit(0);
