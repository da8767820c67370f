/** The commands that each of the README's Redis users needs: what `rq doctor` asks Redis for. */

export type Role = 'producer' | 'worker' | 'operator';

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

/** As the README's rules have them, without the `+`. */
export const RIGHTS: Readonly<Record<Role, readonly string[]>> = {
  producer: words(`
    info eval evalsha copy del exists expire get hdel hget hgetall hmget hset lindex linsert llen lpop lpush
    lrange lrem persist publish pubsub|numpat pubsub|numsub rename rpush sadd scard set smembers srandmember srem
    subscribe sunion sunionstore time unlink unsubscribe xrevrange zadd zcard zrange zrem zremrangebyscore
    zscore
  `),
  worker: words(`
    info eval evalsha blmove client|id client|unblock del exists expire get hdel hexists hget hgetall hincrby
    hincrbyfloat hlen hmget hrandfield hset incrby lindex llen lmove lpop lpush lrange lrem ltrim persist pexpire ping
    pttl publish pubsub|channels pubsub|numpat pubsub|numsub rename rpush sadd scard set smembers spop
    srandmember srem subscribe sunionstore time unlink xadd xrevrange zadd zcard zrange zrangebyscore zrem
    zremrangebyscore zscan zscore
  `),
  operator: words(`
    info eval evalsha config|get copy del exists expire get hdel hget hgetall hmget hset lindex linsert llen lpop
    lpos lpush lrange lrem memory|usage persist pttl publish pubsub|numpat pubsub|numsub rename rpush sadd scan
    scard set sismember smembers srandmember srem subscribe sunion sunionstore time type unlink unsubscribe
    xrevrange zadd zcard zrandmember zrange zrem zremrangebyscore zscan zscore
  `),
};
