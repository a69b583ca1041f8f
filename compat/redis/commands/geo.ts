/** The geo commands: places are members of sorted sets. */
import type { Bin } from '@dotdo/core/bytes'
import type { Tx } from '@dotdo/core/shard'
import type { Command, Context } from '../command.ts'
import { distanceBetween, fromGeoScore, toGeohash, toGeoScore } from '../engine/geo.ts'
import * as zsets from '../engine/sorted-sets.ts'
import type { Value } from '../value.ts'
import { syntaxError } from './arguments.ts'
import { searching, storePlaces } from './geo-search.ts'
import { placeReply, toPlace, toUnit } from './places.ts'
import { oneKey, rows, twoKeys } from './rows.ts'

type Argv = readonly Bin[]

function geoadd(tx: Tx, argv: Argv, { db }: Context): Value {
  const options = { nx: false, xx: false, ch: false }
  let from = 2
  for (; from < argv.length; from++) {
    const name = (argv[from] as Bin).toLowerCase()
    if (!Object.hasOwn(options, name)) break
    options[name as keyof typeof options] = true
  }
  const { nx, xx, ch } = options
  if ((argv.length - from) % 3 !== 0 || (nx && xx)) throw syntaxError()
  const names: Bin[] = []
  const given: number[] = []
  for (let i = from; i < argv.length; i += 3) {
    given.push(toGeoScore(toPlace(argv[i] as Bin, argv[i + 1] as Bin)))
    names.push(argv[i + 2] as Bin)
  }
  // GEOADD is ZADD with other scores, which wants at least one.
  if (names.length === 0) throw syntaxError()
  const change = zsets.setScores(tx, db, argv[1] as Bin, { names, given, rules: { nx, xx } })
  return ch ? change.added + change.updated : change.added
}

function readPlaces(tx: Tx, db: number, key: Bin, names: readonly Bin[]): (number | undefined)[] {
  const row = zsets.findSortedSet(tx, db, key)
  return names.map((member) => row && zsets.readScore(tx, row, member))
}

function geodist(tx: Tx, argv: Argv, { db }: Context): Value {
  const unitM = argv.length === 5 ? toUnit(argv[4] as Bin) : 1
  if (argv.length > 5) throw syntaxError()
  const [from, to] = readPlaces(tx, db, argv[1] as Bin, argv.slice(2, 4))
  if (from === undefined || to === undefined) return null
  return (distanceBetween(fromGeoScore(from), fromGeoScore(to)) / unitM).toFixed(4)
}

function geohash(tx: Tx, argv: Argv, { db }: Context): Value {
  return readPlaces(tx, db, argv[1] as Bin, argv.slice(2)).map((score) =>
    score === undefined ? null : toGeohash(score),
  )
}

function geopos(tx: Tx, argv: Argv, { db }: Context): Value {
  return readPlaces(tx, db, argv[1] as Bin, argv.slice(2)).map(
    (score): Value => (score === undefined ? { nilArray: true } : placeReply(fromGeoScore(score))),
  )
}

/** The key that GEORADIUS stores into, and the one it reads. */
const withStore = {
  findKeys: (argv: Argv) => [1, ...storePlaces(argv)],
}

const circle = searching({ around: 'place', keys: 'option' })
const circleOnly = searching({ around: 'place', keys: 'one' })
const near = searching({ around: 'member', keys: 'option' })
const nearOnly = searching({ around: 'member', keys: 'one' })
const search = searching({ around: 'option', keys: 'one' })
const searchStore = searching({ around: 'option', keys: 'two' })

/** The geo commands. */
export const geoCommands: readonly Command[] = rows('geo', [
  ['geoadd', -5, oneKey, 'write', '3.2.0', geoadd, 'Adds places; creates the sorted set when absent.'],
  ['geodist', -4, oneKey, 'read', '3.2.0', geodist, 'Returns the distance of two members.'],
  ['geohash', -2, oneKey, 'read', '3.2.0', geohash, 'Returns members as geohashes.'],
  ['geopos', -2, oneKey, 'read', '3.2.0', geopos, 'Returns the coordinates of members.'],
  ['georadius', -6, undefined, 'write', '3.2.0', circle, 'Finds members in a circle, and may store them.', withStore],
  ['georadius_ro', -6, oneKey, 'read', '3.2.10', circleOnly, 'Finds members in a circle.'],
  ['georadiusbymember', -5, undefined, 'write', '3.2.0', near, 'Finds members around one, may store them.', withStore],
  ['georadiusbymember_ro', -5, oneKey, 'read', '3.2.10', nearOnly, 'Finds members around one.'],
  ['geosearch', -7, oneKey, 'read', '6.2.0', search, 'Finds members in a circle or a rectangle.'],
  ['geosearchstore', -8, twoKeys, 'write', '6.2.0', searchStore, 'Stores members in a circle or a rectangle.'],
])
