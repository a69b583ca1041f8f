/** Bench `workers-flush`: a shard in workerd writes 200,000 changed keys to the lake: what it costs, and what it holds.
 *
 *  Goal (issue 3): inside the 128 MB of an isolate. The heap is that of the Worker's one isolate, garbage included, as
 *  its inspector tells it between turns: the shard, the object of the lake, the catalog, the tunnel's object and the
 *  HTTP app share it here. CPU and resident memory are the process's, which holds R2, too. */
import { readFileSync, writeFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import { WebSocket } from 'ws'
import { temporaryFolder } from '../core/host/node/testing.ts'
import { startConnect, startWorkerd, type Workerd } from '../test/workers/workerd.ts'
import { type Bench, type BenchRow, exact } from './bench.ts'
import { cpuSeconds, procMissing } from './proc.ts'

const name = 'workers-flush'
const KEYS = 200_000
const KEYS_QUICK = 2_000
const KEYS_AT_ONCE = 2_000
const ISOLATE_MB = 128
const MB = 1024 * 1024

interface HeapUsage {
  readonly usedSize: number
  readonly backingStorageSize: number
}

/** Look into the isolate of the Worker. */
async function inspect(
  workerd: Workerd,
): Promise<{ usage(): Promise<HeapUsage>; collect(): Promise<void>; close(): void }> {
  const list = new URL('/json', await workerd.inspector())
  list.protocol = 'http:'
  const targets = (await (await fetch(list)).json()) as { id: string; webSocketDebuggerUrl: string }[]
  const target = targets.find(({ id }) => id.endsWith(':dotdo'))
  if (target === undefined) throw new Error('the inspector does not know the Worker')
  const socket = new WebSocket(target.webSocketDebuggerUrl)
  const answers = new Map<number, (result: unknown) => void>()
  socket.on('message', (text) => {
    const { id, result } = JSON.parse(String(text)) as { id: number; result: unknown }
    answers.get(id)?.(result)
    answers.delete(id)
  })
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
  let last = 0
  const ask = (method: string) =>
    new Promise<unknown>((resolve) => {
      answers.set(++last, resolve)
      socket.send(JSON.stringify({ id: last, method }))
    })
  return {
    usage: async () => (await ask('Runtime.getHeapUsage')) as HeapUsage,
    async collect() {
      const collected = ask('HeapProfiler.collectGarbage')
      // An isolate that sleeps hears its inspector when something wakes it: a request does, else the next alarm.
      await workerd.get('/health')
      await collected
    },
    close: () => socket.close(),
  }
}

async function ask(workerd: Workerd, method: string, action: string, body: object = {}): Promise<void> {
  const answer = await workerd.get(`/databases/default/tier/${action}`, { method, body: JSON.stringify(body) })
  if (!answer.ok) throw new Error(`${action}: ${await answer.text()}\n${workerd.output()}`)
}

/** Write keys with documents of some 150 bytes. */
async function fill(port: number, keys: number): Promise<void> {
  const redis = new Redis(port, '127.0.0.1')
  const document = (i: number) =>
    JSON.stringify({
      user: `user-${(i * 7919) % 100_000}`,
      status: 'active',
      score: i / 100,
      tags: ['alpha', 'beta'],
      note: `gamma delta ${(i * 104_729) % 1_000_003} epsilon zeta`,
      ref: ((i * 2_654_435_761) % 2 ** 32).toString(16),
    })
  for (let at = 0; at < keys; at += KEYS_AT_ONCE) {
    const pipeline = redis.pipeline()
    for (let i = at; i < at + KEYS_AT_ONCE; i++) pipeline.set(`key:${i}`, document(i))
    for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error
  }
  redis.disconnect()
}

/** What a flush takes. */
interface Taken {
  readonly heapMb: number
  readonly residentMb: number
  readonly cpuSeconds: number
}

async function measureFlush(workerd: Workerd): Promise<Taken> {
  const residentMb = (field: string) => {
    const status = readFileSync(`/proc/${workerd.pid}/status`, 'utf8')
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024
  }
  const isolate = await inspect(workerd)
  await isolate.collect()
  // Linux counts the peak from here on.
  writeFileSync(`/proc/${workerd.pid}/clear_refs`, '5')
  const before = { residentMb: residentMb('VmRSS'), cpuSeconds: cpuSeconds(workerd.pid) }
  const flushed = ask(workerd, 'POST', 'flush')
  let isDone = false
  const done = flushed.finally(() => {
    isDone = true
  })
  let heapBytes = 0
  while (!isDone) {
    const { usedSize, backingStorageSize } = await isolate.usage()
    heapBytes = Math.max(heapBytes, usedSize + backingStorageSize)
    // The inspector answers between turns; asked more often, it would be what is measured.
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await done
  isolate.close()
  return {
    heapMb: heapBytes / MB,
    residentMb: residentMb('VmHWM') - before.residentMb,
    cpuSeconds: cpuSeconds(workerd.pid) - before.cpuSeconds,
  }
}

/** A flush in workerd. */
export const workersFlush: Bench = {
  name,
  about: 'a shard in workerd writes 200,000 changed keys to the lake: heap and CPU against what the platform gives',
  missing: procMissing,
  async run({ quick, progress }) {
    const folder = temporaryFolder()
    const keys = quick ? KEYS_QUICK : KEYS
    const workerd = await startWorkerd({ folder: folder.path, inspectorPort: 0 })
    const tunnel = await startConnect(workerd.url)
    try {
      progress(`writing ${keys} keys`)
      await fill(tunnel.port, KEYS_AT_ONCE)
      await ask(workerd, 'PUT', 'keys', { flushEvery: '10h', flushBytes: '1gb' })
      await ask(workerd, 'POST', 'flush')
      await fill(tunnel.port, keys)
      progress('flushing')
      const taken = await measureFlush(workerd)
      const row = (what: string, unit: string, ours: number, peer: number): BenchRow => {
        return { name, case: what, unit, ...exact(ours, peer) }
      }
      return [
        row(`heap at its peak, against the ${ISOLATE_MB} MB of an isolate`, 'MB', taken.heapMb, ISOLATE_MB),
        row(`resident memory of the process, its peak less before`, 'MB', Math.max(1, taken.residentMb), ISOLATE_MB),
        row('CPU of the whole flush, against the 30 s of one request', 's', Math.max(0.01, taken.cpuSeconds), 30),
      ]
    } finally {
      await tunnel.stop()
      await workerd.stop()
      folder.remove()
    }
  },
}
