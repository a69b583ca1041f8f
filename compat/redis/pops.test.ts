/** Commands that wait for an element, over several connections: the same steps against us and against a real Redis. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { installedVersion, RealRedis, RespConnection } from './real-redis.testing.ts'
import { openTestServer, type TestClient } from './test-server.ts'
import { type Reply, show } from './transcript.testing.ts'

/** A connection: one request at a time. */
interface Client {
  run(line: string): Promise<Reply>
  close(): void
}

interface Place {
  /** Begin a connection. */
  client(): Promise<Client>
  /** End all connections and forget all data. */
  clear(): Promise<void>
  stop(): Promise<void>
}

async function oursPlace(): Promise<Place> {
  const server = await openTestServer()
  const open: TestClient[] = []
  const client = async (): Promise<Client> => {
    const made = server.connect()
    open.push(made)
    await made.run('HELLO', '3')
    return { run: (line) => made.run(...line.split(' ')), close: () => made.session.finish() }
  }
  return {
    client,
    async clear() {
      for (const each of open.splice(0)) each.session.finish()
      await (await client()).run('FLUSHALL')
      expect(server.bugs).toEqual([])
    },
    stop: () => server.close(),
  }
}

async function realPlace(): Promise<Place> {
  const server = await RealRedis.start()
  const open: RespConnection[] = []
  return {
    async client() {
      const connection = await RespConnection.open(server.port)
      open.push(connection)
      return { run: (line) => connection.run(...line.split(' ')), close: () => connection.close() }
    },
    async clear() {
      for (const connection of open.splice(0)) connection.close()
      await server.run('FLUSHALL')
    },
    async stop() {
      for (const connection of open.splice(0)) connection.close()
      await server.stop()
    },
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Who waits is woken a turn or two after the commit: nothing has changed for so many. */
const SETTLED_TURNS = 10

/** A session: `a: line` sends a request; when it waits, its reply is shown where it comes, after the step that let it
 *  go. `a: close` ends a connection. `$a` is the id of a connection. A line that ends in `!` is waited for. */
async function play(place: Place, steps: readonly string[]): Promise<string[]> {
  const shown: string[] = []
  const clients = new Map<string, { client: Client; id: string; waits: boolean; closed: boolean }>()
  const observer = await place.client()
  const blocked = async () => Number(/blocked_clients:(\d+)/.exec(String(await observer.run('INFO clients')))?.[1])
  const find = async (name: string) => {
    const known = clients.get(name)
    if (known !== undefined) return known
    const client = await place.client()
    const made = { client, id: String(await client.run('CLIENT ID')), waits: false, closed: false }
    clients.set(name, made)
    return made
  }
  /** Until as many clients are blocked as wait for their replies. */
  const settle = async () => {
    const waiting = () => [...clients.values()].filter(({ waits }) => waits).length
    const deadlineMs = performance.now() + 5_000
    for (let same = 0; same < SETTLED_TURNS; ) {
      await turn()
      same = (await blocked()) === waiting() ? same + 1 : 0
      if (performance.now() > deadlineMs) throw new Error(`${shown.join('\n')}\n${waiting()} clients wait`)
    }
  }
  for (const step of steps) {
    const [name = '', written = ''] = step.split(': ')
    const text = written.replace(/ !$/, '')
    const client = await find(name)
    if (text === 'close') {
      client.client.close()
      client.waits = false
      client.closed = true
    } else {
      client.waits = true
      const line = text.replace(/\$(\w)/g, (_, other: string) => clients.get(other)?.id ?? '')
      void client.client.run(line).then((reply) => {
        client.waits = false
        // Redis 7.2 has other words for a group that is gone than 7.0.
        if (!client.closed) shown.push(`${name}: ${show(reply).replace(/(-NOGROUP) .*/, '$1')}`)
      })
    }
    const before = shown.length
    if (text !== written) await expect.poll(() => client.waits).toBe(false)
    await settle()
    // Who is served by one step at once answers in no order across connections.
    shown.push(...shown.splice(before).sort(), '-')
  }
  return shown
}

const sessions: { readonly [title: string]: readonly string[] } = {
  'a push wakes who has waited longest': [
    'a: BLPOP l 0',
    'b: BRPOP l 0',
    'c: BLPOP other l 0',
    'w: RPUSH l 1',
    'w: RPUSH l 2 3 4',
    'w: LRANGE l 0 -1',
  ],
  'an element goes on from list to list': [
    'a: BLMOVE l m LEFT RIGHT 0',
    'b: BRPOPLPUSH m n 0',
    'c: BLMPOP 0 2 x n LEFT COUNT 5',
    'w: RPUSH l 1',
    'w: EXISTS l m n',
  ],
  'sorted sets': [
    'a: BZPOPMIN z 0',
    'b: BZPOPMAX y z 0',
    'c: BZMPOP 0 1 z MIN COUNT 2',
    'w: ZADD z 1 one 2 two 3 three 4 four 5 five',
    'w: ZRANGE z 0 -1',
  ],
  'the first key that there is, as the keys stand in the request': [
    'a: BLPOP x y z 0',
    'w: MULTI',
    'w: RPUSH y 1',
    'w: RPUSH z 2',
    'w: EXEC',
    'w: EXISTS x y z',
  ],
  'what a transaction made and removed wakes nobody': [
    'a: BLPOP l 0',
    'w: MULTI',
    'w: RPUSH l 1',
    'w: DEL l',
    'w: EXEC',
    'w: SET l text',
    'w: DEL l',
    'w: RPUSH l 2',
  ],
  'inside MULTI and EVAL nothing waits': [
    'a: MULTI',
    'a: BLPOP l 0',
    'a: BLMOVE l m LEFT LEFT 0',
    'a: BZPOPMIN z 0',
    'a: BLMPOP 0 1 l LEFT',
    'a: RPUSH l 1 2',
    'a: BRPOP l 0',
    'a: EXEC',
  ],
  'CLIENT UNBLOCK, and a client that leaves': [
    'a: BLPOP l 0',
    'w: CLIENT UNBLOCK $a',
    'a: BLMOVE l m LEFT RIGHT 0',
    'w: CLIENT UNBLOCK $a ERROR',
    'a: BZMPOP 0 1 z MIN',
    'w: CLIENT UNBLOCK $a TIMEOUT',
    'w: CLIENT UNBLOCK $a',
    'a: BLPOP l 0',
    'b: BLPOP l 0',
    'a: close',
    'w: RPUSH l 1',
  ],
  'a key comes by other ways': [
    'a: BLPOP l 0',
    'w: RPUSH m 1',
    'w: RENAME m l',
    'a: BLPOP l 0',
    'w: RPUSH m 2',
    'w: COPY m l',
    'a: BZPOPMIN z 0',
    'w: ZADD y 1 one',
    'w: ZUNIONSTORE z 1 y',
    'a: BLPOP l 0',
    'w: SORT m STORE l',
    'a: BLPOP l 0',
    'w: LMOVE m l LEFT LEFT',
    'a: BLPOP l 0',
    'w: LINSERT l BEFORE x y',
    'w: EVAL return{redis.call("rpush","l","1"),redis.call("llen","l")} 0',
  ],
  streams: [
    'w: XGROUP CREATE s g $ MKSTREAM',
    'a: XREAD BLOCK 0 STREAMS s $',
    'b: XREADGROUP GROUP g c BLOCK 0 STREAMS s >',
    'w: XADD s 1-1 f v',
    'b: XREADGROUP GROUP g c BLOCK 0 STREAMS s >',
    'w: XGROUP DESTROY s g',
    'a: XREAD BLOCK 0 STREAMS s 1-1',
    'w: DEL s',
    'w: XADD s 2-1 f v',
  ],
  'time-outs': [
    'a: BLPOP l 0.01 !',
    'a: BLMOVE l m LEFT LEFT 0.01 !',
    'a: BZPOPMAX z 0.01 !',
    'a: BLMPOP 0.01 1 l LEFT !',
  ],
}

const isCompared = installedVersion() !== undefined
const places: Place[] = []
beforeAll(async () => {
  if (isCompared) places.push(await oursPlace(), await realPlace())
})
afterAll(async () => {
  for (const place of places) await place.stop()
})

// Without a redis-server there is nothing to compare with; blocking.test.ts holds how clients wait.
test.skipIf(!isCompared).each(Object.entries(sessions))('%s', async (_, steps) => {
  const [ours, wanted] = await Promise.all(places.map((place) => play(place, steps)))
  expect(ours).toEqual(wanted)
  await Promise.all(places.map((place) => place.clear()))
})
