/** Lists and maps in all the forms that LogicalTypes.md allows, as other writers have them. */
import { describe, expect, it } from 'vitest'
import type { Field, IcebergType } from '../iceberg/types.ts'
import { assemble, type Cell } from './read-assemble.ts'
import type { FileLeaf, FileNode, Footer } from './read-footer.ts'
import { FieldFinder } from './read-schema.ts'

type Shape = readonly [name: string, repetition: FileNode['repetition'], children?: readonly Shape[]]

/** Make a tree of columns; leaves are int32. */
function treeOf(shapes: readonly Shape[]): FileNode[] {
  let leaves = 0
  const visit = ([name, repetition, inside = []]: Shape, above: { definition: number; level: number }): FileNode => {
    const definition = above.definition + (repetition === 'required' ? 0 : 1)
    const level = above.level + (repetition === 'repeated' ? 1 : 0)
    const children = inside.map((shape) => visit(shape, { definition, level }))
    const leaf: FileLeaf | undefined =
      inside.length > 0
        ? undefined
        : {
            index: leaves++,
            name,
            physical: 'int32',
            width: 0,
            scale: undefined,
            unit: undefined,
            isUnsigned: false,
            maxDefinition: definition,
            maxRepetition: level,
          }
    return { name, id: undefined, repetition, definition, repetitionLevel: level, children, leaf }
  }
  return shapes.map((shape) => visit(shape, { definition: 0, level: 0 }))
}

/** Entries of a leaf: a definition level, a repetition level, and the value where it is there. */
type Entries = readonly (readonly [definition: number, repetition: number, value?: number])[]

function read(shape: Shape, type: IcebergType, ...leaves: readonly Entries[]): Cell[] {
  const footer: Footer = { rows: 0, fields: treeOf([shape]), groups: [], hasOrders: true, metadata: new Map() }
  const field: Field = { id: 1, name: shape[0], required: false, type }
  const found = new FieldFinder(footer, { type: 'struct', fields: [field] }).find(field)
  const rows = (leaves[0] as Entries).filter(([, repetition]) => repetition === 0).length
  const pages = found.leaves.map((wanted) => {
    const entries = leaves[wanted.leaf.index] as Entries
    const page = {
      rows,
      entries: entries.length,
      definitions: Uint8Array.from(entries, ([definition]) => definition),
      repetitions: Uint8Array.from(entries, ([, repetition]) => repetition),
      values: { kind: 'numbers', numbers: entries.flatMap(([, , value]) => value ?? []) } as const,
    }
    return { wanted, dictionary: undefined, pages: [{ firstRow: 0, page }] }
  })
  return assemble(found.node, pages, [[0, rows]])
}

const list = (element: IcebergType): IcebergType => {
  return { type: 'list', 'element-id': 2, element, 'element-required': false }
}
const struct = (...names: string[]): IcebergType => ({
  type: 'struct',
  fields: names.map((name, at) => ({ id: 10 + at, name, required: false, type: 'int' })),
})
const map: IcebergType = {
  type: 'map',
  'key-id': 3,
  key: 'int',
  'value-id': 4,
  value: 'int',
  'value-required': false,
}

