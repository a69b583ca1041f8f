import { describe, expect, it } from 'vitest'
import { startTestS3 } from '../../../test/s3/server.ts'
import { Random } from '../../../test/sim/random.ts'
import { nodeClock } from '../../host/node/clock.ts'
import { memoryObjects } from './memory.ts'
import { bytesOf, expectFailure } from './object-case.conformance.ts'
import { objectCases } from './objects.conformance.ts'
import { type ObjectStore, type PutOptions, storeFault } from './port.ts'
import { type RetryOptions, withRetries } from './retry.ts'
import { s3Objects } from './s3.ts'
import { type FaultPlan, faulty, ManualClock } from './testing.ts'

type Script = NonNullable<FaultPlan['script']>

/** A store in memory whose first requests meet the faults of a script, with and without retries. */
function scripted(script: Script, options: Partial<RetryOptions> = {}) {
  const random = new Random(1)
  const clock = new ManualClock(() => random.unit())
  const memory = memoryObjects(clock)
  const faults = faulty(memory, { clock, unit: () => random.unit(), script })
  return { clock, memory, store: withRetries(faults, { clock, ...options }) }
}

const textOf = async (store: ObjectStore, key: string) => new TextDecoder().decode((await store.get(key))?.bytes)

describe('a store with retries', () => {
  const wrap = () => withRetries(memoryObjects(nodeClock), { clock: nodeClock })
  it.each(objectCases)('is a store: $name', ({ run }) => run(wrap(), expect))
})

describe('retries', () => {
  it('send a read again until it is answered', async () => {
    const { clock, memory, store } = scripted(['refused', 'failed', 'lost', 'late', 'throttled'])
    await memory.put('a', bytesOf('there'))
    expect(await clock.settle(textOf(store, 'a'))).toBe('there')
    expect(store.counts()).toMatchObject({ get: 6, retries: 5, throttled: 1, readBytes: 5, inFlight: 0 })
  })

  it('end after six attempts, and the last failure is told', async () => {
    const { clock, store } = scripted(Array.from({ length: 9 }, () => 'refused' as const))
    const failure = await expectFailure(expect, 'unavailable', () => clock.settle(store.head('a')))
    expect(storeFault(failure)).toEqual({ outcome: 'none', status: 503 })
    expect(store.counts().head).toBe(6)
  })

  it('are not for what would fail again', async () => {
    const { clock, store } = scripted([])
    await clock.settle(store.put('a', bytesOf('1')))
    await expectFailure(expect, 'conflict', () => clock.settle(store.put('a', bytesOf('2'), { ifNoneMatch: '*' })))
    await expectFailure(expect, 'conflict', () => clock.settle(store.get('a', { ifMatch: 'x' })))
    await expectFailure(expect, 'invalid', () => clock.settle(store.put('', bytesOf('2'))))
    expect(store.counts()).toMatchObject({ put: 3, get: 1, head: 0, retries: 0 })
  })

  it('wait longer each time, by chance, up to a bound', async () => {
    const bounds: number[][] = []
    for (let seed = 1; seed <= 200; seed++) {
      const random = new Random(seed)
      const clock = new ManualClock(() => random.unit())
      const script = Array.from({ length: 5 }, () => 'refused' as const)
      const faults = faulty(memoryObjects(clock), { clock, unit: () => 0, script })
      const store = withRetries(faults, { clock, firstDelayMs: 100, delayMsMax: 400, attemptMsMax: 99_999 })
      await clock.settle(store.head('a'))
      bounds.push(clock.delaysMs.filter((delayMs) => delayMs !== 99_999))
    }
    for (const [i, boundMs] of [100, 200, 400, 400, 400].entries()) {
      const delays = bounds.map((delays) => delays[i] as number)
      expect(Math.max(...delays)).toBeLessThan(boundMs)
      expect(Math.max(...delays)).toBeGreaterThan(boundMs * 0.9)
      expect(Math.min(...delays)).toBeLessThan(boundMs * 0.1)
    }
  })

  it('hold everybody back for as long as the store asked one', async () => {
    const { clock, store } = scripted(['throttled'])
    const start = clock.nowMs()
    const first = store.head('a')
    await clock.turn()
    const sent: number[] = []
    const others = [1, 2, 3].map(() => store.head('b').then(() => sent.push(clock.nowMs() - start)))
    await clock.settle(Promise.all([first, ...others]))
    expect(sent.every((afterMs) => afterMs >= 1_000)).toBe(true)
  })

  it('cut off what is not answered in time, which grows with the bytes', async () => {
    const { clock, store } = scripted(['hung'], { attemptMsMax: 500 })
    const start = clock.nowMs()
    await clock.settle(store.head('a'))
    expect(clock.nowMs() - start).toBeGreaterThanOrEqual(500)
    expect(store.counts()).toMatchObject({ head: 2, timeouts: 1, retries: 1 })
    await clock.settle(store.put('a', new Uint8Array(512 * 1024)))
    expect(clock.delaysMs).toContain(500 + 2_000)
  })

  it('let only so many requests through at once', async () => {
    const random = new Random(7)
    const clock = new ManualClock(() => random.unit())
    const slow = faulty(memoryObjects(clock), { clock, unit: () => random.unit(), slowMs: 50 })
    const store = withRetries(slow, { clock, requestsMax: 4 })
    await clock.settle(Promise.all(Array.from({ length: 40 }, (_, i) => store.put(`k/${i}`, bytesOf('1')))))
    expect(store.counts()).toMatchObject({ put: 40, inFlightPeak: 4, inFlight: 0 })
  })

  it('stop when the caller gives up: in an attempt, between two, and in the queue', async () => {
    for (const script of [['hung'], ['refused']] as Script[]) {
      const { clock, store } = scripted(script, { requestsMax: 1 })
      const stop = new AbortController()
      const work = [store.head('a', { signal: stop.signal }), store.head('b', { signal: stop.signal })]
      const settled = Promise.allSettled(work)
      await clock.turn()
      stop.abort()
      await clock.turn()
      expect((await settled).map(({ status }) => status)).toContain('rejected')
      // The way is free again.
      expect(await clock.settle(store.head('c'))).toBeUndefined()
    }
  })
})

