/** COMMAND and its subcommands: the table of commands as clients see it.
 *  @source https://redis.io/docs/latest/commands/command/ and server.c of Redis 7.2 */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { globMatches } from '../engine/glob.ts'
import type { CommandIndex } from '../lookup.ts'
import type { Row, Session } from '../session.ts'
import type { Value } from '../value.ts'
import { syntaxError, wrongArity } from './arguments.ts'
import { categoriesOf, flagsOf, type KeySpec, keySpecsOf, keysWithFlags, tipsOf } from './traits.ts'

const simples = (texts: readonly string[]): Value => ({ set: texts.map((simple) => ({ simple })) })

const named = (entries: readonly (readonly [string, Value])[]): Value => ({ map: entries })

function beginSearch({ begin }: KeySpec): Value {
  if (begin === undefined)
    return named([
      ['type', 'unknown'],
      ['spec', named([])],
    ])
  if ('index' in begin)
    return named([
      ['type', 'index'],
      ['spec', named([['index', begin.index]])],
    ])
  const spec = named([
    ['keyword', begin.keyword],
    ['startfrom', begin.startFrom],
  ])
  return named([
    ['type', 'keyword'],
    ['spec', spec],
  ])
}

function findSearch({ find }: KeySpec): Value {
  if (find === undefined)
    return named([
      ['type', 'unknown'],
      ['spec', named([])],
    ])
  if ('countAt' in find) {
    const { countAt, firstKey, step } = find
    const spec = named([
      ['keynumidx', countAt],
      ['firstkey', firstKey],
      ['keystep', step],
    ])
    return named([
      ['type', 'keynum'],
      ['spec', spec],
    ])
  }
  const { lastKey, step, limit } = find
  return named([
    ['type', 'range'],
    [
      'spec',
      named([
        ['lastkey', lastKey],
        ['keystep', step],
        ['limit', limit],
      ]),
    ],
  ])
}

function keySpecs(row: Row): Value {
  return {
    set: keySpecsOf(row).map((spec) =>
      named([
        ['flags', simples(spec.flags)],
        ['begin_search', beginSearch(spec)],
        ['find_keys', findSearch(spec)],
      ]),
    ),
  }
}

function describe(row: Row, commands: CommandIndex): Value {
  const { first, last, step } = row.keys ?? { first: 0, last: 0, step: 0 }
  const below = commands.subcommands(row.name).map((sub) => describe(sub, commands))
  const flags = simples(flagsOf(row))
  const access = simples(categoriesOf(row).map((category) => `@${category}`))
  const tips: Value = { set: tipsOf(row) }
  return [row.name, row.arity, flags, first, last, step, access, tips, keySpecs(row), { set: below }]
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
  if (filter.length === 0) return rows.filter(isTop).map(({ name }) => name)
  const [by = '', kind = '', value = ''] = filter.map((word) => word.toLowerCase())
  if (by !== 'filterby' || filter.length !== 3) throw syntaxError()
  if (kind === 'module') return []
  const names = (chosen: Row[]): Value => chosen.map(({ name }) => name)
  if (kind === 'aclcat') return names(rows.filter((row) => categoriesOf(row).includes(value)))
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
  const places = keysWithFlags(row, argv).map(({ at }) => at)
  if (places.length === 0) throw new Failure('invalid', 'ERR The command has no key arguments')
  return { row, keys: places.map((at) => argv[at] as Bin) }
}

function getKeys(session: Session, [, , ...argv]: readonly Bin[]): Value {
  if (argv.length === 0) throw wrongArity('command|getkeys')
  return keysOf(session, argv).keys
}

function getKeysAndFlags(session: Session, [, , ...argv]: readonly Bin[]): Value {
  const { row } = keysOf(session, argv)
  return keysWithFlags(row, argv).map(({ at, flags }): Value => [argv[at] as Bin, simples(flags)])
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
