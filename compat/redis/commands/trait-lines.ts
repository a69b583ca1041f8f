/** What Redis says of its commands beside their arity and keys: flags, ACL categories, key specifications and tips.
 *
 *  1. A row's own columns rule where the two speak of one thing (arity, where the keys are); what is not listed here is
 *     told from the row.
 *  2. Categories that follow from flags (`@write`, `@fast`, `@dangerous` of admin commands ...) are not written out.
 *
 *  @source the replies of COMMAND of Redis 7.0, with what the documentation of 7.2 and 7.4 adds */

/** Flags, categories that do not follow from them, and the commands that have both. */
export const flagLines: readonly (readonly [flags: string, categories: string, commands: string])[] = [
  [
    '',
    '',
    'acl client cluster config function latency memory memory|doctor memory|malloc-stats memory|purge ' +
      'memory|stats module object pubsub script slowlog xgroup xinfo',
  ],
  ['admin', 'hyperloglog', 'pfselftest'],
  ['admin loading stale', '', 'slowlog|get slowlog|len slowlog|reset'],
  ['admin noscript', '', 'module|list'],
  [
    'admin noscript loading stale',
    '',
    'acl|deluser acl|dryrun acl|getuser acl|list acl|load acl|log acl|save acl|setuser acl|users ' +
      'config|get config|resetstat config|rewrite config|set debug latency|doctor latency|graph ' +
      'latency|histogram latency|history latency|latest latency|reset monitor',
  ],
  [
    'admin noscript loading stale',
    'connection',
    'client|kill client|list client|no-evict client|pause client|unblock client|unpause',
  ],
  ['admin noscript loading stale allow_busy', '', 'replconf'],
  ['admin noscript loading stale no_multi allow_busy', '', 'shutdown'],
  ['admin noscript no_async_loading', '', 'bgrewriteaof bgsave module|load module|loadex module|unload'],
  ['admin noscript no_async_loading no_multi', '', 'psync save sync'],
  ['admin noscript stale', '', 'cluster|reset failover'],
  ['admin noscript stale no_async_loading', '', 'replicaof slaveof'],
  ['admin stale', '', 'cluster|count-failure-reports cluster|replicas cluster|slaves'],
  [
    'admin stale no_async_loading',
    '',
    'cluster|addslots cluster|addslotsrange cluster|bumpepoch cluster|delslots cluster|delslotsrange ' +
      'cluster|failover cluster|flushslots cluster|forget cluster|meet cluster|replicate ' +
      'cluster|saveconfig cluster|set-config-epoch cluster|setslot',
  ],
  ['fast', 'connection', 'asking ping'],
  [
    'loading stale',
    '',
    'acl|help cluster|help config|help latency|help memory|help module|help pubsub|help slowlog|help',
  ],
  [
    'loading stale',
    'connection',
    'client|help command command|count command|docs command|getkeys command|getkeysandflags command|help ' +
      'command|info command|list',
  ],
  ['loading stale', 'dangerous', 'info'],
  ['loading stale', 'keyspace', 'object|help'],
  ['loading stale', 'scripting', 'function|help script|help'],
  ['loading stale', 'stream', 'xgroup|help xinfo|help'],
  ['loading stale fast', '', 'time'],
  ['loading stale fast', 'admin dangerous', 'lastsave'],
  ['loading stale fast', 'connection', 'echo readonly readwrite select'],
  ['noscript', 'connection', 'wait waitaof'],
  ['noscript', 'scripting', 'function|dump function|list script|debug script|exists script|flush'],
  ['noscript allow_busy', 'scripting', 'function|kill function|stats script|kill'],
  ['noscript loading stale', '', 'acl|cat acl|genpass acl|whoami'],
  [
    'noscript loading stale',
    'connection',
    'client|caching client|getname client|getredir client|id client|info client|no-touch client|reply ' +
      'client|setinfo client|setname client|tracking client|trackinginfo',
  ],
  ['noscript loading stale fast', 'admin dangerous', 'role'],
  ['noscript loading stale fast allow_busy', 'transaction', 'discard multi unwatch watch'],
  ['noscript loading stale fast no_auth allow_busy', 'connection', 'auth hello quit reset'],
  ['noscript loading stale skip_slowlog', 'transaction', 'exec'],
  ['noscript stale', 'scripting', 'script|load'],
  ['noscript stale skip_monitor no_mandatory_keys', 'scripting', 'eval evalsha fcall'],
  ['pubsub loading stale', '', 'pubsub|channels pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub'],
  ['pubsub loading stale fast', '', 'publish spublish'],
  ['pubsub noscript loading stale', '', 'psubscribe punsubscribe ssubscribe subscribe sunsubscribe unsubscribe'],
  ['readonly', '', 'memory|usage'],
  ['readonly', 'bitmap', 'bitcount bitpos'],
  ['readonly', 'geo', 'geodist geohash geopos georadius_ro georadiusbymember_ro geosearch'],
  ['readonly', 'hash', 'hgetall hkeys hrandfield hscan hvals'],
  ['readonly', 'hyperloglog', 'pfcount'],
  ['readonly', 'keyspace', 'dump object|encoding object|freq object|idletime object|refcount randomkey scan'],
  ['readonly', 'keyspace dangerous', 'keys'],
  ['readonly', 'list', 'lindex lpos lrange'],
  ['readonly', 'set', 'sdiff sinter sintercard smembers srandmember sscan sunion'],
  ['readonly', 'set sortedset list dangerous', 'sort_ro'],
  [
    'readonly',
    'sortedset',
    'zdiff zinter zintercard zrandmember zrange zrangebylex zrangebyscore zrevrange zrevrangebylex ' +
      'zrevrangebyscore zscan zunion',
  ],
  ['readonly', 'stream', 'xinfo|consumers xinfo|groups xinfo|stream xpending xrange xrevrange'],
  ['readonly', 'string', 'getrange lcs substr'],
  ['readonly blocking', 'stream', 'xread'],
  ['readonly fast', '', 'lolwut'],
  ['readonly fast', 'bitmap', 'bitfield_ro getbit'],
  ['readonly fast', 'hash', 'hexists hexpiretime hget hlen hmget hpexpiretime hpttl hstrlen httl'],
  ['readonly fast', 'keyspace', 'dbsize exists expiretime pexpiretime pttl touch ttl type'],
  ['readonly fast', 'list', 'llen'],
  ['readonly fast', 'set', 'scard sismember smismember'],
  ['readonly fast', 'sortedset', 'zcard zcount zlexcount zmscore zrank zrevrank zscore'],
  ['readonly fast', 'stream', 'xlen'],
  ['readonly fast', 'string', 'get mget strlen'],
  ['readonly noscript stale skip_monitor no_mandatory_keys', 'scripting', 'eval_ro evalsha_ro fcall_ro'],
  [
    'stale',
    '',
    'cluster|countkeysinslot cluster|getkeysinslot cluster|info cluster|keyslot cluster|links ' +
      'cluster|myid cluster|myshardid cluster|nodes cluster|shards cluster|slots',
  ],
  ['write', 'keyspace', 'del rename'],
  ['write', 'keyspace dangerous', 'flushall flushdb migrate'],
  ['write', 'list', 'lmpop lrem ltrim'],
  ['write', 'sortedset', 'zmpop zremrangebylex zremrangebyrank zremrangebyscore'],
  ['write', 'stream', 'xgroup|delconsumer xgroup|destroy xgroup|setid xtrim'],
  ['write blocking', 'list', 'blmpop'],
  ['write blocking', 'sortedset', 'bzmpop'],
  ['write blocking', 'stream', 'xreadgroup'],
  ['write denyoom', 'bitmap', 'bitfield bitop setbit'],
  ['write denyoom', 'geo', 'geoadd georadius georadiusbymember geosearchstore'],
  ['write denyoom', 'hyperloglog', 'pfmerge'],
  ['write denyoom', 'keyspace', 'copy'],
  ['write denyoom', 'keyspace dangerous', 'restore'],
  ['write denyoom', 'list', 'linsert lmove lset rpoplpush'],
  ['write denyoom', 'set', 'sdiffstore sinterstore sunionstore'],
  ['write denyoom', 'set sortedset list dangerous', 'sort'],
  ['write denyoom', 'sortedset', 'zdiffstore zinterstore zrangestore zunionstore'],
  ['write denyoom', 'stream', 'xgroup|create xgroup|createconsumer'],
  ['write denyoom', 'string', 'mset msetnx psetex set setex setrange'],
  ['write denyoom admin', 'hyperloglog', 'pfdebug'],
  ['write denyoom asking', 'keyspace dangerous', 'restore-asking'],
  ['write denyoom fast', 'hash', 'hexpire hexpireat hincrby hincrbyfloat hmset hpexpire hpexpireat hset hsetnx'],
  ['write denyoom fast', 'hyperloglog', 'pfadd'],
  ['write denyoom fast', 'list', 'lpush lpushx rpush rpushx'],
  ['write denyoom fast', 'set', 'sadd'],
  ['write denyoom fast', 'sortedset', 'zadd zincrby'],
  ['write denyoom fast', 'stream', 'xadd xsetid'],
  ['write denyoom fast', 'string', 'append decr decrby getset incr incrby incrbyfloat setnx'],
  ['write denyoom noscript', 'scripting', 'function|load function|restore'],
  ['write denyoom noscript blocking', 'list', 'blmove brpoplpush'],
  ['write fast', 'hash', 'hdel hpersist'],
  ['write fast', 'keyspace', 'expire expireat move persist pexpire pexpireat renamenx unlink'],
  ['write fast', 'keyspace dangerous', 'swapdb'],
  ['write fast', 'list', 'lpop rpop'],
  ['write fast', 'set', 'smove spop srem'],
  ['write fast', 'sortedset', 'zpopmax zpopmin zrem'],
  ['write fast', 'stream', 'xack xautoclaim xclaim xdel'],
  ['write fast', 'string', 'getdel getex'],
  ['write noscript', 'scripting', 'function|delete function|flush'],
  ['write noscript blocking', 'list', 'blpop brpop'],
  ['write noscript blocking fast', 'sortedset', 'bzpopmax bzpopmin'],
]

