/** A small program for tests of rows that are patched, and of rows that keep their books: texts, and their lengths. */
import { Failure } from '../errors.ts'
import type { Call, Position, Program, Tx } from './program.ts'
import { table } from './table.ts'

/** A text. */
export type TapeRow = { slot: number; name: string; body: string | null; cuts: number }
/** How long it is. */
export type MeterRow = { slot: number; name: string; length: number }

/** A patch is `+` and what is put behind, or `-` and how much goes in front. */
const patched = ({ slot, name, body, cuts }: TapeRow, patch: string): TapeRow => {
  const text = body as string
  if (patch.startsWith('+')) return { slot, name, body: text + patch.slice(1), cuts }
  return { slot, name, body: text.slice(Number(patch.slice(1))), cuts: cuts + 1 }
}

/** Texts, patched. */
export const tapes = table<TapeRow>({
  name: 'test_tapes',
  collection: 'tapes',
  columns: { slot: 'integer', name: 'text', body: 'bin?', cuts: 'integer' },
  primaryKey: ['slot', 'name'],
  buffered: true,
  patched,
  document: ({ name, body, cuts }) => ({ name, body, cuts }),
  documentId: ({ name }) => name ?? '',
  relation: {
    columns: [{ name: 'body', type: 'string', value: ({ body }) => body }],
    payload: { column: 'body', isCold: ({ body }) => body === null, fromLake: ({ body }) => body as string },
  },
})

/** The lengths of texts, logged last. */
export const meters = table<MeterRow>({
  name: 'test_meters',
  collection: 'meters',
  columns: { slot: 'integer', name: 'text', length: 'integer' },
  primaryKey: ['slot', 'name'],
  buffered: true,
  document: ({ name, length }) => ({ name, length }),
  documentId: ({ name }) => name ?? '',
})

/** Arguments of the program's calls. */
export interface TapeArgs {
  readonly slot: number
  readonly name: string
  readonly text?: string
  readonly count?: number
  readonly after?: Position
  /** Fail after having run. */
  readonly fail?: boolean
}

function change(tx: Tx, { slot, name }: TapeArgs, patch: string): number {
  const row = tx.find(tapes, { slot, name }) ?? { slot, name, body: '', cuts: 0 }
  const next = patched(row, patch)
  tx.patch(tapes, next, patch)
  const length = (next.body as string).length
  tx.putLast(meters, { slot, name, length })
  return length
}

const handlers: { [name: string]: (tx: Tx, args: TapeArgs) => unknown } = {
  append: (tx, args) => change(tx, args, `+${args.text}`),
  cut: (tx, args) => (tx.find(tapes, args) === undefined ? null : change(tx, args, `-${args.count}`)),
  write(tx, { slot, name, text = '' }) {
    tx.put(tapes, { slot, name, body: text, cuts: 0 })
    tx.put(meters, { slot, name, length: text.length })
    return text.length
  },
  remove: (tx, args) => tx.remove(tapes, args) && tx.remove(meters, args),
  read(tx, args) {
    const row = tx.find(tapes, args)
    return row === undefined ? null : [row.body, row.cuts, tx.find(meters, args)?.length]
  },
  /** Read with SQL. */
  list(tx, { slot }) {
    tx.settle(tapes, slot, slot)
    tx.settle(meters, slot, slot)
    return tx.raw(
      `select name, cast(body as text), cuts, length from test_tapes join test_meters using (slot, name)
        where slot = ? order by name`,
      slot,
    )
  },
  place: (tx) => tx.position,
  changed: (tx, { after }) => tx.changedSince(after as Position, () => true),
  /** Let the text go, and take it back at once. */
  leave(tx, args) {
    const body = tx.find(tapes, args)?.body
    if (body == null) return null
    tx.evict(tapes, args)
    return tx.restore(tapes, args, body)
  },
  /** Change a text, and once more in a part that is undone. */
  attempt(tx, args) {
    change(tx, args, '+kept')
    try {
      tx.attempt(() => {
        change(tx, args, '+undone')
        throw new Failure('invalid', 'asked to fail')
      })
    } catch (error) {
      if (!(error instanceof Failure)) throw error
    }
    return null
  },
}

/** The program. */
export const tapeProgram: Program = {
  name: 'tapes',
  tables: [tapes, meters],
  writesSql: () => false,
  run(tx: Tx, { name, args }: Call) {
    const reply = handlers[name]?.(tx, args as TapeArgs)
    if ((args as TapeArgs).fail) throw new Failure('invalid', 'asked to fail')
    return reply
  },
}

/** Make one call of the program. */
export function tapeCall(name: string, args: Partial<TapeArgs> = {}): Call {
  return { program: 'tapes', name, slot: 1, epoch: 1, args: { slot: 1, name: 'a', ...args } }
}
