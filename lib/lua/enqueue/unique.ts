/** Lua of `enqueue` for calls of which there is to be one job: who holds a call's key, and how another one takes its place. */

/**
 * `held(key)` answers the job that keeps a call from being queued, and its status (`gone` where it is no more); or nothing
 * and what is wrong. A key whose text is `<id>` counts while that job has not ended, one of `<id>:timed` while it is there.
 *
 * `hold(key, id, lasting, until_due)` takes it for a job, for `lasting` seconds or, where these are 0, until it has ended.
 *
 * `take_out(old, was, id)` cancels a job that waits; `id`, where there is one, gets its place in the list: answers whether
 * it did. Needs \`clock\`, \`announce\`, \`seconds\`, \`keep\`, the tables \`back\` and \`front\` of ids yet to be pushed, and \`ended\`.
 */
export const uniqueCalls = `
local function held(key)
  local text = redis.pcall('GET', key)
  if not text then return nil end
  if type(text) == 'table' then return nil, 'error:' .. text.err end
  local id = string.match(text, '^(.*):timed$')
  local timed = id ~= nil
  id = id or text
  local status = redis.pcall('HGET', job_prefix .. id, 'status')
  if type(status) ~= 'string' then status = 'gone' end
  if not timed then
    if status == 'gone' or ended[status] then return nil end
    redis.call('EXPIRE', key, unique_ttl, 'GT')
  end
  return id, status
end
local function hold(key, id, lasting, until_due)
  if lasting > 0 then redis.call('SET', key, id .. ':timed', 'EX', lasting)
  -- it is looked at the job: the expiry only clears away what nobody asks for any more
  else redis.call('SET', key, id, 'EX', string.format('%d', unique_ttl + until_due)) end
end
local function in_list(list, old, id)
  for n = 1, #list do
    if list[n] == old then
      if id then list[n] = id else table.remove(list, n) end
      return true
    end
  end
  return false
end
local function take_out(old, was, id)
  local key = job_prefix .. old
  local placed = false
  if was == 'queued' then
    if in_list(back, old, id) or in_list(front, old, id) then placed = id ~= nil
    else
      if id and q.list == listed then placed = redis.call('LINSERT', listed, 'BEFORE', old, id) > 0 end
      redis.call('LREM', listed, 0, old)
    end
  elseif was == 'deferred' then
    redis.call('ZREM', q.deferred, old)
    redis.call('DEL', job_prefix .. ':' .. old .. ':dependencies')
  else
    redis.call('ZREM', q.scheduled, old)
  end
  local ttl = seconds(redis.call('HGET', key, 'failure_ttl')) or tonumber(failure_ttl)
  if ttl == 0 then redis.call('DEL', key)
  else
    redis.call('ZADD', q.canceled, now, old)
    redis.call('HSET', key, 'status', 'canceled')
    redis.call('HDEL', key, 'execution_id')
    keep(key, ttl)
  end
  -- who waits for it finds it gone then
  if ttl == 0 then redis.call('UNLINK', key .. ':dependents') else keep(key .. ':dependents', ttl) end
  announce(queue_name, old, 'canceled')
  return placed
end`;
