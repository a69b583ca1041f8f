/** GEOSEARCH and its older forms: places within a circle or a rectangle.
 *  @source redis 7.2 geo.c georadiusGeneric */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import type { Tx, View } from '@dotdo/core/shard'
import type { Context } from '../command.ts'
import { parseDouble } from '../engine/doubles.ts'
import { type Area, distanceWithin, fromGeoScore, type Place, scoreRanges } from '../engine/geo.ts'
import * as zsets from '../engine/sorted-sets.ts'
import type { KeyRow } from '../tables.ts'
import type { Value } from '../value.ts'
import { syntaxError, toInteger } from './arguments.ts'
import { placeReply, toPlace, toUnit } from './places.ts'

type Argv = readonly Bin[]

/** What the name of a command says. */
interface Form {
  /** What is searched around: the command's third argument, or what an option says. */
  readonly around: 'place' | 'member' | 'option'
  /** Whether the result may be stored: by an option, or always (the key comes first then). */
  readonly keys: 'one' | 'option' | 'two'
}

interface Search {
  /** Find a member's place: Redis does so while it reads the arguments. */
  readonly placeOf: (member: Bin) => Place
  /** Where to search around. */
  center: Place | undefined
  shape: { readonly radiusM: number } | { readonly widthM: number; readonly heightM: number } | undefined
  unitM: number
  order: 'asc' | 'desc' | undefined
  count: number
  any: boolean
  withDistance: boolean
  withHash: boolean
  withPlace: boolean
  storeKey: Bin | undefined
  storeDistance: boolean
}

function toLength(argument: Bin, name: string): number {
  const length = parseDouble(argument)
  if (length === undefined) throw new Failure('invalid', `ERR need numeric ${name}`)
  return length
}

function setCircle(search: Search, radius: Bin, unit: Bin): void {
  const length = toLength(radius, 'radius')
  if (length < 0) throw new Failure('invalid', 'ERR radius cannot be negative')
  search.unitM = toUnit(unit)
  search.shape = { radiusM: length * search.unitM }
}

function setRectangle(search: Search, [width, height, unit]: readonly [Bin, Bin, Bin]): void {
  const [wide, high] = [toLength(width, 'width'), toLength(height, 'height')]
  if (wide < 0 || high < 0) throw new Failure('invalid', 'ERR height or width cannot be negative')
  search.unitM = toUnit(unit)
  search.shape = { widthM: wide * search.unitM, heightM: high * search.unitM }
}

/** List where GEORADIUS names the key that it stores into. */
export function storePlaces(argv: Argv): number[] {
  const places: number[] = []
  // Redis, too, looks for the word wherever it may stand, and takes the last.
  for (let i = 5; i + 1 < argv.length; i++) {
    if (/^store(dist)?$/i.test(argv[i] as Bin)) places[0] = ++i
  }
  return places
}

/** Read an option that is a word alone.
 *  @returns whether it is one */
function readFlag(search: Search, word: string): boolean {
  if (word === 'WITHDIST') search.withDistance = true
  else if (word === 'WITHHASH') search.withHash = true
  else if (word === 'WITHCOORD') search.withPlace = true
  else if (word === 'ANY') search.any = true
  else if (word === 'ASC' || word === 'DESC') search.order = word === 'ASC' ? 'asc' : 'desc'
  else return false
  return true
}

/** Read an option of GEOSEARCH; one that says again what is known already is none.
 *  @returns how many arguments it has; undefined when it is none */
function readGeometry(search: Search, word: string, [a, b, c]: Argv): number | undefined {
  const { center, shape } = search
  if (word === 'FROMMEMBER' && center === undefined && a !== undefined) {
    search.center = search.placeOf(a)
    return 1
  }
  if (word === 'FROMLONLAT' && center === undefined && b !== undefined) {
    search.center = toPlace(a as Bin, b)
    return 2
  }
  if (word === 'BYRADIUS' && shape === undefined && b !== undefined) {
    setCircle(search, a as Bin, b)
    return 2
  }
  if (word === 'BYBOX' && shape === undefined && c !== undefined) {
    setRectangle(search, [a as Bin, b as Bin, c])
    return 3
  }
  return undefined
}

function readCount(search: Search, argument: Bin): void {
  search.count = toInteger(argument)
  if (search.count <= 0) throw new Failure('invalid', 'ERR COUNT must be > 0')
}

function parseOptions(search: Search, argv: Argv, from: number, form: Form): void {
  for (let i = from; i < argv.length; i++) {
    const word = (argv[i] as Bin).toUpperCase()
    const argument = argv[i + 1]
    if (readFlag(search, word)) continue
    const read = form.around === 'option' ? readGeometry(search, word, argv.slice(i + 1, i + 4)) : undefined
    if (read !== undefined) i += read
    else if (word === 'COUNT' && argument !== undefined) {
      readCount(search, argument)
      i++
    } else if (form.keys === 'option' && /^STORE(DIST)?$/.test(word) && argument !== undefined) {
      search.storeKey = argument
      search.storeDistance = word === 'STOREDIST'
      i++
    } else if (form.keys === 'two' && word === 'STOREDIST') search.storeDistance = true
    else throw syntaxError()
  }
  check(search, argv[0] as Bin, form)
}