describe('a conditional write', () => {
  const first = { ifNoneMatch: '*' } as const

  it('that was done and not answered is found by its marker, and not sent again', async () => {
    for (const fault of ['lost', 'hung'] as const) {
      const { clock, memory, store } = scripted([fault])
      const { etag } = await clock.settle(store.put('a', bytesOf('mine'), first))
      expect((await memory.head('a'))?.etag).toBe(etag)
      expect(store.counts()).toMatchObject({ put: 1, head: 1 })
    }
  })

  it('that was not done is sent again', async () => {
    const { clock, memory, store } = scripted(['failed'])
    await clock.settle(store.put('a', bytesOf('mine'), first))
    expect(await textOf(memory, 'a')).toBe('mine')
    expect(store.counts()).toMatchObject({ put: 2, head: 1 })
  })

  it('that was refused for another under way is sent again without a look', async () => {
    const { clock, store } = scripted(['contended'])
    await clock.settle(store.put('a', bytesOf('mine'), first))
    expect(store.counts()).toMatchObject({ put: 2, head: 0 })
  })

  it('that is done late does not make its own second attempt a conflict', async () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = new Random(seed)
      const clock = new ManualClock(() => random.unit())
      const memory = memoryObjects(clock)
      // The late one takes up to a second, so it comes before the second attempt, or after.
      const faults = faulty(memory, { clock, unit: () => random.unit(), script: ['late', 'late', 'late'] })
      const store = withRetries(faults, { clock, firstDelayMs: 1_000 })
      const { etag } = await clock.settle(store.put('a', bytesOf('mine'), first))
      while (await clock.step());
      expect((await memory.head('a'))?.etag).toBe(etag)
    }
  })

  it('loses to another that came between', async () => {
    const { clock, memory, store } = scripted(['failed'])
    const work = store.put('a', bytesOf('mine'), first)
    await clock.turn()
    await memory.put('a', bytesOf('theirs'))
    await expectFailure(expect, 'conflict', () => clock.settle(work))
  })

  it('that may have been replaced by another is unknown, and not a conflict', async () => {
    for (const fault of ['lost', 'failed'] as const) {
      const { clock, memory, store } = scripted([fault])
      const { etag } = await memory.put('a', bytesOf('before'))
      const work = store.put('a', bytesOf('mine'), { ifMatch: etag })
      await clock.turn()
      await memory.put('a', bytesOf('theirs'))
      const failure = await expectFailure(expect, 'unavailable', () => clock.settle(work))
      expect(storeFault(failure)?.outcome).toBe('unknown')
    }
  })

  it('is unknown when the attempts run out after one that may be done, whatever the last one said', async () => {
    const { clock, store } = scripted(['late', 'refused', 'refused', 'refused', 'refused'], { attemptsMax: 2 })
    const failure = await expectFailure(expect, 'unavailable', () => clock.settle(store.put('a', bytesOf('1'), first)))
    expect(storeFault(failure)?.outcome).toBe('unknown')
  })

  it('is found by its bytes in a store that keeps no markers', async () => {
    const { clock, memory } = scripted([])
    const plain: ObjectStore = {
      get: (key, options) => memory.get(key, options),
      head: (key) => memory.head(key),
      list: (options) => memory.list(options),
      delete: (keys) => memory.delete(keys),
      multipart: (key) => memory.multipart(key),
      put: (key, bytes, { marker: _, ...options }: PutOptions = {}) => memory.put(key, bytes, options),
    }
    const store = withRetries(faulty(plain, { clock, unit: () => 0, script: ['lost'] }), { clock })
    const { etag } = await clock.settle(store.put('a', bytesOf('mine'), first))
    expect((await memory.head('a'))?.etag).toBe(etag)
    await expectFailure(expect, 'conflict', () => clock.settle(store.put('a', bytesOf('mine'), first)))
  })
})

