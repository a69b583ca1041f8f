/** Rows of shards: fetched once, brought up to date, let go; the log as `changes`; shards that move or start over. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Fabric } from '../../../shard/fabric.ts'
import { murmur3Slot } from '../../../shard/hash.ts'
import { planResize } from '../../../shard/map.ts'
import type { ChangeRecord } from '../../../shard/system.ts'
import type { SinceReply } from '../../../tiering/tier/port.ts'
import { docsProgram, type RigOptions } from '../../../tiering/tier/testing.ts'
import { openSqlEngine, type SqlEngineOptions } from './engine.ts'
import { allRows, SqlRig } from './testing.ts'

const endings: (() => unknown)[] = []

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

async function rigOf(options: RigOptions = {}, more: Partial<SqlEngineOptions> = {}): Promise<SqlRig> {
  const rig = await SqlRig.open(options, more)
  endings.push(() => rig.close())
  return rig
}

/** What shards were asked and what they told. */
interface Heard {
  readonly name: string
  readonly args: { readonly columns?: readonly string[]; readonly known?: unknown; readonly where?: unknown }
  readonly rows: number
}

/** See a fabric through what its shards are asked.
 *  @param before called before each question of SQL */
function overheard(
  fabric: Fabric,
  heard: Heard[],
  before: (call: { name: string }) => Promise<void> = async () => {},
): Fabric {
  const database = async (name: string) => {
    const real = await fabric.database(name)
    const call: typeof real.router.call = async (planned, to) => {
      await before(planned)
      const reply = (await real.router.call(planned, to)) as SinceReply & { changes?: ChangeRecord[] }
      const rows =
        planned.name === 'since' ? reply.ids.length : planned.name === 'changes' ? (reply.changes?.length ?? 0) : 0
      heard.push({ name: planned.name, args: planned.args as Heard['args'], rows })
      return reply
    }
    return { ...real, router: Object.assign(Object.create(real.router), { call }) }
  }
  return Object.assign(Object.create(fabric), { database }) as Fabric
}

/** An engine of its own over a rig, whose questions are heard. */
function listening(sql: SqlRig, before?: (call: { name: string }) => Promise<void>) {
  const heard: Heard[] = []
  const engine = sql.engine({ fabric: overheard(sql.rig.fabric, heard, before) })
  endings.push(() => engine.close())
  const rows = async (text: string, params: readonly (string | number)[] = []) => {
    heard.length = 0
    return allRows(await engine.query({ text, database: 'shop', params }))
  }
  const fetched = () => heard.reduce((sum, one) => sum + one.rows, 0)
  return { engine, heard, rows, fetched }
}

const ids = (count: number, prefix = 'd') => Array.from({ length: count }, (_, at) => `${prefix}${at}`)

