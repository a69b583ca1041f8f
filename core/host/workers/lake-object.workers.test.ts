/** A lake's object inside workerd: when it wakes, what it cleans, whom it answers. */
import { env, runInDurableObject } from 'cloudflare:test'
import type { DurableObjectState } from '@cloudflare/workers-types'
import { describe, expect, it } from 'vitest'
import { redisProgram } from '../../../compat/redis/program.ts'
import { Failure } from '../../errors.ts'
import { catalogProgram } from '../../shard/catalog.ts'
import type { TierEvent, TierStatus } from '../../tiering/tier/port.ts'
import { tierProgram } from '../../tiering/tier/program.ts'
import { createWorkersFabric, type ShardBindings } from './fabric.ts'
import { openWorkersLake, type WorkersLake } from './lake.ts'
import type { LakeRpc } from './lake-client.ts'
import { catalogOver, lakeControlOver } from './lake-client.ts'
import { type LakeService, lakeObject } from './lake-object.ts'
import type { R2Binding } from './r2-objects.ts'
import { shardObject } from './shard-object.ts'
import type { ShardRpc } from './wire.ts'

/** Objects of a class, each in a Durable Object of its own; calls run in the object. */
function namespaceOf<O extends object>(
  Class: new (ctx: never, env: unknown) => O,
  names: readonly (keyof O & string)[],
  suffix: string,
) {
  const objects = new Map<string, O>()
  return {
    idFromName: (name: string) => `${suffix}:${name}`,
    newUniqueId: () => 'none',
    get(id: unknown) {
      const inside = (work: (object: O) => unknown) =>
        runInDurableObject(env.SQL.get(env.SQL.idFromName(String(id))), (_, state) => {
          const object = objects.get(String(id)) ?? new Class(state as never, {})
          objects.set(String(id), object)
          return work(object)
        })
      return Object.fromEntries(
        names.map((name) => [
          name,
          (...args: unknown[]) => inside((object) => (object[name] as (...args: unknown[]) => unknown)(...args)),
        ]),
      )
    },
  }
}

let rigs = 0

/** A fabric of Redis in Durable Objects, and a lake in a folder of the bucket. */
function openRig(rhythm: LakeService['rhythm'] = {}) {
  const folder = `rig-${++rigs}`
  const opened = openWorkersLake({ bucket: env.BUCKET as never, location: `s3://bucket/${folder}` })
  const tables = { snapshotAgeMs: 1, snapshotsMin: 1 }
  const lake: WorkersLake = { ...opened, service: { ...opened.service, tables } }
  const Shard = shardObject({ programs: [redisProgram, tierProgram()], work: () => lake.work })
  const CatalogShard = shardObject({ programs: [catalogProgram] })
  const calls = ['submit', 'awaitChange', 'job'] as const satisfies readonly (keyof ShardRpc)[]
  const bindings: ShardBindings = {
    SHARDS: namespaceOf(Shard, calls, folder) as never,
    CATALOG: namespaceOf(CatalogShard, calls, folder) as never,
  }
  const events: TierEvent[] = []
  const bugs: unknown[] = []
  const options = {
    open: (): LakeService => ({ fabric: createWorkersFabric(bindings), lake, rhythm }),
    onTier: (event: TierEvent) => void events.push(event),
    onBug: (error: unknown) => void bugs.push(error),
  }
  const fabric = createWorkersFabric(bindings)
  const write = async (key: string) => {
    const { router, map } = await fabric.database('shop')
    await router.call(
      { program: 'redis', name: 'set', args: { argv: ['SET', key, '1'], db: 0 } },
      { slot: map.slotOf(key) },
    )
  }
  return { lake, fabric, events, bugs, write, folder, Lake: lakeObject(options) }
}

type Rig = ReturnType<typeof openRig>
type LakeOf = InstanceType<Rig['Lake']>

/** Work on a lake's object. */
function inside(rig: Rig, work: (object: LakeOf, state: DurableObjectState) => Promise<void>): Promise<void> {
  return runInDurableObject(env.SQL.get(env.SQL.idFromName(`${rig.folder} lake`)), async (_, state) => {
    await work(new rig.Lake(state as never, {}), state)
  })
}

const valueIn = (answer: unknown) => {
  expect(answer).not.toHaveProperty('failure')
  return (answer as { value: unknown }).value
}

