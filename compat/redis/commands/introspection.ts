/** COMMAND and its subcommands: the table of commands as clients see it.
 *  @source https://redis.io/docs/latest/commands/command/ and server.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { globMatches } from '../engine/glob.ts'
import type { CommandIndex } from '../lookup.ts'
import { findKeys } from '../routing.ts'
import type { Row, Session } from '../session.ts'
import type { Value } from '../value.ts'
import { syntaxError, wrongArity } from './arguments.ts'

const categories: Record<string, string> = {
  string: '@string',
  hash: '@hash',
  bitmap: '@bitmap',
  generic: '@keyspace',
  connection: '@connection',
  transactions: '@transaction',
}

const simples = (texts: readonly string[]): Value => ({ set: texts.map((simple) => ({ simple })) })

function flagsOf(row: Row): string[] {
  const flags: string[] = []
  if (row.mode === 'write') flags.push('write')
  if (row.mode === 'read') flags.push('readonly')
  if (row.noMulti) flags.push('no_multi')
  if (row.noAuth) flags.push('no_auth')
  if (row.findKeys) flags.push('movablekeys')
  return flags
}

function categoriesOf({ mode, group }: Row): string[] {
  const access = mode === 'session' ? [] : [mode === 'write' ? '@write' : '@read']
  const category = categories[group]
  return category === undefined ? access : [...access, category]
}

/** What is known of how a command uses its keys: no more than that it reads, or may write. */
const keyFlags = (row: Row): string[] => (row.mode === 'write' ? ['RW', 'access', 'update'] : ['RO', 'access'])

const named = (entries: readonly (readonly [string, Value])[]): Value => ({ map: entries })

function keySpecs(row: Row): Value {
  const { keys } = row
  if (keys === undefined) return { set: [] }
  // Here the last key is told from the first one.
  const lastKey = keys.last < 0 ? keys.last : keys.last - keys.first
  const begin = named([
    ['type', 'index'],
    ['spec', named([['index', keys.first]])],
  ])
  const range = named([
    ['lastkey', lastKey],
    ['keystep', keys.step],
    ['limit', 0],
  ])
  const find = named([
    ['type', 'range'],
    ['spec', range],
  ])
  const spec = named([
    ['flags', simples(keyFlags(row))],
    ['begin_search', begin],
    ['find_keys', find],
  ])
  return { set: [spec] }
}

function describe(row: Row, commands: CommandIndex): Value {
  const { first, last, step } = row.keys ?? { first: 0, last: 0, step: 0 }
  const below = commands.subcommands(row.name).map((sub) => describe(sub, commands))
  const flags = simples(flagsOf(row))
  const access = simples(categoriesOf(row))
  return [row.name, row.arity, flags, first, last, step, access, { set: [] }, keySpecs(row), { set: below }]
}

function document(row: Row, commands: CommandIndex): Value {
  const entries: [string, Value][] = [
    ['summary', row.summary],
    ['since', row.since],
    ['group', row.group],
  ]
  const below = commands.subcommands(row.name)
  if (below.length > 0) entries.push(['subcommands', { map: below.map((sub) => [sub.name, document(sub, commands)]) }])
  return named(entries)
}

const isTop = ({ name }: Row): boolean => !name.includes('|')
const topRows = ({ server }: Session): Row[] => [...server.commands.rows.values()].filter(isTop)

function command(session: Session): Value {
  return topRows(session).map((row) => describe(row, session.server.commands))
}

function count(session: Session): Value {
  return topRows(session).length
}

function info(session: Session, [, , ...names]: readonly Bin[]): Value {
  const { commands } = session.server
  if (names.length === 0) return command(session)
  return names.map((name) => {
    const row = commands.named(name)
    return row === undefined ? null : describe(row, commands)
  })
}

function docs(session: Session, [, , ...names]: readonly Bin[]): Value {
  const { commands } = session.server
  const wanted = names.length === 0 ? topRows(session) : names.map((name) => commands.named(name))
  return { map: wanted.flatMap((row): [string, Value][] => (row ? [[row.name, document(row, commands)]] : [])) }
}

function list({ server }: Session, [, , ...filter]: readonly Bin[]): Value {
  const rows = [...server.commands.rows.values()]
  if (filter.length === 0) return { set: rows.filter(isTop).map(({ name }) => name) }
  const [by = '', kind = '', value = ''] = filter.map((word) => word.toLowerCase())
  if (by !== 'filterby' || filter.length !== 3) throw syntaxError()
  if (kind === 'module') return { set: [] }
  const names = (chosen: Row[]): Value => ({ set: chosen.map(({ name }) => name) })
  if (kind === 'aclcat') return names(rows.filter((row) => categoriesOf(row).includes(`@${value}`)))
  if (kind === 'pattern') return names(rows.filter(({ name }) => globMatches(value, name)))
  throw syntaxError()
}

/** Find the keys of a full command given as arguments. */
function keysOf({ server }: Session, argv: readonly Bin[]): { row: Row; keys: Bin[] } {
  let row: Row
  try {
    row = server.commands.find(argv)
  } catch (error) {
    const known = server.commands.named(argv[0] as Bin) !== undefined
    if (!known) throw new Failure('invalid', 'ERR Invalid command specified', undefined, error)
    throw new Failure('invalid', 'ERR Invalid number of arguments specified for command', undefined, error)
  }
  const places = findKeys(row, argv)
  if (places.length === 0) throw new Failure('invalid', 'ERR The command has no key arguments')
  return { row, keys: places.map((at) => argv[at] as Bin) }
}

function getKeys(session: Session, [, , ...argv]: readonly Bin[]): Value {
  if (argv.length === 0) throw wrongArity('command|getkeys')
  return keysOf(session, argv).keys
}

function getKeysAndFlags(session: Session, [, , ...argv]: readonly Bin[]): Value {
  const { row, keys } = keysOf(session, argv)
  return keys.map((key): Value => [key, simples(keyFlags(row))])
}

const row = { mode: 'session', group: 'server' } as const

/** COMMAND and its subcommands. */
export const introspectionCommands: readonly Row[] = [
  { ...row, name: 'command', arity: -1, since: '2.8.13', summary: 'Returns all commands.', session: command },
  { ...row, name: 'command|count', arity: 2, since: '2.8.13', summary: 'Returns a count of commands.', session: count },
  { ...row, name: 'command|docs', arity: -2, since: '7.0.0', summary: 'Returns what commands are for.', session: docs },
  {
    ...row,
    name: 'command|getkeys',
    arity: -3,
    since: '2.8.13',
    summary: 'Extracts the key names from an arbitrary command.',
    session: getKeys,
  },
  {
    ...row,
    name: 'command|getkeysandflags',
    arity: -3,
    since: '7.0.0',
    summary: 'Extracts the key names and access flags from an arbitrary command.',
    session: getKeysAndFlags,
  },
  {
    ...row,
    name: 'command|info',
    arity: -2,
    since: '2.8.13',
    summary: 'Returns information about one, multiple or all commands.',
    session: info,
  },
  { ...row, name: 'command|list', arity: -2, since: '7.0.0', summary: 'Returns command names.', session: list },
]
