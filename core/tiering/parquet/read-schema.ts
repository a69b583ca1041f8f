/** Finds the columns of a table in a file: by field id, or by name in files of writers that know no ids.
 *
 *  1. What the file has not is null, or what the column says rows of before have; what nobody asks for is not read.
 *  2. Lists and maps are found by their form, in all the ways that LogicalTypes.md tells of.
 *  @source https://iceberg.apache.org/spec/ (v2), "Column Projection" and appendix C, "Name Mapping Serialization"
 *  @source https://github.com/apache/parquet-format/blob/master/LogicalTypes.md, "Nested Types" */
import { Failure } from '../../errors.ts'
import { indexFields } from '../iceberg/schema.ts'
import { childrenOf, type Field, type IcebergType, isPrimitive, type StructType } from '../iceberg/types.ts'
import { fromJson } from '../iceberg/values.ts'
import type { FileLeaf, FileNode, Footer } from './read-footer.ts'
import { type Form, formOf } from './read-values.ts'

/** What fields are called in files without ids. */
export interface MappedField {
  readonly id?: number | undefined
  readonly names: readonly string[]
  readonly fields?: NameMapping | undefined
}

/** The fields of one level. */
export type NameMapping = readonly MappedField[]

/** Read a table's property `schema.name-mapping.default`.
 *  @throws invalid when it is no name mapping */
export function parseNameMapping(text: string): NameMapping {
  const wrong = (cause?: unknown) => {
    return new Failure('invalid', `schema.name-mapping.default is no name mapping: ${text.slice(0, 80)}`, {}, cause)
  }
  const read = (json: unknown): NameMapping => {
    if (!Array.isArray(json)) throw wrong()
    return json.map((entry) => {
      const { 'field-id': id, names, fields } = entry as { 'field-id'?: number; names?: string[]; fields?: unknown }
      if (!Array.isArray(names)) throw wrong()
      return { id, names, fields: fields === undefined || fields === null ? undefined : read(fields) }
    })
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw wrong(error)
  }
  return read(json)
}

/** Map every field by its own name. */
export function nameMappingOf(fields: readonly Field[]): NameMapping {
  return fields.map(({ id, name, type }) => ({ id, names: [name], fields: nameMappingOf(childrenOf(type)) }))
}

/** A leaf to read; without a form only its levels matter. */
export interface WantedLeaf {
  readonly leaf: FileLeaf
  readonly form: Form | undefined
}

/** How values of a field are put together; `slots` are places among the field's leaves. */
export type ReadNode =
  | { readonly kind: 'missing'; readonly value: unknown }
  | { readonly kind: 'leaf'; readonly slot: number }
  | (Group & { readonly kind: 'struct'; readonly fields: readonly (readonly [string, ReadNode])[] })
  | (Group & { readonly kind: 'list'; readonly element: ReadNode })
  | (Group & { readonly kind: 'map'; readonly key: ReadNode; readonly value: ReadNode })

/** What structs, lists and maps have in common. */
export interface Group {
  /** Below this level the value is null. */
  readonly definition: number
  /** Of the entries of one value all but the first repeat deeper than this. */
  readonly repetition: number
  readonly slots: readonly number[]
}

/** A field of the table, as it is found in a file. */
export interface ReadField {
  readonly field: Field
  readonly node: ReadNode
  readonly leaves: readonly WantedLeaf[]
}

/** Finds fields in one file. */
export class FieldFinder {
  private readonly footer: Footer
  private readonly schema: StructType
  /** Undefined when the file has ids. */
  private readonly mapping: NameMapping | undefined

  /** @param schema the fields that will be asked for */
  constructor(footer: Footer, schema: StructType, mapping: NameMapping = nameMappingOf(schema.fields)) {
    this.footer = footer
    this.schema = schema
    this.mapping = footer.fields.some(hasIds) ? undefined : mapping
  }

  /** Find a field.
   *  @throws invalid when the file has it as something that is no value of its type */
  find(field: Field): ReadField {
    const leaves: WantedLeaf[] = []
    const node = this.place(field, { among: this.footer.fields, mapping: this.mapping, leaves })
    return { field, node, leaves }
  }

  /** Find the leaf of a field that may be within structs.
   *  @returns undefined when nothing is known of it, `missing` when it is null in every row */
  findLeaf(id: number): WantedLeaf | 'missing' | undefined {
    const placed = indexFields(this.schema).get(id)
    if (placed === undefined || placed.isRepeated) return undefined
    let level: Level = { among: this.footer.fields, mapping: this.mapping, leaves: [] }
    for (const parent of [...placed.parents, placed.field]) {
      const { node, mapping } = match(parent, level)
      if (node === undefined) return parent['initial-default'] === undefined ? 'missing' : undefined
      if (parent === placed.field) {
        const isLeaf = isPrimitive(parent.type) && node.leaf !== undefined
        return isLeaf ? { leaf: node.leaf, form: formOf(node.leaf, parent.type as string) } : undefined
      }
      level = { among: node.children, mapping, leaves: [] }
    }
    return undefined
  }