describe('an upload', () => {
  it('is completed once, though the answer was lost', async () => {
    for (const fault of ['lost', 'failed', 'late', 'hung'] as const) {
      // Begin, part, complete.
      const { clock, memory, store } = scripted(['none', 'lost', 'none', fault])
      const upload = await clock.settle(store.multipart('a'))
      await clock.settle(upload.write(1, bytesOf('part')))
      const { etag } = await clock.settle(upload.complete())
      while (await clock.step());
      expect((await memory.head('a'))?.etag).toBe(etag)
      expect(await textOf(memory, 'a')).toBe('part')
      expect(store.counts().part).toBe(2)
    }
  })
})

describe('retries over HTTP', () => {
  it('obey Retry-After, find a put by its marker, and keep nobody for minutes', async () => {
    const server = await startTestS3()
    try {
      const s3 = s3Objects({
        endpoint: server.url,
        bucket: server.bucketName,
        ...server.credentials,
        fetch,
        clock: nodeClock,
      })
      const store = withRetries(s3, { clock: nodeClock, firstDelayMs: 1 })
      let requests = 0
      server.interfere = () => (++requests === 1 ? { status: 503, headers: { 'retry-after': '1' } } : undefined)
      const start = performance.now()
      await store.put('a', bytesOf('1'))
      expect(performance.now() - start).toBeGreaterThan(990)
      server.interfere = ({ method }) => (method === 'PUT' ? 'cut after' : undefined)
      const { etag } = await store.put('b', bytesOf('1'), { ifNoneMatch: '*' })
      expect(`"${etag}"`).toBe(server.bucket.objects.get('b')?.etag)
      server.interfere = () => ({ status: 429, headers: { 'retry-after': '3600' } })
      const failure = await expectFailure(expect, 'unavailable', () => store.get('b'))
      expect(storeFault(failure)?.retryAfterMs).toBe(3_600_000)
    } finally {
      await server.close()
    }
  })
})
