/** The commands that walk or count the keys of all shards. */
import type { Bin } from '@dotdo/core/bytes'
import { murmur3, type Tx } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import { globMatches } from '../engine/glob.ts'
import { countKeys, listKeys, randomKey, type ScannedKey, scanKeys } from '../engine/scan.ts'
import type { Value } from '../value.ts'
import { sum } from './keys.ts'
import { rows } from './rows.ts'
import { cursorReply, parseScan, toCursor } from './scan-options.ts'

type Argv = readonly Bin[]

function scan(tx: Tx, argv: Argv, { db }: Context): Value {
  const cursor = toCursor(argv[1] as Bin)
  const { count, matches, type } = parseScan(argv, 2, ['type'])
  const page = scanKeys(tx, db, cursor, count)
  const found: Bin[] = []
  for (const item of page.items) {
    if (isAlive(tx, item) && (type === undefined || item.type === type) && matches(item.key)) found.push(item.key)
  }
  return cursorReply(page.next, found)
}

function isAlive(tx: Tx, { expires }: ScannedKey): boolean {
  return expires === null || expires >= tx.nowMs
}

function keysCommand(tx: Tx, argv: Argv, { db }: Context): Value {
  const pattern = argv[1] as Bin
  return listKeys(tx, db, (key) => globMatches(pattern, key))
}

function randomkey(tx: Tx, _: Argv, { db }: Context): Value {
  return randomKey(tx, db, (item) => isAlive(tx, item)) ?? null
}

function dbsize(tx: Tx, _: Argv, { db }: Context): Value {
  return countKeys(tx, db).keys
}

function concatenate(replies: readonly Value[]): Value {
  return replies.flatMap((reply) => reply as Value[])
}

/** Choose between the keys that shards chose at random: their hash is as random as they are. */
function chooseOne(replies: readonly Value[]): Value {
  const found = replies.filter((reply) => reply !== null) as Bin[]
  return found[murmur3(found.join('\n')) % found.length] ?? null
}

/** The commands that walk or count keys. */
export const scanCommands: readonly Command[] = [
  ...rows('generic', [
    ['keys', 2, undefined, 'read', '1.0.0', keysCommand, 'Returns all keys that match a pattern.', all(concatenate)],
    ['randomkey', 1, undefined, 'read', '1.0.0', randomkey, 'Returns a key chosen at random.', all(chooseOne)],
    ['scan', -2, undefined, 'read', '2.8.0', scan, 'Walks the keys of the database.', { scatter: { kind: 'cursor' } }],
  ]),
  ...rows('server', [
    ['dbsize', 1, undefined, 'read', '1.0.0', dbsize, 'Returns the number of keys in the database.', all(sum)],
  ]),
]

function all(merge: (replies: readonly Value[]) => Value): Pick<Command, 'scatter'> {
  return { scatter: { kind: 'all', merge } }
}