describe("a lake's object", () => {
  it('is woken while there are policies, at once when they change, and no more when there are none', async () => {
    const rig = openRig({ pollMs: 500_000 })
    await rig.write('a')
    await inside(rig, async (object, { storage }) => {
      const set: (number | 'removed')[] = []
      const inSeconds = (atMs: number) => 100 * Math.max(0, Math.round((atMs - Date.now()) / 100_000))
      Object.defineProperty(storage, 'setAlarm', { value: async (atMs: number) => void set.push(inSeconds(atMs)) })
      Object.defineProperty(storage, 'deleteAlarm', { value: async () => void set.push('removed') })
      expect(valueIn(await object.control('shop', 'status', []))).toMatchObject({ policies: {}, tables: [] })
      expect(set.splice(0)).toEqual([])
      valueIn(await object.control('shop', 'setPolicy', ['keys', { flushEvery: '1ms' }]))
      expect(set.splice(0)).toEqual([0])
      await object.alarm?.()
      expect(set.splice(0)).toEqual([500])
      expect(rig.events.map(({ kind }) => kind)).toContain('committed')
      const status = valueIn(await object.control('shop', 'status', [])) as TierStatus
      expect(status.tables.find(({ table }) => table === 'keys')).toMatchObject({ rows: 1 })
      valueIn(await object.control('shop', 'removePolicy', ['keys']))
      expect(set.splice(0)).toEqual([0])
      await object.alarm?.()
      expect(set).toEqual([500, 'removed'])
    })
    expect(rig.bugs).toEqual([])
  })

  it('started again by its alarm, knows whose it is, and cleans by the hour, in whichever of its lives', async () => {
    const rig = openRig()
    const cleaned = () => rig.events.filter(({ kind }) => kind === 'expired').length
    await rig.write('a')
    await inside(rig, async (first, state) => {
      const { kv } = state.storage
      valueIn(await first.control('shop', 'setPolicy', ['keys', { changes: false }]))
      valueIn(await first.control('shop', 'flush', []))
      await rig.write('b')
      valueIn(await first.control('shop', 'flush', []))
      await first.alarm?.()
      const begunMs = kv.get<number>('cleanedMs') as number
      await new rig.Lake(state as never, {}).alarm?.()
      expect([cleaned(), kv.get('cleanedMs')]).toEqual([0, begunMs])
      kv.put('cleanedMs', begunMs - 3_600_001)
      await new rig.Lake(state as never, {}).alarm?.()
      expect(cleaned()).toBe(1)
      expect(kv.get<number>('cleanedMs')).toBeGreaterThanOrEqual(begunMs)
    })
    expect(rig.events.filter(({ kind }) => kind === 'failed')).toEqual([])
  })

  it('answers failures as plain data, for its own database and calls that there are', async () => {
    const rig = openRig()
    await rig.write('a')
    await inside(rig, async (object) => {
      valueIn(await object.control('shop', 'status', []))
      expect(await object.control('other', 'status', [])).toMatchObject({ failure: 'invalid' })
      expect(await object.control('shop', 'stop' as never, [])).toMatchObject({ failure: 'unsupported' })
      expect(await object.catalog('shop', 'toString' as never, [])).toMatchObject({ failure: 'unsupported' })
      expect(await object.control('shop', 'setPolicy', ['none', {}])).toMatchObject({ failure: 'not_found' })
      expect(await object.catalog('shop', 'loadTable', [{ namespace: ['shop'], name: 'x' }])).toMatchObject({
        failure: 'not_found',
      })
    })
    const Without = lakeObject({
      open() {
        throw new Failure('unsupported', 'no bucket')
      },
    })
    await runInDurableObject(env.SQL.get(env.SQL.newUniqueId()), async (_, state) => {
      const object = new Without(state as never, {})
      expect(await object.control('shop', 'flush', [])).toMatchObject({ failure: 'unsupported', message: 'no bucket' })
      state.storage.kv.put('database', 'shop')
      await state.storage.deleteAlarm()
      await object.alarm?.()
      expect(await state.storage.getAlarm()).toBe(null)
    })
  })
})

describe('the way to it', () => {
  it('asks the object of the database, and this side what is about several', async () => {
    const rig = openRig()
    const asked: unknown[] = []
    const object: LakeRpc = {
      async control(...args) {
        asked.push(args)
        return { value: 'done' }
      },
      async catalog(...args) {
        asked.push(args)
        return { failure: 'exists', message: 'is there' }
      },
    }
    const get = (id: unknown) => {
      asked.push(id)
      return object
    }
    const lakes = { idFromName: String, newUniqueId: String, get }
    const control = lakeControlOver(lakes, rig.fabric)
    expect(await control.flush('shop')).toBe('done')
    await control.setPolicy('shop', 'keys', { hotFor: '1d' })
    const catalog = catalogOver(lakes, rig.lake.catalog)
    await expect(catalog.createNamespace(['shop', 'x'], { a: 'b' })).rejects.toMatchObject({ code: 'exists' })
    expect(asked.splice(0)).toEqual([
      'shop',
      ['shop', 'flush', []],
      'shop',
      ['shop', 'setPolicy', ['keys', { hotFor: '1d' }]],
      'shop',
      ['shop', 'createNamespace', [['shop', 'x'], { a: 'b' }]],
    ])
    expect(await catalog.listNamespaces()).toEqual([])
    const request = { requirements: [], updates: [] }
    const table = (namespace: string) => ({ table: { namespace: [namespace], name: 't' }, request })
    await expect(catalog.commitTables([table('a'), table('b')])).rejects.toMatchObject({ code: 'unsupported' })
    expect(asked).toEqual([])
    await expect(catalog.commitTables([table('a'), table('a')])).rejects.toMatchObject({ code: 'exists' })
    expect(asked[0]).toBe('a')
    const large = control.setPolicy('shop', 'x'.repeat(40_000_000), {})
    await expect(large).rejects.toMatchObject({ code: 'limit' })
    expect(await control.databases()).toEqual([])
  })
})

describe('buckets of a lake', () => {
  it('are used in the part and the class that is said', async () => {
    const put: unknown[] = []
    const bucket = {
      async put(key: string, _: Uint8Array, { storageClass }: { storageClass?: string }) {
        put.push([key, storageClass])
        return { key, size: 1, etag: 'e', uploaded: new Date(0) }
      },
    } as unknown as R2Binding
    const stores = { rare: { bucket, location: 's3://b/p/rare/', storageClass: 'InfrequentAccess' as const } }
    const { files, service } = openWorkersLake({ bucket, location: 's3://b/p', stores })
    await files.write('s3://b/p/f', new Uint8Array(1))
    await files.write('s3://b/p/rare/f', new Uint8Array(1))
    expect(put).toEqual([
      ['p/f', undefined],
      ['p/rare/f', 'InfrequentAccess'],
    ])
    expect(service.stores).toEqual({ rare: 's3://b/p/rare' })
    for (const location of ['b', 'https://b/p', 's3://', 's3:///p']) {
      expect(() => openWorkersLake({ bucket, location })).toThrow(expect.objectContaining({ code: 'invalid' }))
    }
  })
})