describe('rows of shards', () => {
  it('are fetched once, and then what is newer', async () => {
    const sql = await rigOf({ shards: 2 })
    await sql.rig.putAll(ids(500))
    const { rows, fetched } = listening(sql)
    expect(await rows('select count(*) from docs')).toEqual([[500]])
    expect(fetched()).toBe(500)
    expect(await rows('select count(*) from docs')).toEqual([[500]])
    expect(fetched()).toBe(0)
    await sql.rig.doc('rank', { id: 'd3', rank: 9 })
    await sql.rig.doc('remove', { id: 'd4' })
    expect(await rows('select count(*), count(distinct id) from docs')).toEqual([[499, 499]])
    await sql.tier('docs')
    expect(await rows('select count(*), sum(rank) from docs')).toEqual([[499, 9]])
    await sql.rig.doc('put', { id: 'd4', rank: 1 })
    expect(await rows('select count(*), sum(rank) from docs')).toEqual([[500, 10]])
    expect(fetched()).toBe(1)
    await sql.rig.putAll(ids(20), () => ({ rank: 2 }))
    expect(await rows('select count(*), sum(rank) from docs')).toEqual([[500, 40]])
    await sql.tier('docs')
    expect(await rows('select count(*), sum(rank) from docs')).toEqual([[500, 40]])
    expect(fetched()).toBe(0)
  })

  it('come with the columns that a query names, and no others', async () => {
    const sql = await rigOf()
    await sql.rig.putAll(ids(10), (id) => ({ body: `a long body of ${id}`, rank: 1 }))
    const { rows, heard, fetched } = listening(sql)
    await rows('select sum(rank) from docs')
    expect(heard.find(({ name }) => name === 'since')?.args.columns).toEqual(['rank', '_seq'])
    await rows('select count(*) from docs')
    expect(fetched()).toBe(0)
    expect(await rows('select body from docs where rank = 1 order by id limit 1')).toEqual([['a long body of d0']])
    await rows('select count(title), sum(rank) from docs')
    expect(heard.find(({ name }) => name === 'since')?.args.columns).toEqual(['rank', 'title', '_seq'])
  })

  it('that conditions select are fetched alone, as long as they are few', async () => {
    const sql = await rigOf()
    await sql.rig.putAll(ids(12_000), (id) => ({ rank: Number(id.slice(1)) }))
    const { rows, heard, fetched } = listening(sql)
    expect(await rows('select id from docs where rank = $1', [77])).toEqual([['d77']])
    expect(fetched()).toBe(1)
    expect(heard.find(({ name }) => name === 'since')?.args.where).toEqual([['rank', '=', 77]])
    expect(await rows('select count(*) from docs where id = $1 and rank < 5000', ['d3'])).toEqual([[1]])
    expect(fetched()).toBe(1)
    expect(await rows('select count(*) from docs where rank >= 0')).toEqual([[12_000]])
    expect(fetched()).toBeGreaterThan(12_000)
    expect(await rows('select count(*) from docs where rank = 5')).toEqual([[1]])
    expect(fetched()).toBe(0)
  })

  it('begin anew with a shard that does', async () => {
    const sql = await rigOf({ shards: 2 })
    await sql.rig.putAll(ids(50))
    const { rows } = listening(sql)
    expect(await rows('select count(*) from docs')).toEqual([[50]])
    await sql.rig.doc('clear', { id: 'd0' })
    const left = ids(50).filter((id) => {
      const map = murmur3Slot(id)
      return Math.floor((map * 2) / 16_384) !== Math.floor((murmur3Slot('d0') * 2) / 16_384)
    })
    const found = (await rows('select id from docs order by id')).flat()
    expect(found.length).toBeLessThan(50)
    expect(found).toEqual(left.sort())
  })

  it('follow slots that move to other shards', async () => {
    const sql = await rigOf({ shards: 2 })
    await sql.rig.putAll(ids(200), () => ({ rank: 1 }))
    await sql.tier('docs')
    await sql.rig.putAll(ids(60), () => ({ rank: 2 }))
    const { rows } = listening(sql)
    const sum = 'select count(*), count(distinct id), sum(rank) from docs'
    expect(await rows(sum)).toEqual([[200, 200, 260]])
    await sql.rig.fabric.move('shop', (map) => planResize(map, 3))
    expect(await rows(sum)).toEqual([[200, 200, 260]])
    await sql.rig.putAll(ids(10), () => ({ rank: 3 }))
    expect(await rows(sum)).toEqual([[200, 200, 270]])
  })

  it('are read again when the lake moves on under a query', async () => {
    const sql = await rigOf()
    await sql.rig.putAll(ids(30))
    await sql.tier('docs')
    let isDone = false
    const { rows } = listening(sql, async ({ name }) => {
      if (isDone || name !== 'since') return
      isDone = true
      await sql.rig.putAll(['late'])
      await sql.tier('docs')
    })
    expect(await rows('select count(*) from docs')).toEqual([[31]])
    expect(isDone).toBe(true)
  })

  it('that always change under a query are told of', async () => {
    const sql = await rigOf()
    await sql.rig.putAll(['a'])
    await sql.tier('docs')
    let number = 0
    const { rows } = listening(sql, async ({ name }) => {
      if (name !== 'since') return
      await sql.rig.putAll([`late ${number++}`])
      await sql.tier('docs')
    })
    await expect(rows('select count(*) from docs')).rejects.toMatchObject({
      code: 'unavailable',
      message: /keep changing/,
    })
  })

  it('are told as they were when the query began, whatever is fetched meanwhile', async () => {
    const sql = await rigOf()
    await sql.rig.putAll(ids(5000), () => ({ rank: 1 }))
    const early = await sql.query('select rank from docs')
    const taken = early.batches[Symbol.asyncIterator]()
    const first = await taken.next()
    await sql.rig.putAll(ids(5000), () => ({ rank: 2 }))
    await sql.tier('docs')
    expect(await sql.value('select sum(rank) from docs')).toBe(10_000)
    let sum = 0
    for (let next = first; !next.done; next = await taken.next()) for (const [rank] of next.value) sum += Number(rank)
    expect(sum).toBe(5000)
  })

  it('of many queries at once are the same', async () => {
    const sql = await rigOf({ shards: 3 })
    await sql.rig.putAll(ids(300), () => ({ rank: 1 }))
    const texts = [
      'select count(*) from docs',
      'select sum(rank) from docs',
      'select count(*) from docs a, notes b, docs c',
    ]
    const answers = await Promise.all(Array.from({ length: 12 }, (_, at) => sql.value(texts[at % 3] as string)))
    expect(answers).toEqual(Array.from({ length: 12 }, (_, at) => (at % 3 === 2 ? 0 : 300)))
  })

  it('take no more memory than they may, between queries', async () => {
    const sql = await rigOf({}, { memoryBytes: 64 * 1024 * 1024 })
    const body = 'x'.repeat(20_000)
    await sql.rig.putAll(ids(2000), () => ({ body }))
    expect(await sql.value('select sum(length(body)) from docs')).toBe(40_000_000)
    expect(await sql.value('select sum(length(body)) from docs')).toBe(40_000_000)
    const plan = (await sql.rows('explain select body from docs')).flat().join('\n')
    expect(plan).toMatch(/none is kept yet/)
    await sql.rig.putAll(ids(2000), () => ({ body: 'short' }))
    expect(await sql.value('select sum(length(body)) from docs')).toBe(10_000)
    expect((await sql.rows('explain select body from docs')).flat().join('\n')).toMatch(/2,000 rows kept from before/)
  })

  it('keep every value that a column may have', async () => {
    const sql = await rigOf()
    // node:sqlite of Node 22 cuts text at a NUL, so its driver refuses to store it.
    const hasNul = !process.version.startsWith('v22.')
    const titles = ['', 'é ✓ 😀', ...(hasNul ? ['\0', 'a\0b'] : []), "it's", '\n\t', 'x'.repeat(5000)]
    for (const [at, title] of titles.entries()) await sql.rig.doc('put', { id: `t${at}`, title, rank: at })
    await sql.rig.doc('put', { id: 't8', body: null, rank: 2 ** 53 - 1 })
    const expected = titles.map((title, at) => [title, null, at])
    const rows = 'select title, body, rank from docs order by id'
    expect(await sql.rows(rows)).toEqual([...expected, ['t8', null, 2 ** 53 - 1]])
    await sql.tier('docs')
    expect(await sql.rows(rows)).toEqual([...expected, ['t8', null, 2 ** 53 - 1]])
    // What no file takes: here it is null, and the row is a dead letter once it was to be written.
    await sql.rig.doc('put', { id: 'bad', rank: -1 })
    expect(await sql.rows("select id, rank from docs where id = 'bad'")).toEqual([['bad', null]])
  })
})

