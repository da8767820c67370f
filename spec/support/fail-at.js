/**
 * Preloaded with `node --import`: ends the process by SIGKILL between two round trips to Redis, as `FAIL_AT` says.
 * `before:7` sends the 7th command no more, `sent:7` has written it and hears no reply, `after:7` has the reply and does
 * nothing with it. `after:1:blmove` counts the commands of one name only, or the calls of one script by its hash.
 */
import { writeSync } from 'node:fs';
import { Redis } from 'ioredis';

const [phase, nth, only] = (process.env['FAIL_AT'] ?? '').split(':');
/** @type {(this: Redis, ...args: Parameters<Redis['sendCommand']>) => unknown} */
const own = Reflect.get(Redis.prototype, 'sendCommand');
let count = 0;

Redis.prototype.sendCommand = function sendCommand(command, stream) {
  const named = only === undefined || command.name === only || command.args[0] === only;
  if (!named) return own.call(this, command, stream);
  count++;
  if (String(count) !== nth) return own.call(this, command, stream);
  const die = () => {
    // a script says its name in its second line; else there is its hash
    const [script = ''] = command.args.map(String);
    writeSync(
      2,
      `fail at ${phase}:${count} ${command.name} ${script.split('\n-- ')[1]?.split('\n')[0] ?? script}\n`,
    );
    process.kill(process.pid, 'SIGKILL');
  };
  if (phase === 'before') die();
  // before the caller, who hears of it in a later turn
  if (phase === 'after') void command.promise.then(die, die);
  const reply = own.call(this, command, stream);
  if (phase === 'sent') {
    const socket = this.stream;
    if (socket.writableLength === 0) die();
    else socket.write('', die);
  }
  return reply;
};
