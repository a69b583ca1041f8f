/** A small program for tests of the core: a buffered table of counters and an unbuffered one of notes. */
import { Failure } from '../errors.ts'
import type { Call, Program, Tx } from './program.ts'
import { table } from './table.ts'

/** A row of the buffered table. */
export type CounterRow = { slot: number; key: string; value: number; note: string | null; bytes: string }
/** A row of the unbuffered table. */
export type NoteRow = { slot: number; id: number; text: string }

/** Counters by binary key; written through memory. */
export const counters = table<CounterRow>({
  name: 'test_counters',
  collection: 'counters',
  columns: { slot: 'integer', key: 'bin', value: 'integer', note: 'text?', bytes: 'bin' },
  primaryKey: ['slot', 'key'],
  withoutRowid: true,
  buffered: true,
  document: ({ key, value, note }) => ({ key, value, note }),
  documentId: (key) => String(key.key),
})

/** Notes; written with SQL at once. */
export const notes = table<NoteRow>({
  name: 'test_notes',
  collection: 'notes',
  columns: { slot: 'integer', id: 'integer', text: 'text' },
  primaryKey: ['slot', 'id'],
  indexes: { text: '(text)' },
  document: ({ id, text }) => ({ id, text }),
  documentId: (key) => String(key.id),
})

/** Arguments of the test program's calls. */
export interface TestArgs {
  slot: number
  key: string
  by?: number
  bytes?: string
  /** Fail after having written. */
  fail?: boolean
}

const handlers: { [name: string]: (tx: Tx, args: TestArgs) => unknown } = {
  add(tx, { slot, key, by = 1, bytes = '', fail }) {
    const value = (tx.find(counters, { slot, key })?.value ?? 0) + by
    tx.put(counters, { slot, key, value, note: value % 2 === 0 ? null : 'odd', bytes })
    if (fail) throw new Failure('invalid', 'asked to fail')
    return value
  },
  get: (tx, { slot, key }) => tx.find(counters, { slot, key })?.value ?? null,
  remove(tx, { slot, key, fail }) {
    const removed = tx.remove(counters, { slot, key })
    if (fail) throw new Failure('invalid', 'asked to fail')
    return removed
  },
  clear(tx, { fail }) {
    tx.truncate(counters)
    if (fail) throw new Failure('invalid', 'asked to fail')
    return null
  },
  list(tx, { slot }) {
    tx.settle(counters, slot, slot)
    const rows = tx.all('select key, value from test_counters where slot = ? order by key', slot)
    return rows.map((row) => [tx.fromSql(counters, row).key, row.value])
  },
  stored: (tx, { slot }) => tx.raw('select count(*) from test_counters where slot = ?', slot)[0]?.[0],
  note(tx, { slot, key, by = 0, fail }) {
    tx.put(notes, { slot, id: by, text: key })
    if (fail) throw new Failure('invalid', 'asked to fail')
    return null
  },
  notes: (tx, { slot }) => tx.raw('select id, text from test_notes where slot = ? order by id', slot),
  attempt(tx, { slot, key }) {
    tx.put(counters, { slot, key: `${key}-kept`, value: 1, note: null, bytes: '' })
    try {
      tx.attempt(() => handlers.add?.(tx, { slot, key, fail: true }))
    } catch (error) {
      if (!(error instanceof Failure)) throw error
    }
    return tx.find(counters, { slot, key })?.value ?? null
  },
  async later() {
    return 1
  },
  bug() {
    throw new TypeError('a bug')
  },
}

/** The program. */
export const testProgram: Program = {
  name: 'test',
  tables: [counters, notes],
  writesSql: (call) => ['note', 'clear'].includes(call.name),
  run: (tx: Tx, call: Call) => handlers[call.name]?.(tx, call.args as TestArgs),
}
