/** Puts what a worker's ended blocking reads took back to the front of the queues. */
import { Script } from '../script.ts';

/** Reply: how many ids went back. */
export const releaseClaims: Script<never, 'list' | 'claims'> = new Script({
  name: 'release_claims',
  queueKeys: ['list', 'claims'],
  allowOom: true,
  body: `
local released = 0
for i = 1, queues do
  local q = queue(i)
  while true do
    local moved = redis.pcall('LMOVE', q.claims, q.list, 'RIGHT', 'LEFT')
    if not moved or type(moved) == 'table' then break end
    released = released + 1
  end
end
return released`,
});