describe('changes', () => {
  it('are the log past the lake, and the lake: each once', async () => {
    const sql = await rigOf({ shards: 2 })
    const shards = await sql.rig.shards()
    await shards.each((shard) => shards.system(shard, 'capture', { collection: 'docs', level: 'full', raise: true }))
    const { rows, fetched } = listening(sql)
    await sql.rig.putAll(ids(20))
    const count = 'select count(*), count(distinct (shard, seq)) from changes'
    expect(await rows(count)).toEqual([[20, 20]])
    await sql.rig.doc('rank', { id: 'd0', rank: 0 })
    expect(await rows(count)).toEqual([[21, 21]])
    await sql.tier('changes')
    expect(await rows(count)).toEqual([[21, 21]])
    await sql.rig.doc('put', { id: 'd1', title: 'new', rank: 3 })
    await sql.rig.doc('remove', { id: 'd2' })
    expect(
      await rows('select namespace, type, op, id, data from shop.changes where op = $1 or id = $2 order by op, data', [
        'delete',
        'd1',
      ]),
    ).toEqual([
      ['shop', 'docs', 'delete', 'd2', null],
      ['shop', 'docs', 'insert', 'd1', JSON.stringify({ id: 'd1', title: 'd1', body: 'body of d1', rank: 0 })],
      ['shop', 'docs', 'put', 'd1', JSON.stringify({ id: 'd1', title: 'new', body: null, rank: 3 })],
    ])
    await rows(count)
    expect(fetched()).toBe(0)
    const before = await rows(
      "select op, id, data, ts, shard, incarnation, epoch, seq from changes where op <> 'x' order by shard, seq",
    )
    expect(before).toHaveLength(23)
    await sql.tier('changes')
    const after = await rows(
      "select op, id, data, ts, shard, incarnation, epoch, seq from changes where op <> 'x' order by shard, seq",
    )
    expect(after).toEqual(before)
    expect(await rows("select count(*) from changes where ts > timestamptz '2020-01-01' and type = 'docs'")).toEqual([
      [23],
    ])
  })

  it('are of the collections that are written to the lake, where that is said', async () => {
    const sql = await rigOf()
    await sql.rig.putAll(['a', 'b'])
    await sql.rig.doc('note', { id: 'n', title: 'a note' })
    const { fabric, catalog, files, clock } = sql.rig
    let written = ['docs']
    const some = openSqlEngine({
      fabric,
      programs: [],
      clock,
      lake: { catalog, files, changesOf: async () => written },
    })
    endings.push(() => some.close())
    const text = 'select type, count(*) from changes group by 1 order by 1'
    expect(await allRows(await some.query({ text, database: 'shop' }))).toEqual([['docs', 2]])
    written = ['notes']
    expect(await allRows(await some.query({ text, database: 'shop' }))).toEqual([['notes', 1]])
    expect(await sql.rows(text)).toEqual([
      ['docs', 2],
      ['notes', 1],
    ])
  })
})

