/** Where libraries are kept: rows of one slot, so that one shard has them all and they survive restarts.
 *
 *  A function's row names its library; a library's row holds its text. */
import { type Bin, toBin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { SQL_ROW_BYTES_MAX } from '@dotdo/core/limits'
import type { Tx, View } from '@dotdo/core/shard'
import { globMatches } from '../engine/glob.ts'
import { type LibraryRow, libraries } from '../tables.ts'
import { OK, type Value } from '../value.ts'
import { dumpLibraries, readDump } from './dump.ts'
import type { Functions, Library, Registered } from './functions.ts'

/** The slot of the libraries. */
export const LIBRARY_SLOT = 0

function find(view: View, kind: LibraryRow['kind'], name: Bin): Bin | undefined {
  return view.find(libraries, { slot: LIBRARY_SLOT, kind, name })?.value
}

/** Find the text of the library that a function is in. */
export function findCode(view: View, functionName: Bin): Bin | undefined {
  const library = find(view, 'function', functionName.toLowerCase())
  return library === undefined ? undefined : find(view, 'library', library)
}

/** List the texts of all libraries, by name.
 *  @cost a row each, and the slot's dirty rows settled */
function listCode(view: View): Bin[] {
  view.settle(libraries, LIBRARY_SLOT, LIBRARY_SLOT)
  const rows = view.raw(
    "select value from redis_libraries where slot = ? and kind = 'library' order by name",
    LIBRARY_SLOT,
  )
  return rows.map(([value]) => toBin(value as Uint8Array))
}

function remove(tx: Tx, library: Library): void {
  for (const name of library.functions.keys())
    tx.remove<LibraryRow>(libraries, { slot: LIBRARY_SLOT, kind: 'function', name })
  tx.remove<LibraryRow>(libraries, { slot: LIBRARY_SLOT, kind: 'library', name: library.name })
}

/** Store a library.
 *  @throws exists when it, or one of its functions in another library, is there already */
function store(tx: Tx, functions: Functions, text: Bin, replace: boolean): Bin {
  if (text.length + 200 > SQL_ROW_BYTES_MAX) {
    throw new Failure('limit', `ERR a library has at most ${SQL_ROW_BYTES_MAX - 200} bytes`)
  }
  const library = functions.load(text)
  const { name } = library
  const before = find(tx, 'library', name)
  if (before !== undefined && !replace) throw new Failure('exists', `ERR Library '${name}' already exists`)
  for (const [one, registered] of library.functions) {
    const owner = find(tx, 'function', one)
    if (owner !== undefined && owner !== name)
      throw new Failure('exists', `ERR Function ${registered.name} already exists`)
  }
  if (before !== undefined) remove(tx, functions.load(before))
  tx.put<LibraryRow>(libraries, { slot: LIBRARY_SLOT, kind: 'library', name, value: text })
  for (const one of library.functions.keys()) {
    tx.put<LibraryRow>(libraries, { slot: LIBRARY_SLOT, kind: 'function', name: one, value: name })
  }
  return name
}

function load(tx: Tx, functions: Functions, argv: readonly Bin[]): Value {
  let replace = false
  for (const option of argv.slice(2, -1)) {
    if (option.toLowerCase() !== 'replace') throw new Failure('invalid', `ERR Unknown option given: ${option}`)
    replace = true
  }
  return store(tx, functions, argv[argv.length - 1] as Bin, replace)
}

function removeNamed(tx: Tx, functions: Functions, name: Bin): Value {
  const text = find(tx, 'library', name)
  if (text === undefined) throw new Failure('not_found', 'ERR Library not found')
  remove(tx, functions.load(text))
  return OK
}

function flush(tx: Tx, functions: Functions, argv: readonly Bin[]): Value {
  const mode = argv[2]?.toLowerCase()
  if (argv.length > 3 || (mode !== undefined && mode !== 'sync' && mode !== 'async')) {
    throw new Failure('invalid', 'ERR FUNCTION FLUSH only supports SYNC|ASYNC option')
  }
  for (const text of listCode(tx)) remove(tx, functions.load(text))
  return OK
}

function describe({ name, description, flags }: Registered): Value {
  return {
    map: [
      ['name', name],
      ['description', description ?? null],
      ['flags', { set: flags.map((simple) => ({ simple })) }],
    ],
  }
}

function list(view: View, functions: Functions, argv: readonly Bin[]): Value {
  let pattern: Bin | undefined
  let withCode = false
  for (let at = 2; at < argv.length; at++) {
    const option = (argv[at] as Bin).toLowerCase()
    if (option === 'withcode' && !withCode) withCode = true
    else if (option === 'libraryname' && pattern === undefined) {
      pattern = argv[++at]
      if (pattern === undefined) throw new Failure('invalid', 'ERR library name argument was not given')
    } else throw new Failure('invalid', `ERR Unknown argument ${argv[at]}`)
  }
  const shown: Value[] = []
  for (const text of listCode(view)) {
    const library = functions.load(text)
    if (pattern !== undefined && !globMatches(pattern.toLowerCase(), library.name.toLowerCase())) continue
    const entries: [Value, Value][] = [
      ['library_name', library.name],
      ['engine', 'LUA'],
      ['functions', [...library.functions.values()].map(describe)],
    ]
    if (withCode) entries.push(['library_code', text])
    shown.push({ map: entries })
  }
  return shown
}

function stats(view: View, functions: Functions): Value {
  const all = listCode(view).map((text) => functions.load(text))
  const counts: Value = {
    map: [
      ['libraries_count', all.length],
      ['functions_count', all.reduce((sum, library) => sum + library.functions.size, 0)],
    ],
  }
  return {
    map: [
      ['running_script', null],
      ['engines', { map: [['LUA', counts]] }],
    ],
  }
}

function restore(tx: Tx, functions: Functions, argv: readonly Bin[]): Value {
  const policy = (argv[3] ?? 'append').toLowerCase()
  if (argv.length > 4 || !['flush', 'append', 'replace'].includes(policy)) {
    throw new Failure('invalid', 'ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.')
  }
  const texts = readDump(argv[2] as Bin)
  // SQL is read before the first write.
  if (policy === 'flush') flush(tx, functions, ['FUNCTION', 'FLUSH'])
  for (const text of texts) store(tx, functions, text, policy === 'replace')
  return OK
}

/** Run a FUNCTION command in the shard that has the libraries.
 *  @param name `function|load` and the like; `function|code` finds the library of a function */
export function runFunctionCommand(tx: Tx, functions: Functions, name: string, argv: readonly Bin[]): Value {
  switch (name) {
    case 'function|load':
      return load(tx, functions, argv)
    case 'function|delete':
      return removeNamed(tx, functions, argv[2] as Bin)
    case 'function|flush':
      return flush(tx, functions, argv)
    case 'function|list':
      return list(tx, functions, argv)
    case 'function|stats':
      return stats(tx, functions)
    case 'function|dump':
      return dumpLibraries(listCode(tx))
    case 'function|restore':
      return restore(tx, functions, argv)
    case 'function|code':
      return findCode(tx, argv[0] as Bin) ?? null
  }
  throw new Failure('unsupported', `ERR no shard runs the command '${name}'`)
}
