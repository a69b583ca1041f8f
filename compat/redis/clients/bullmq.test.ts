/** BullMQ, unchanged: queues, workers, events and flows, over TCP with its own ioredis, in the process with ours. */
import { type ConnectionOptions, FlowProducer, type Job, Queue, QueueEvents, type QueueOptions, Worker } from 'bullmq'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { Redis } from '../client.ts'
import { openPlaces, type Places } from './places.testing.ts'

let places: Places
const open: { close(): Promise<unknown> }[] = []

beforeAll(async () => {
  places = await openPlaces()
})

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
  await places.clear()
})

afterAll(() => places.close())

const keep = <One extends { close(): Promise<unknown> }>(one: One): One => {
  open.push(one)
  return one
}

/** What BullMQ is told of where Redis is. */
const connections: Record<'tcp' | 'local', () => ConnectionOptions> = {
  tcp: () => ({ host: '127.0.0.1', port: places.port }),
  local() {
    const redis = new Redis({ fabric: places.fabric, maxRetriesPerRequest: null })
    keep({ close: () => redis.quit() })
    // BullMQ's types are those of ioredis 5.
    return redis as unknown as ConnectionOptions
  },
}

describe.each(['tcp', 'local'] as const)('%s', (which) => {
  let connection: ConnectionOptions
  const queueOf = (options: Omit<QueueOptions, 'connection'> = {}) => keep(new Queue('q', { connection, ...options }))
  const workerOf = (work: (job: Job) => Promise<unknown>, options: object = {}) => {
    const worker = new Worker('q', work, { connection, drainDelay: 1, ...options })
    worker.on('error', (error) => failures.push(error))
    return keep(worker)
  }
  /** Listen to everything that befalls jobs. */
  const eventsOf = async () => {
    // From the first one on: what comes before its first XREAD would be lost.
    const events = keep(new QueueEvents('q', { connection, lastEventId: '0' }))
    events.on('error', (error) => failures.push(error))
    await events.waitUntilReady()
    return events
  }
  const failures: Error[] = []
  const warn = vi.spyOn(console, 'warn')

  beforeAll(() => {
    warn.mockClear()
  })

  const begin = () => {
    connection = connections[which]()
    failures.length = 0
  }

  afterEach(() => {
    expect(failures).toEqual([])
    expect(warn).not.toHaveBeenCalled()
  })

  test('jobs are added, processed and heard of', async () => {
    begin()
    const [queue, events] = [queueOf(), await eventsOf()]
    const heard: string[] = []
    for (const name of ['added', 'waiting', 'active', 'completed', 'failed', 'drained'] as const) {
      events.on(name, (event: unknown) => {
        heard.push(`${name} ${(event as { jobId?: string }).jobId ?? ''}`)
      })
    }
    const jobs = await queue.addBulk([1, 2, 3].map((n) => ({ name: 'double', data: { n, text: 'grüß' } })))
    expect(await queue.getJobCounts('waiting', 'active', 'completed')).toMatchObject({ waiting: 3, active: 0 })
    workerOf(async (job) => {
      await job.updateProgress(50)
      await job.log('half')
      return { twice: job.data.n * 2 }
    })
    const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events)))
    expect(results).toEqual([{ twice: 2 }, { twice: 4 }, { twice: 6 }])
    await expect.poll(() => heard).toContain('drained ')
    expect(heard.filter((event) => event.endsWith(' 2'))).toEqual(['added 2', 'waiting 2', 'active 2', 'completed 2'])
    const done = await queue.getJob('2')
    expect(done).toMatchObject({ data: { n: 2, text: 'grüß' }, progress: 50, returnvalue: { twice: 4 } })
    expect(await queue.getJobLogs('2')).toEqual({ logs: ['half'], count: 1 })
    expect((await queue.getCompleted()).map(({ id }) => id)).toEqual(['3', '2', '1'])
    expect(await queue.getJobCounts('waiting', 'completed')).toMatchObject({ waiting: 0, completed: 3 })
    expect(await queue.getWorkers()).toHaveLength(1)
  })

  test('delayed, prioritised and last-in jobs come in their order', async () => {
    begin()
    const queue = queueOf()
    const order: string[] = []
    await queue.add('delayed', 0, { delay: 400 })
    for (const priority of [3, 1, 2]) await queue.add(`priority ${priority}`, 0, { priority })
    await queue.add('first', 0)
    await queue.add('last in', 0, { lifo: true })
    const counts = await queue.getJobCounts('delayed', 'prioritized', 'waiting')
    expect(counts).toMatchObject({ delayed: 1, prioritized: 3, waiting: 2 })
    const worker = workerOf(async ({ name }) => order.push(name))
    await new Promise<void>((resolve) => worker.on('completed', ({ name }) => name === 'delayed' && resolve()))
    expect(order).toEqual(['last in', 'first', 'priority 1', 'priority 2', 'priority 3', 'delayed'])
  })

  test('a job scheduler repeats', async () => {
    begin()
    const queue = queueOf()
    await queue.upsertJobScheduler('often', { every: 50, limit: 3 }, { name: 'tick', data: { a: 1 } })
    await queue.upsertJobScheduler('yearly', { pattern: '0 0 1 1 *' }, { name: 'new year' })
    expect((await queue.getJobSchedulers()).map(({ key }) => key).sort()).toEqual(['often', 'yearly'])
    const ticks: unknown[] = []
    await new Promise<void>((resolve) => {
      workerOf(async ({ data }) => {
        if (ticks.push(data) === 3) resolve()
      })
    })
    expect(ticks).toEqual([{ a: 1 }, { a: 1 }, { a: 1 }])
    expect(await queue.removeJobScheduler('yearly')).toBe(true)
    expect(await queue.getDelayedCount()).toBe(0)
  })

  test('what fails is tried again, later each time, and then kept', async () => {
    begin()
    const [queue, events] = [queueOf(), await eventsOf()]
    const job = await queue.add('fails', 0, { attempts: 3, backoff: { type: 'exponential', delay: 20 } })
    const atMs: number[] = []
    workerOf(async ({ attemptsMade }) => {
      atMs.push(Date.now())
      throw new Error(`attempt ${attemptsMade}`)
    })
    await expect(job.waitUntilFinished(events)).rejects.toThrow('attempt 2')
    const [first, second, third] = atMs as [number, number, number]
    expect(second - first).toBeGreaterThanOrEqual(19)
    expect(third - second).toBeGreaterThanOrEqual(39)
    const [failed] = await queue.getFailed()
    expect(failed).toMatchObject({ id: job.id, attemptsMade: 3, failedReason: 'attempt 2' })
    expect(failed?.stacktrace).toHaveLength(3)
    await queue.pause()
    await failed?.retry()
    expect(await queue.getJobCounts('failed', 'paused')).toEqual({ failed: 0, paused: 1 })
  })

  test('a rate limit holds, per worker and for the whole queue', async () => {
    begin()
    const queue = queueOf()
    await queue.addBulk(Array.from({ length: 5 }, () => ({ name: 'n', data: 0 })))
    const atMs: number[] = [Date.now()]
    await new Promise<void>((resolve) => {
      const work = async () => {
        if (atMs.push(Date.now()) === 6) resolve()
      }
      workerOf(work, { limiter: { max: 2, duration: 100 }, concurrency: 5 })
    })
    // Two a window: the fifth is in the third.
    expect((atMs[5] as number) - (atMs[0] as number)).toBeGreaterThanOrEqual(199)
    await queue.setGlobalConcurrency(1)
    expect(await queue.getGlobalConcurrency()).toBe(1)
  })

  test('a parent waits for its children', async () => {
    begin()
    const [queue, events] = [queueOf(), await eventsOf()]
    const flows = keep(new FlowProducer({ connection }))
    const { job, children } = await flows.add({
      name: 'sum',
      queueName: 'q',
      children: [1, 2, 3].map((n) => ({ name: 'square', queueName: 'q', data: n })),
    })
    expect(await job.getState()).toBe('waiting-children')
    workerOf(async (job) => {
      if (job.name === 'square') return job.data ** 2
      return Object.values<number>(await job.getChildrenValues()).reduce((sum, n) => sum + n)
    })
    expect(await job.waitUntilFinished(events)).toBe(14)
    expect(children).toHaveLength(3)
    const tree = await flows.getFlow({ id: job.id as string, queueName: 'q' })
    expect(tree.children?.map(({ job }) => job.returnvalue).sort()).toEqual([1, 4, 9])
    expect(await queue.getCompletedCount()).toBe(4)
  })

  test('a paused queue rests, and nothing is left of an obliterated one', async () => {
    begin()
    const queue = queueOf()
    await queue.pause()
    await queue.add('later', 0, { deduplication: { id: 'once' } })
    await queue.add('later', 0, { deduplication: { id: 'once' } })
    await queue.add('keep', 0, { delay: 60_000 })
    let ran = 0
    const worker = workerOf(async () => ++ran)
    await worker.waitUntilReady()
    expect(await queue.isPaused()).toBe(true)
    expect(await queue.getJobCounts('paused', 'delayed', 'active')).toEqual({ paused: 1, delayed: 1, active: 0 })
    expect(ran).toBe(0)
    const done = new Promise<void>((resolve) => worker.on('completed', () => resolve()))
    await queue.resume()
    await done
    expect(ran).toBe(1)
    await worker.close()
    await queue.obliterate({ force: true })
    const redis = places.local.ioredis()
    expect(await redis.keys('bull:q:*')).toEqual([])
  })

  test('a job whose worker has died is taken up by another', async () => {
    begin()
    const queue = queueOf()
    await queue.add('long', 0)
    const stalls = { lockDuration: 50, skipLockRenewal: true, skipStalledCheck: true }
    const stuck = workerOf(() => new Promise(() => undefined), stalls)
    await new Promise<void>((resolve) => stuck.on('active', () => resolve()))
    await stuck.close(true)
    const second = workerOf(async () => 'done', { stalledInterval: 60 })
    const stalled = new Promise((resolve) => second.on('stalled', resolve))
    const done = new Promise((resolve) => second.on('completed', ({ returnvalue }) => resolve(returnvalue)))
    expect(await stalled).toBe('1')
    expect(await done).toBe('done')
  })
})