describe('without a lake', () => {
  it('shards alone answer; the past is refused', async () => {
    const sql = await rigOf()
    await sql.rig.putAll(ids(5))
    const { fabric, clock } = sql.rig
    const engine = openSqlEngine({ fabric, programs: [docsProgram], clock })
    endings.push(() => engine.close())
    const rows = async (text: string) => allRows(await engine.query({ text, database: 'shop' }))
    expect(await rows('select count(*) from docs')).toEqual([[5]])
    await expect(rows('select count(*) from docs at (version => 1)')).rejects.toMatchObject({
      code: 'not_found',
      message: /no past/,
    })
    expect(await rows('explain select count(*) from docs')).toContainEqual(['  cold: not in the lake'])
  })
})

describe('options', () => {
  it('that cannot be are refused', async () => {
    const sql = await rigOf()
    expect(() => sql.engine({ memoryBytes: 5 })).toThrow(/memoryBytes 5/)
    expect(() => sql.engine({ threads: 0 })).toThrow(/threads 0/)
    expect(() => sql.engine({ cacheBytes: -1 })).toThrow(/cacheBytes -1/)
  })

  it('memoryBytes bounds a query', async () => {
    const sql = await rigOf({}, { memoryBytes: 32 * 1024 * 1024 })
    const text = "select list(i || 'xxxxxxxxxxxxxxxxxxxxxxxxxxxx') from range(3000000) t(i)"
    await expect(sql.rows(text)).rejects.toMatchObject({ code: 'limit' })
    expect(await sql.value('select 1')).toBe(1)
  })

  it('threads is how many work', async () => {
    const sql = await rigOf({}, { threads: 1 })
    const plan = (await sql.rows('explain analyze select count(*) from range(10)')).flat().join('\n')
    expect(plan).toMatch(/Total Time/)
  })

  it('close ends everything', async () => {
    const sql = await rigOf()
    const engine = sql.engine()
    const result = await engine.query({ text: 'select i from range(100000000) t(i)', database: 'shop' })
    await engine.close()
    await engine.close()
    expect((await allRows(result)).length).toBe(0)
    await expect(engine.query({ text: 'select 1', database: 'shop' })).rejects.toMatchObject({ code: 'unavailable' })
  })
})