describe('a list', () => {
  const two: Entries = [
    [2, 0, 1],
    [2, 1, 2],
    [1, 0],
    [0, 0],
    [2, 0, 3],
  ]
  const lists = [[1, 2], [], null, [3]]
  const structs = lists.map((one) => (one === null ? null : one.map((a) => ({ a }))))

  it('of two levels has the repeated field as its element', () => {
    expect(read(['l', 'optional', [['array', 'repeated']]], list('int'), two)).toEqual(lists)
    expect(read(['l', 'optional', [['item', 'repeated']]], list('int'), two)).toEqual(lists)
  })

  it('whose repeated group has a name of old writers has that group as its element', () => {
    for (const name of ['array', 'l_tuple']) {
      expect(read(['l', 'optional', [[name, 'repeated', [['a', 'required']]]]], list(struct('a')), two)).toEqual(
        structs,
      )
    }
  })

  it('whose repeated group has several fields has that group as its element', () => {
    const shape: Shape = [
      'l',
      'optional',
      [
        [
          'x',
          'repeated',
          [
            ['a', 'required'],
            ['b', 'required'],
          ],
        ],
      ],
    ]
    expect(read(shape, list(struct('a')), two, two)).toEqual(structs)
  })

  it('of three levels has what is within, whatever the names', () => {
    const three: Entries = [
      [3, 0, 1],
      [2, 1],
      [1, 0],
      [0, 0],
    ]
    expect(read(['l', 'optional', [['bag', 'repeated', [['array_element', 'optional']]]]], list('int'), three)).toEqual(
      [[1, null], [], null],
    )
  })

  it('without a group around it is empty, never null', () => {
    expect(
      read(['l', 'repeated'], list('int'), [
        [1, 0, 1],
        [1, 1, 2],
        [0, 0],
      ]),
    ).toEqual([[1, 2], []])
  })

  it('of structs whose fields are all newer has as many empty ones', () => {
    const shape: Shape = ['l', 'optional', [['list', 'repeated', [['element', 'optional', [['old', 'optional']]]]]]]
    const entries: Entries = [
      [4, 0, 1],
      [3, 1],
      [2, 1],
      [1, 0],
      [0, 0],
    ]
    expect(read(shape, list(struct('new')), entries)).toEqual([[{ new: null }, { new: null }, null], [], null])
  })
})

describe('a map', () => {
  it('has its key and value in their order, whatever their names', () => {
    const shape: Shape = [
      'm',
      'optional',
      [
        [
          'map',
          'repeated',
          [
            ['k', 'required'],
            ['v', 'optional'],
          ],
        ],
      ],
    ]
    const keys: Entries = [
      [2, 0, 7],
      [2, 1, 8],
      [1, 0],
      [0, 0],
    ]
    const values: Entries = [
      [3, 0, 70],
      [2, 1],
      [1, 0],
      [0, 0],
    ]
    expect(read(shape, map, keys, values)).toEqual([
      new Map([
        [7, 70],
        [8, null],
      ]),
      new Map(),
      null,
    ])
  })

  it('may have keys alone', () => {
    const shape: Shape = ['m', 'required', [['key_value', 'repeated', [['key', 'required']]]]]
    expect(
      read(shape, map, [
        [1, 0, 5],
        [0, 0],
      ]),
    ).toEqual([new Map([[5, null]]), new Map()])
  })
})

describe('a struct', () => {
  it('whose fields are all newer is null where it was null', () => {
    const shape: Shape = [
      's',
      'optional',
      [
        ['old', 'repeated'],
        ['older', 'optional'],
      ],
    ]
    const repeated: Entries = [
      [2, 0, 1],
      [2, 1, 2],
      [0, 0],
      [1, 0],
    ]
    const single: Entries = [
      [2, 0, 1],
      [0, 0],
      [1, 0],
    ]
    expect(read(shape, struct('new'), repeated, single)).toEqual([{ new: null }, null, { new: null }])
  })

  it('may have a field called __proto__', () => {
    const [row] = read(['s', 'required', [['__proto__', 'required']]], struct('__proto__'), [[0, 0, 5]])
    expect(Object.entries(row as object)).toEqual([['__proto__', 5]])
  })
})

it('a tree that is no list, map or struct is refused', () => {
  const wrong = expect.objectContaining({ code: 'invalid' })
  for (const [shape, type] of [
    [['x', 'optional'], list('int')],
    [['x', 'optional', [['a', 'optional']]], list('int')],
    [
      [
        'x',
        'optional',
        [
          ['a', 'repeated'],
          ['b', 'optional'],
        ],
      ],
      map,
    ],
    [['x', 'optional'], struct('a')],
    [['x', 'optional', [['a', 'optional']]], 'int'],
  ] as [Shape, IcebergType][]) {
    expect(() => read(shape, type, [[0, 0]], [[0, 0]])).toThrow(wrong)
  }
})
