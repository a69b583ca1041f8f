/** How much of Redis 7.2 there is: every command is supported, or refused for a reason that is written here. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { commandTable } from './commands/table.ts'

const words = (text: string) => text.trim().split(/\s+/)

/** The commands of Redis 7.0.15 as COMMAND LIST tells them, with their subcommands, and what 7.2 added. */
const all = words(`
  acl|cat acl|deluser acl|dryrun acl|genpass acl|getuser acl|help acl|list acl|load acl|log acl|save acl|setuser
  acl|users acl|whoami append asking auth bgrewriteaof bgsave bitcount bitfield bitfield_ro bitop bitpos blmove
  blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin client|caching client|getname client|getredir client|help
  client|id client|info client|kill client|list client|no-evict client|no-touch client|pause client|reply
  client|setinfo client|setname client|tracking client|trackinginfo client|unblock client|unpause cluster|addslots
  cluster|addslotsrange cluster|bumpepoch cluster|count-failure-reports cluster|countkeysinslot cluster|delslots
  cluster|delslotsrange cluster|failover cluster|flushslots cluster|forget cluster|getkeysinslot cluster|help
  cluster|info cluster|keyslot cluster|links cluster|meet cluster|myid cluster|myshardid cluster|nodes
  cluster|replicas cluster|replicate cluster|reset cluster|saveconfig cluster|set-config-epoch cluster|setslot
  cluster|shards cluster|slaves cluster|slots command|count command|docs command|getkeys command|getkeysandflags
  command|help command|info command|list config|get config|help config|resetstat config|rewrite config|set copy
  dbsize debug decr decrby del discard dump echo eval eval_ro evalsha evalsha_ro exec exists expire expireat
  expiretime failover fcall fcall_ro flushall flushdb function|delete function|dump function|flush function|help
  function|kill function|list function|load function|restore function|stats geoadd geodist geohash geopos
  georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch geosearchstore get getbit getdel getex
  getrange getset hdel hello hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan
  hset hsetnx hstrlen hvals incr incrby incrbyfloat info keys lastsave latency|doctor latency|graph latency|help
  latency|histogram latency|history latency|latest latency|reset lcs lindex linsert llen lmove lmpop lolwut lpop
  lpos lpush lpushx lrange lrem lset ltrim memory|doctor memory|help memory|malloc-stats memory|purge memory|stats
  memory|usage mget migrate module|help module|list module|load module|loadex module|unload monitor move mset
  msetnx multi object|encoding object|freq object|help object|idletime object|refcount persist pexpire pexpireat
  pexpiretime pfadd pfcount pfdebug pfmerge pfselftest ping psetex psubscribe psync pttl publish pubsub|channels
  pubsub|help pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub punsubscribe quit randomkey
  readonly readwrite rename renamenx replconf replicaof reset restore restore-asking role rpop rpoplpush rpush
  rpushx sadd save scan scard script|debug script|exists script|flush script|help script|kill script|load sdiff
  sdiffstore select set setbit setex setnx setrange shutdown sinter sintercard sinterstore sismember slaveof
  slowlog|get slowlog|help slowlog|len slowlog|reset smembers smismember smove sort sort_ro spop spublish
  srandmember srem sscan ssubscribe strlen subscribe substr sunion sunionstore sunsubscribe swapdb sync time touch
  ttl type unlink unsubscribe unwatch wait waitaof watch xack xadd xautoclaim xclaim xdel xgroup|create
  xgroup|createconsumer xgroup|delconsumer xgroup|destroy xgroup|help xgroup|setid xinfo|consumers xinfo|groups
  xinfo|help xinfo|stream xlen xpending xrange xread xreadgroup xrevrange xsetid xtrim zadd zcard zcount zdiff
  zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange
  zrangebylex zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange
  zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore
`)

/** What makes, moves and debugs the parts of a cluster of Redis servers, and modules: dotdo has its own ways. */
const notCounted = words(`
  cluster|addslots cluster|addslotsrange cluster|bumpepoch cluster|delslots cluster|delslotsrange cluster|failover
  cluster|flushslots cluster|forget cluster|meet cluster|replicate cluster|reset cluster|saveconfig
  cluster|set-config-epoch cluster|setslot debug failover migrate module|list module|load module|loadex
  module|unload pfdebug pfselftest psync replconf replicaof restore-asking script|debug slaveof sync
`)

const refused: Readonly<Record<string, string>> = {
  'config|rewrite': 'there is no configuration file',
  'object|freq': 'how often a key is used is not kept',
  'object|idletime': 'when a key was used last is not kept',
}

const isRefused = (name: string) => commandTable.get(name)?.summary.startsWith('Refused') === true

test('every command of Redis 7.2 is supported, or refused for a reason', () => {
  // HELP is made for whatever has subcommands.
  const known = (name: string) => commandTable.has(name.replace(/\|help$/, ''))
  expect(all.filter((name) => !known(name))).toEqual([])
  const counted = all.filter((name) => !notCounted.includes(name))
  expect(counted.filter(isRefused)).toEqual(Object.keys(refused))
})

test('README tells the share of those that are supported', () => {
  const counted = all.filter((name) => !notCounted.includes(name))
  const supported = counted.length - Object.keys(refused).length
  const percent = ((100 * supported) / counted.length).toFixed(1)
  const readme = readFileSync(new URL('README.md', import.meta.url), 'utf8').replace(/\s+/g, ' ')
  expect(readme).toContain(`${supported} of the ${counted.length} commands of Redis 7.2 (${percent} %)`)
  expect(Number(percent)).toBeGreaterThanOrEqual(99)
})