/** Key specifications: flags, where the search begins (`i` an index, `k` a keyword and where to look for it from), and
 *  how keys are found from there (`r` last, step, limit; `n` where the number is, the first key, step). */
export const keySpecLines: readonly (readonly [specs: string, commands: string])[] = [
  ['OW insert i1 r-1,2,0', 'msetnx'],
  ['OW insert i1 r0,1,0', 'setnx'],
  ['OW update i1 r-1,2,0', 'mset'],
  ['OW update i1 r0,1,0', 'psetex restore restore-asking setex'],
  ['OW update i1 r0,1,0; RO access i2 n0,1,1', 'zdiffstore zinterstore zunionstore'],
  ['OW update i1 r0,1,0; RO access i2 r-1,1,0', 'sdiffstore sunionstore'],
  ['OW update i1 r0,1,0; RO access i2 r0,1,0', 'geosearchstore zrangestore'],
  ['OW update i2 r0,1,0; RO access i3 r-1,1,0', 'bitop'],
  ['RM delete i1 r-1,1,0', 'del unlink'],
  ['RO access i1 n0,1,1', 'sintercard zdiff zinter zintercard zunion'],
  ['RO access i1 r-1,1,0', 'mget sdiff sinter sunion'],
  [
    'RO access i1 r0,1,0',
    'bitcount bitfield_ro bitpos dump expiretime geodist geohash geopos georadius_ro ' +
      'georadiusbymember_ro geosearch get getbit getrange hexpiretime hget hgetall hkeys hmget ' +
      'hpexpiretime hpttl hrandfield hscan httl hvals lindex lpos lrange pexpiretime pttl smembers ' +
      'smismember srandmember sscan substr ttl xpending xrange xrevrange zcount zlexcount zmscore ' +
      'zrandmember zrange zrangebylex zrangebyscore zrank zrevrange zrevrangebylex zrevrangebyscore ' +
      'zrevrank zscan zscore',
  ],
  ['RO access i1 r0,1,0; OW update i2 r0,1,0', 'copy'],
  ['RO access i1 r0,1,0; OW update kSTORE,5 r0,1,0; OW update kSTOREDIST,5 r0,1,0', 'georadiusbymember'],
  ['RO access i1 r0,1,0; OW update kSTORE,6 r0,1,0; OW update kSTOREDIST,6 r0,1,0', 'georadius'],
  ['RO access i1 r0,1,0; RO access unknown unknown', 'sort_ro'],
  ['RO access i1 r0,1,0; RO access unknown unknown; OW update unknown unknown', 'sort'],
  ['RO access i1 r1,1,0', 'lcs'],
  ['RO access i2 n0,1,1', 'eval_ro evalsha_ro fcall_ro'],
  ['RO access i2 r0,1,0', 'xinfo|consumers xinfo|groups xinfo|stream'],
  ['RO access kSTREAMS,1 r-1,1,2', 'xread'],
  ['RO access kSTREAMS,4 r-1,1,2', 'xreadgroup'],
  ['RO i1 r-1,1,0', 'exists touch watch'],
  ['RO i1 r0,1,0', 'hexists hlen hstrlen llen scard sismember strlen type xlen zcard'],
  ['RO i2 r0,1,0', 'memory|usage object|encoding object|freq object|idletime object|refcount'],
  ['RW access delete i1 n0,1,1', 'lmpop zmpop'],
  ['RW access delete i1 r-2,1,0', 'blpop brpop bzpopmax bzpopmin'],
  ['RW access delete i1 r0,1,0', 'getdel lpop rpop spop zpopmax zpopmin'],
  ['RW access delete i1 r0,1,0; OW insert i2 r0,1,0', 'renamenx'],
  ['RW access delete i1 r0,1,0; OW update i2 r0,1,0', 'rename'],
  ['RW access delete i1 r0,1,0; RW insert i2 r0,1,0', 'blmove brpoplpush lmove rpoplpush smove'],
  ['RW access delete i2 n0,1,1', 'blmpop bzmpop'],
  ['RW access delete i3 r0,1,0; RW access delete incomplete kKEYS,-2 r-1,1,0', 'migrate'],
  ['RW access i1 r-1,1,0', 'pfcount'],
  ['RW access i2 r0,1,0', 'pfdebug'],
  ['RW access insert i1 r0,1,0; RO access i2 r-1,1,0', 'pfmerge'],
  [
    'RW access update i1 r0,1,0',
    'decr decrby getex getset hincrby hincrbyfloat incr incrby incrbyfloat move setbit zincrby',
  ],
  ['RW access update i2 n0,1,1', 'eval evalsha fcall'],
  ['RW access update variable_flags i1 r0,1,0', 'bitfield set'],
  [
    'RW delete i1 r0,1,0',
    'hdel lrem ltrim srem xautoclaim xdel xtrim zrem zremrangebylex zremrangebyrank zremrangebyscore',
  ],
  ['RW delete i2 r0,1,0', 'xgroup|delconsumer xgroup|destroy'],
  ['RW insert i1 r0,1,0', 'append hsetnx linsert lpush lpushx pfadd rpush rpushx sadd'],
  ['RW insert i2 r0,1,0', 'xgroup|create xgroup|createconsumer'],
  [
    'RW update i1 r0,1,0',
    'expire expireat geoadd hexpire hexpireat hmset hpersist hpexpire hpexpireat hset lset persist ' +
      'pexpire pexpireat setrange xack xadd xclaim xsetid zadd',
  ],
  ['RW update i1 r0,1,0; RO access i2 r-1,1,0', 'sinterstore'],
  ['RW update i2 r0,1,0', 'xgroup|setid'],
  ['not_key i1 r-1,1,0', 'ssubscribe sunsubscribe'],
  ['not_key i1 r0,1,0', 'spublish'],
]