function check(search: Search, name: Bin, form: Form): void {
  if (search.storeKey !== undefined && (search.withDistance || search.withHash || search.withPlace)) {
    const who = form.keys === 'two' ? 'GEOSEARCHSTORE' : 'STORE option in GEORADIUS'
    throw new Failure('invalid', `ERR ${who} is not compatible with WITHDIST, WITHHASH and WITHCOORD options`)
  }
  if (form.around === 'option') {
    const exactly = (what: string) => new Failure('invalid', `ERR exactly one of ${what} can be specified for ${name}`)
    if (search.center === undefined) throw exactly('FROMMEMBER or FROMLONLAT')
    if (search.shape === undefined) throw exactly('BYRADIUS and BYBOX')
  }
  if (search.any && search.count === 0) throw new Failure('invalid', 'ERR the ANY argument requires COUNT argument')
}

/** The key that is searched. */
interface Source extends Pick<Search, 'placeOf'> {
  readonly exists: boolean
}

function parse(argv: Argv, form: Form, { placeOf, exists }: Source): Search {
  const search: Search = {
    placeOf,
    center: undefined,
    shape: undefined,
    unitM: 1,
    order: undefined,
    count: 0,
    any: false,
    withDistance: false,
    withHash: false,
    withPlace: false,
    storeKey: form.keys === 'two' ? argv[1] : undefined,
    storeDistance: false,
  }
  if (form.around === 'place') {
    search.center = toPlace(argv[2] as Bin, argv[3] as Bin)
    setCircle(search, argv[4] as Bin, argv[5] as Bin)
    parseOptions(search, argv, 6, form)
  } else if (form.around === 'member') {
    search.center = search.placeOf(argv[2] as Bin)
    // Where there is no key, Redis does not look at the radius.
    if (exists) setCircle(search, argv[3] as Bin, argv[4] as Bin)
    parseOptions(search, argv, 5, form)
  } else parseOptions(search, argv, form.keys === 'two' ? 3 : 2, form)
  return search
}

interface Found {
  readonly name: Bin
  readonly score: number
  readonly place: Place
  readonly distance: number
}

/** Find the places of an area, cell by cell.
 *  @param enough how many are enough; 0 for all */
function findPlaces(view: View, row: KeyRow, area: Area, unitM: number, enough: number): Found[] {
  const found: Found[] = []
  for (const [from, to] of scoreRanges(area)) {
    const range = { kind: 'score', min: { at: from, open: false }, max: { at: to, open: true } } as const
    const [low, high] = zsets.findRanks(view, row, range)
    const { names, orders } = zsets.readFrom(view, row, low, high - low)
    for (const [i, name] of names.entries()) {
      const score = orders[i] as number
      const place = fromGeoScore(score)
      const distanceM = distanceWithin(area, place)
      if (distanceM === undefined) continue
      found.push({ name, score, place, distance: distanceM / unitM })
      if (found.length === enough) return found
    }
  }
  return found
}

/** Find places of members; where there is no key, any will do. */
function findingPlaces(view: View, row: KeyRow | undefined) {
  return (member: Bin): Place => {
    const score = row === undefined ? 0 : zsets.readScore(view, row, member)
    if (score === undefined) throw new Failure('not_found', 'ERR could not decode requested zset member')
    return fromGeoScore(score)
  }
}

function select(view: View, row: KeyRow, search: Search): Found[] {
  const { center, shape, unitM, count, any } = search
  const area = { center: center as Place, ...(shape as { radiusM: number }) }
  const found = findPlaces(view, row, area, unitM, any ? count : 0)
  const order = search.order ?? (count > 0 && !any ? 'asc' : undefined)
  if (order !== undefined) {
    const sign = order === 'asc' ? 1 : -1
    found.sort((a, b) => sign * (a.distance - b.distance))
  }
  return count > 0 ? found.slice(0, count) : found
}

function reply(found: readonly Found[], { withDistance, withHash, withPlace }: Search): Value {
  if (!withDistance && !withHash && !withPlace) return found.map(({ name }) => name)
  return found.map(({ name, score, place, distance }): Value => {
    const shown: Value[] = [name]
    if (withDistance) shown.push(distance.toFixed(4))
    if (withHash) shown.push(score)
    if (withPlace) shown.push(placeReply(place))
    return shown
  })
}

/** Make the function of a command. */
export function searching(form: Form) {
  return (tx: Tx, argv: Argv, { db }: Context): Value => {
    const row = zsets.findSortedSet(tx, db, argv[form.keys === 'two' ? 2 : 1] as Bin)
    const search = parse(argv, form, { placeOf: findingPlaces(tx, row), exists: row !== undefined })
    const found = row === undefined ? [] : select(tx, row, search)
    const { storeKey, storeDistance } = search
    if (storeKey === undefined) return reply(found, search)
    const scores = new Map(found.map(({ name, score, distance }) => [name, storeDistance ? distance : score]))
    return zsets.replaceSortedSet(tx, db, storeKey, scores)
  }
}
