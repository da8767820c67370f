/** Asks Redis which commands the user of this connection may not send. */
import { Script } from '../script.ts';

/** Rest: commands as a user's rules name them (`client|id`), each with a key of the prefix. Reply: those that are refused. */
export const checkRights: Script<never, never, 'some_key'> = new Script({
  name: 'check_rights',
  args: ['some_key'],
  readsOnly: true,
  body: `
local refused = {}
-- who runs a script may run scripts
local asked_already = { eval = true, evalsha = true }
for n = rest, #ARGV do
  local words = {}
  for word in string.gmatch(ARGV[n], '[^|]+') do words[#words + 1] = word end
  -- Redis 7.0 looks for keys wherever a command may have one, however few words there are, and crashes on those that say
  -- themselves how many keys follow: so there are enough words, and none of that kind is asked for
  for _ = 1, 6 do words[#words + 1] = some_key end
  local known, allowed = true, true
  if not asked_already[ARGV[n]] then known, allowed = pcall(redis.acl_check_cmd, unpack(words)) end
  -- one that this Redis doesn't know is not missed
  if known and not allowed then refused[#refused + 1] = ARGV[n] end
end
return refused`,
});