/** Tips for proxies and clients of a cluster. */
export const tipLines: readonly (readonly [tips: string, commands: string])[] = [
  [
    'nondeterministic_output',
    'client|info client|list cluster|bumpepoch cluster|count-failure-reports cluster|getkeysinslot ' +
      'cluster|info cluster|links cluster|nodes cluster|replicas cluster|shards cluster|slaves ' +
      'cluster|slots dump hrandfield hscan lastsave migrate object|encoding object|freq object|idletime ' +
      'object|refcount pttl spop srandmember sscan time ttl xadd xautoclaim xclaim xinfo|consumers ' +
      'xpending xtrim zrandmember zscan',
  ],
  [
    'nondeterministic_output request_policy:all_nodes response_policy:special',
    'latency|doctor latency|graph latency|histogram latency|history latency|latest',
  ],
  [
    'nondeterministic_output request_policy:all_shards response_policy:special',
    'function|stats info memory|doctor memory|malloc-stats memory|stats',
  ],
  ['nondeterministic_output request_policy:special', 'scan'],
  [
    'nondeterministic_output_order',
    'command command|docs command|info command|list function|list hgetall hkeys hvals module|list sdiff ' +
      'sinter smembers sunion',
  ],
  ['request_policy:all_nodes nondeterministic_output', 'slowlog|get'],
  ['request_policy:all_nodes response_policy:agg_sum nondeterministic_output', 'slowlog|len'],
  [
    'request_policy:all_nodes response_policy:all_succeeded',
    'config|set latency|reset script|flush script|load slowlog|reset',
  ],
  ['request_policy:all_shards nondeterministic_output', 'randomkey'],
  ['request_policy:all_shards nondeterministic_output_order', 'keys'],
  ['request_policy:all_shards response_policy:agg_logical_and', 'script|exists'],
  ['request_policy:all_shards response_policy:agg_min', 'wait'],
  ['request_policy:all_shards response_policy:agg_sum', 'dbsize'],
  [
    'request_policy:all_shards response_policy:all_succeeded',
    'flushall flushdb function|delete function|flush function|load function|restore memory|purge ping',
  ],
  ['request_policy:all_shards response_policy:one_succeeded', 'function|kill script|kill'],
  ['request_policy:multi_shard', 'mget'],
  ['request_policy:multi_shard response_policy:agg_min', 'msetnx'],
  ['request_policy:multi_shard response_policy:agg_sum', 'del exists touch unlink'],
  ['request_policy:multi_shard response_policy:all_succeeded', 'mset'],
]