  private place(field: Field, level: Level): ReadNode {
    const { node, mapping } = match(field, level)
    if (node !== undefined) return this.typed(field.type, node, { ...level, mapping })
    const initial = field['initial-default']
    const hasDefault = initial !== undefined && isPrimitive(field.type)
    return { kind: 'missing', value: hasDefault ? fromJson(field.type as string, initial) : null }
  }

  /** @param level its mapping is that of the node's children */
  private typed(type: IcebergType, node: FileNode, level: Level): ReadNode {
    const { leaves } = level
    if (isPrimitive(type)) {
      if (node.leaf === undefined) throw wrongForm(node, type)
      leaves.push({ leaf: node.leaf, form: formOf(node.leaf, type) })
      return { kind: 'leaf', slot: leaves.length - 1 }
    }
    if (type.type === 'struct') return this.struct(type, node, level)
    const before = leaves.length
    const slotsSince = () => leaves.slice(before).map((_, at) => before + at)
    const inside = (name: string) => level.mapping?.find(({ names }) => names.includes(name))?.fields ?? []
    const below = (name: string): Level => ({ ...level, mapping: level.mapping && inside(name) })
    const repeated = repeatedOf(node)
    if (repeated === undefined) throw wrongForm(node, type.type)
    // A repeated field without a group around it is there as often as it is, and never null.
    const outer =
      repeated === node ? { definition: node.definition - 1, repetitionLevel: node.repetitionLevel - 1 } : node
    const group = { definition: outer.definition, repetition: outer.repetitionLevel }
    if (type.type === 'list') {
      const element = this.typed(type.element, elementOf(node, repeated), below('element'))
      return { kind: 'list', ...group, element, slots: slotsSince() }
    }
    const [keyNode, valueNode] = repeated.children
    if (keyNode === undefined) throw wrongForm(node, 'map')
    const key = this.typed(type.key, keyNode, below('key'))
    const missing: ReadNode = { kind: 'missing', value: null }
    const value = valueNode === undefined ? missing : this.typed(type.value, valueNode, below('value'))
    return { kind: 'map', ...group, key, value, slots: slotsSince() }
  }

  private struct(type: StructType, node: FileNode, level: Level): ReadNode {
    if (node.leaf !== undefined) throw wrongForm(node, 'struct')
    const { leaves } = level
    const before = leaves.length
    const among = { ...level, among: node.children }
    const fields = type.fields.map((field) => [field.name, this.place(field, among)] as const)
    // All its fields are newer than the file: any leaf tells whether it was null.
    const probe = leaves.length === before ? firstLeaf(node) : undefined
    if (probe !== undefined) leaves.push({ leaf: probe, form: undefined })
    const slots = leaves.slice(before).map((_, at) => before + at)
    return { kind: 'struct', definition: node.definition, repetition: node.repetitionLevel, fields, slots }
  }
}

/** Where a field is looked for. */
interface Level {
  readonly among: readonly FileNode[]
  readonly mapping: NameMapping | undefined
  /** Gathers the leaves. */
  readonly leaves: WantedLeaf[]
}

const hasIds = ({ id, children }: FileNode): boolean => id !== undefined || children.some(hasIds)

/** Find a field of one level, and the mapping of the next. */
function match(field: Field, { among, mapping }: Level) {
  if (mapping === undefined) return { node: among.find(({ id }) => id === field.id), mapping }
  const entry = mapping.find(({ id }) => id === field.id)
  return { node: among.find(({ name }) => entry?.names.includes(name)), mapping: entry?.fields ?? [] }
}

const wrongForm = ({ name, leaf }: FileNode, type: string) =>
  new Failure('invalid', `column ${name} is ${leaf?.physical ?? 'nested'} in the file, which is no ${type}`)

/** Find the repeated group of a list or map. */
function repeatedOf(node: FileNode): FileNode | undefined {
  if (node.repetition === 'repeated') return node
  const [only, more] = node.children
  return more === undefined && only?.repetition === 'repeated' ? only : undefined
}

/** @source LogicalTypes.md, "Lists", the rules of backward compatibility */
function elementOf(list: FileNode, repeated: FileNode): FileNode {
  const [only, more] = repeated.children
  const isItself = only === undefined || more !== undefined || repeated === list
  if (isItself || repeated.name === 'array' || repeated.name === `${list.name}_tuple`) return repeated
  return only
}

/** The leaf that repeats least, so that it has the fewest entries. */
function firstLeaf(node: FileNode): FileLeaf | undefined {
  const leaves = leavesOf(node)
  return leaves.toSorted((a, b) => a.maxRepetition - b.maxRepetition)[0]
}

function leavesOf(node: FileNode): FileLeaf[] {
  return node.leaf === undefined ? node.children.flatMap(leavesOf) : [node.leaf]
}
