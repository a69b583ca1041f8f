/** Takes rows apart into columns: values with their levels.
 *  A struct is an object, a list an array (or anything iterable), a map a Map, an object, or entries.
 *  @source https://research.google/pubs/pub36632/ (Dremel), section 4 */
import { Failure } from '../../errors.ts'
import type { Column } from './column.ts'
import type { CompiledSchema, Node } from './schema.ts'

/** Appends one value of a field to the columns below it. */
type Write = (value: unknown, repetition: number) => void
/** Appends to the columns below a field that a path ended above it, at a definition level. */
type Miss = (repetition: number, definition: number) => void

interface Shredder {
  readonly write: Write
  readonly miss: Miss
}

/** A row, by field name. */
export type RowInput = { readonly [field: string]: unknown }

/** Make the function that appends one row to columns.
 *  It throws `invalid` (detail `{ field }`) for a row that does not fit the schema; then columns have parts of it.
 *  Fields that the schema has not are refused: a misspelt name would be nulls. */
export function makeShredder(schema: CompiledSchema, columns: readonly Column[]): (row: RowInput) => void {
  const fields = schema.fields.map(([name, node]) => [name, shredderOf(node, columns).write] as const)
  const known = new Set(schema.fields.map(([name]) => name))
  return (row) => {
    for (const [name, write] of fields) write(row[name], 0)
    for (const name in row) if (!known.has(name)) throw strange(name, known)
  }
}

const strange = (name: string, known: ReadonlySet<string>) =>
  new Failure('invalid', `no field ${name}; there are ${[...known].join(', ')}`, { field: name })

/** Make the functions of one top-level field, for columns given as arrays of values. */
export function makeFieldWriter(node: Node, columns: readonly Column[]): (value: unknown) => void {
  const { write } = shredderOf(node, columns)
  return (value) => write(value, 0)
}

function shredderOf(node: Node, columns: readonly Column[]): Shredder {
  const { name, required, definition } = node
  const inner = innerOf(node, columns)
  const missing = () => new Failure('invalid', `field ${name} is required: null is no value`, { field: name })
  return {
    write(value, repetition) {
      if (value !== null && value !== undefined) inner.write(value, repetition)
      else if (required) throw missing()
      else inner.miss(repetition, definition - 1)
    },
    miss: inner.miss,
  }
}

function innerOf(node: Node, columns: readonly Column[]): Shredder {
  switch (node.kind) {
    case 'leaf': {
      const column = columns[node.leaf.index] as Column
      return {
        write: (value, repetition) => column.add(value, repetition),
        miss: (repetition, definition) => column.addNull(repetition, definition),
      }
    }
    case 'struct':
      return structOf(node, columns)
    case 'list': {
      const element = shredderOf(node.element, columns)
      return repeatedOf(node, (value) => elementsOf(node.name, value), element)
    }
    case 'map': {
      const [key, value] = [shredderOf(node.key, columns), shredderOf(node.value, columns)]
      const entry: Shredder = {
        write(pair, repetition) {
          if (!Array.isArray(pair) || pair.length !== 2) throw notFitting(node.name, 'a map has [key, value] entries')
          key.write(pair[0], repetition)
          value.write(pair[1], repetition)
        },
        miss(repetition, definition) {
          key.miss(repetition, definition)
          value.miss(repetition, definition)
        },
      }
      return repeatedOf(node, (map) => entriesOf(node.name, map), entry)
    }
  }
}

const notFitting = (field: string, what: string) => new Failure('invalid', `field ${field}: ${what}`, { field })

function structOf(node: Extract<Node, { kind: 'struct' }>, columns: readonly Column[]): Shredder {
  const fields = node.fields.map(([name, child]) => [name, shredderOf(child, columns)] as const)
  const known = new Set(node.fields.map(([name]) => name))
  return {
    write(value, repetition) {
      if (typeof value !== 'object' || Array.isArray(value)) throw notFitting(node.name, 'a struct is an object')
      for (const name in value) if (!known.has(name)) throw strange(name, known)
      for (const [name, field] of fields) field.write((value as RowInput)[name], repetition)
    },
    miss(repetition, definition) {
      for (const [, field] of fields) field.miss(repetition, definition)
    },
  }
}

function repeatedOf(
  { repetition: own, definition }: Extract<Node, { kind: 'list' | 'map' }>,
  itemsOf: (value: unknown) => Iterable<unknown>,
  item: Shredder,
): Shredder {
  return {
    write(value, repetition) {
      let level = repetition
      let isEmpty = true
      for (const one of itemsOf(value)) {
        item.write(one, level)
        level = own
        isEmpty = false
      }
      // The list is there and empty: its own level, one below that of its items.
      if (isEmpty) item.miss(repetition, definition)
    },
    miss: item.miss,
  }
}

function elementsOf(field: string, value: unknown): Iterable<unknown> {
  if (typeof value === 'object' && value !== null && Symbol.iterator in value) return value as Iterable<unknown>
  throw notFitting(field, 'a list is an array')
}

function entriesOf(field: string, value: unknown): Iterable<unknown> {
  if (typeof value !== 'object' || value === null) throw notFitting(field, 'a map is a Map or an object')
  return Symbol.iterator in value ? (value as Iterable<unknown>) : Object.entries(value)
}
