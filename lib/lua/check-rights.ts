/** Asks Redis which commands the user of this connection may not send. */
import { Script } from '../script.ts';

/** Rest: commands as a user's rules name them (`client|id`), each with a key of the prefix. Reply: those that are refused. */
export const checkRights: Script<never, never, 'some_key'> = new Script({
  name: 'check_rights',
  args: ['some_key'],
  readsOnly: true,
  body: `
local refused = {}
for n = rest, #ARGV do
  local words = {}
  for word in string.gmatch(ARGV[n], '[^|]+') do words[#words + 1] = word end
  -- a command with subcommands takes no key in this place
  if #words == 1 then words[2] = some_key end
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  -- one that this Redis doesn't know is not missed
  if known and not allowed then refused[#refused + 1] = ARGV[n] end
end
return refused`,
});
