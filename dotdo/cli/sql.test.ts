import { once } from 'node:events'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { StopSwitch } from '@dotdo/core/cdc'
import { Failure } from '@dotdo/core/errors'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { answerError } from '../http/errors.ts'
import { sqlRoutes } from '../http/sql.ts'
import type { Rows } from '../http/sql-formats.ts'
import { type PlainEngine, plainEngine } from '../http/sql-testing.ts'
import { runShell } from './shell.ts'
import { query } from './sql-client.ts'
import { type OutputFormat, showStats } from './sql-output.ts'
import { explainFailure, type RunOptions, runStatement, withPlace } from './sql-run.ts'

const column = (name: string, type: string) => ({ name, type })
const columns = [column('id', 'int'), column('name', 'string'), column('data', 'json')]
const two = [
  [1, 'one | two', '{"a":[1,2]}'],
  [22, 'line\nbreak \u001b[31m', null],
] as Rows

let engine: PlainEngine
let server: Server
let stop: StopSwitch
let url: string
let folder: ReturnType<typeof temporaryFolder>

beforeEach(async () => {
  folder = temporaryFolder()
  stop = new StopSwitch()
  async function* stuck(): AsyncGenerator<Rows> {
    yield [[1]]
    await new Promise<void>((resolve) => stop.addEventListener('abort', resolve))
  }
  function* many(): Generator<Rows> {
    for (let n = 0; n < 3; n++) yield Array.from({ length: 700 }, (_, index) => [n * 700 + index])
    yield [[1_000_000]]
  }
  function* broken(): Generator<Rows> {
    yield [[1]]
    throw new Failure('limit', 'it is too much')
  }
  const number = [column('n', 'int')]
  engine = plainEngine({
    two: { columns, batches: () => [two] },
    same: { columns: [column('a', 'int'), column('a', 'int')], batches: () => [[[1, 2]]] },
    empty: { columns, batches: () => [] },
    many: { columns: number, batches: many },
    stuck: { columns: number, batches: stuck },
    broken: { columns: number, batches: broken },
  })
  const app = new Hono()
  app.route('/sql', sqlRoutes({ sql: engine, stop }))
  app.onError((error, context) => answerError(context, error, () => undefined))
  server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(() => {
  stop.abort()
  server.closeAllConnections()
  server.close()
  folder.remove()
})

function collect(width?: number) {
  const texts: string[] = []
  const write = async (text: string) => void texts.push(text)
  return { output: { width, write }, text: () => texts.join('') }
}

async function show(table: string, format: OutputFormat, width?: number): Promise<string> {
  const { output, text } = collect(width)
  const options = { server: { url }, database: 'default', format, timing: false, out: output, notes: output }
  await runStatement(`select * from ${table}`, options)
  return text()
}

describe('a result', () => {
  it('is a table', async () => {
    expect(await show('two', 'table')).toBe(
      [
        ' id │ name                   │ data',
        '────┼────────────────────────┼─────────────',
        '  1 │ one | two              │ {"a":[1,2]}',
        ' 22 │ line\\nbreak \\u001b[31m │ NULL',
        '',
      ].join('\n'),
    )
  })

  it('is cut to the terminal', async () => {
    const lines = (await show('two', 'table', 32)).trimEnd().split('\n')
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(32)
    expect(lines[2]).toContain('one | two')
    expect(lines[3]).toContain('…')
  })

  it('is a list of columns where a line is too narrow', async () => {
    expect((await show('two', 'table', 20)).split('\n')).toEqual([
      '── row 1 ──',
      ' id   │ 1',
      ' name │ one | two',
      ' data │ {"a":[1,2]}',
      '── row 2 ──',
      ' id   │ 22',
      ' name │ line\\nbreak…',
      ' data │ NULL',
      '',
    ])
  })

  it('goes on as it began when it is long', async () => {
    const lines = (await show('many', 'table')).trimEnd().split('\n')
    expect(lines.length).toBe(2 + 2_101)
    expect([lines[2], lines[2_101], lines[2_102]].map((line) => line?.trim())).toEqual(['0', '2099', '1000000'])
  })

  it('is JSON, as the server has it', async () => {
    expect(JSON.parse(await show('two', 'json'))).toEqual({
      columns,
      rows: two,
      stats: expect.objectContaining({ rows: 2 }),
    })
    expect(JSON.parse(await show('empty', 'json'))).toMatchObject({ rows: [] })
  })

  it('is an object a line', async () => {
    expect(await show('same', 'ndjson')).toBe('{"a":1,"a_2":2}\n')
  })

  it('is CSV', async () => {
    expect(await show('two', 'csv')).toBe(
      'id,name,data\r\n1,one | two,"{""a"":[1,2]}"\r\n22,"line\nbreak \u001b[31m",\r\n',
    )
  })

  it('is Markdown', async () => {
    expect(await show('two', 'markdown')).toBe(
      [
        '| id | name | data |',
        '| ---: | --- | --- |',
        '| 1 | one \\| two | {"a":\\[1,2\\]} |',
        '| 22 | line\\\\nbreak \\\\u001b\\[31m |  |',
        '',
      ].join('\n'),
    )
  })

  it('says in a line what it cost', () => {
    const stats = { elapsedMs: 12.4, rows: 1, hotRows: 1_234, shards: 4, files: 10, filesPruned: 7 }
    const bytes = { bytesRead: 1_200_000, bytesCached: 5, bytesPruned: 12_000_000 }
    expect(showStats({ ...stats, ...bytes })).toBe(
      '1 row in 12 ms · 1,234 rows from 4 shards · 3 of 10 files read (7 pruned) · ' +
        '1.2 MB fetched, 5 bytes cached, 12.0 MB pruned',
    )
  })
})

describe('a question', () => {
  it('carries everything it was asked with', async () => {
    const { output } = collect()
    const options: RunOptions = {
      server: { url },
      database: 'shop',
      format: 'csv',
      timing: true,
      out: output,
      notes: output,
      params: [1, 'a'],
      asOf: 'nightly',
      explain: true,
    }
    await runStatement('select * from empty', options)
    expect(engine.asked).toMatchObject([
      { database: 'shop', params: [1, 'a'], asOf: { ref: 'nightly' }, explain: true },
    ])
  })

  it('fails as the server says', async () => {
    await expect(show('none', 'table')).rejects.toMatchObject({ code: 'not_found', message: 'no table none' })
    await expect(show('broken', 'csv')).rejects.toMatchObject({ code: 'limit', message: 'it is too much' })
  })

  it('fails when the answer breaks off', async () => {
    const { batches } = await query({ url }, { sql: 'select * from stuck', database: 'default' })
    const rows = batches[Symbol.asyncIterator]()
    expect((await rows.next()).value).toEqual([[1]])
    server.closeAllConnections()
    await expect(rows.next()).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('shows where it is wrong', () => {
    const failure = new Failure('invalid', 'it is wrong', { line: 2, column: 3 })
    expect(explainFailure(failure, 'select\n\t1x')).toBe('it is wrong\n  \t1x\n  \t ^')
    expect(withPlace(failure).message).toBe('it is wrong (line 2, column 3)')
  })
})

/** A shell that is typed into. */
function openShell(isTTY = false) {
  const input = new PassThrough()
  const output = Object.assign(new PassThrough(), { isTTY, columns: 80 })
  let text = ''
  output.on('data', (bytes) => (text += bytes))
  const { output: out } = collect()
  const server = { url }
  const options = { server, database: 'default', format: 'csv' as const, timing: false, out, notes: out }
  const historyFile = join(folder.path, 'state', 'history')
  const ended = runShell({ input, output, options, historyFile })
  return { input, ended, historyFile, text: () => text }
}

describe('the shell', () => {
  it('runs statements over several lines', async () => {
    const { input, ended, text } = openShell()
    input.end('select *\nfrom same; select * from empty;\n')
    expect(await ended).toBe(0)
    expect(text()).toMatch(/default> +- a,a\r\n1,2\r\nid,name,data\r\n/)
  })

  it('goes on after a mistake, and shows where it was', async () => {
    const { input, ended, text } = openShell()
    input.end('selct 1;\n\\nothing\nselect * from same;\n')
    await ended
    expect(text()).toContain('want select * from a table\n  selct 1\n  ^\n')
    expect(text()).toContain('no such command: \\nothing')
    expect(text()).toContain('1,2\r\n')
  })

  it('describes tables', async () => {
    const { input, ended, text } = openShell()
    input.end('\\d\n\\d two\n\\d default.same;\n\\d none\n')
    await ended
    expect(text()).toMatch(/ {2}table +columns +rows are\n {2}default\.two +3 +hot\n/)
    expect(text()).toMatch(/ {2}column +type\n {2}id +int\n {2}name +string\n/)
    expect(text()).toContain('no table none; \\d lists them')
  })

  it('has settings', async () => {
    const { input, ended, text } = openShell()
    input.end(
      '\\use shop\n\\format ndjson\n\\timing\nselect * from same;\n\\timing off\n\\format x\n\\help\n\\q\nselect 1;\n',
    )
    await ended
    expect(engine.asked).toMatchObject([{ database: 'shop' }])
    expect(text()).toContain('{"a":1,"a_2":2}\n1 row in 2 ms · 1 row from 1 shard\n')
    expect(text()).toContain('timing is off')
    expect(text()).toContain('\\format wants one of table, json, ndjson, csv, markdown')
    expect(text()).toContain('\\use DATABASE')
    expect(text()).not.toContain('selct 1')
  })

  it('keeps its history in a file of its own, a statement an entry', async () => {
    const first = openShell()
    first.input.end('select * -- all\nfrom same;\nselect * from empty;\nselect * from empty;\n')
    await first.ended
    expect(statSync(first.historyFile).mode & 0o777).toBe(0o600)
    const lines = readFileSync(first.historyFile, 'utf8').trim().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toEqual(['select * /* all */ from same;', 'select * from empty;'])
    const second = openShell(true)
    // Up, twice: the older one comes back and runs again.
    second.input.write('\u001b[A\u001b[A\r')
    await expect.poll(() => engine.asked.length).toBe(4)
    expect(engine.asked.at(-1)?.text).toBe('select * /* all */ from same')
    second.input.write('\u0004')
    await second.ended
  })

  it('does without a history that it cannot keep or read', async () => {
    writeFileSync(join(folder.path, 'state'), '')
    const { input, ended, text } = openShell()
    input.end('select * from same;\n')
    expect(await ended).toBe(0)
    expect(text()).toContain('(history is not kept: ')
    expect(existsSync(join(folder.path, 'state', 'history'))).toBe(false)
  })

  it('completes on Tab', async () => {
    const { input, ended, text } = openShell(true)
    input.write('select * from sa\t')
    await expect.poll(text).toContain('same')
    input.write(';\r')
    await expect.poll(() => engine.asked.map(({ text }) => text)).toEqual(['select * from same'])
    input.write('\u0004')
    await ended
  })

  it('ends a query, and drops what is typed, on Control-C', async () => {
    const { input, ended, text } = openShell(true)
    input.write('select * from stuck;\r')
    await expect.poll(() => engine.open).toBe(1)
    await expect.poll(text).toContain('n\r\n1')
    input.write('\u0003')
    await expect.poll(text).toContain('cancelled')
    await expect.poll(() => engine.open).toBe(0)
    input.write('select half\r')
    await expect.poll(text).toMatch(/ - \S*$/)
    input.write('\u0003select * from same;\r')
    await expect.poll(text).toContain('1,2')
    expect(engine.asked.at(-1)?.text).toBe('select * from same')
    input.write('\u0004')
    await ended
  })
})
