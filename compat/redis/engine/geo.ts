/** Places on the earth as scores: 26 bits of the latitude and 26 of the longitude, interleaved.
 *
 *  1. A score is a whole number below 2^52, so that a double holds it (but for places on the upper edges of the world,
 *     which are in cells beyond it, as in Redis); its first 2n bits name a cell of the world cut
 *     n times in both directions, and the places of a cell are a range of scores.
 *  2. Distances are great circles on a sphere.
 *  @source redis 7.2 geohash.c, geohash_helper.c */
import type { Bin } from '@dotdo/core/bytes'

/** A place: degrees east, degrees north. */
export interface Place {
  readonly longitude: number
  readonly latitude: number
}

/** The largest longitude and latitude that are kept: those of a square map (EPSG:900913). */
export const LONGITUDE_MAX = 180
/** See LONGITUDE_MAX. */
export const LATITUDE_MAX = 85.05112878
const STEPS = 26
const RADIUS_M = 6372797.560856
/** Half the width of the square map. */
const MERCATOR_MAX_M = 20037726.37

/** A cell of the world cut `steps` times: its column from the west, its row from the south. */
interface Cell {
  readonly steps: number
  readonly column: number
  readonly row: number
}

interface Box {
  readonly west: number
  readonly south: number
  readonly east: number
  readonly north: number
}

/** Spread 14 bits so that there is a zero before each. */
function spread(value: number): number {
  let bits = 0
  for (let i = 0; i < 14; i++) bits += ((value >> i) & 1) * 4 ** i
  return bits
}

/** Take every other bit of 28. */
function collect(bits: number): number {
  let value = 0
  for (let i = 0; i < 14; i++) value |= ((bits >> (2 * i)) & 1) << i
  return value
}

function interleave(column: number, row: number): number {
  const high = spread(row >> 13) + 2 * spread(column >> 13)
  return high * 2 ** 26 + spread(row & 8191) + 2 * spread(column & 8191)
}

function cellAt({ longitude, latitude }: Place, steps: number, latitudeMax = LATITUDE_MAX): Cell {
  const column = Math.trunc(((longitude + LONGITUDE_MAX) / (2 * LONGITUDE_MAX)) * 2 ** steps)
  const row = Math.trunc(((latitude + latitudeMax) / (2 * latitudeMax)) * 2 ** steps)
  return { steps, column, row }
}

function boxOf({ steps, column, row }: Cell): Box {
  const side = 2 ** steps
  const edge = (at: number, max: number) => -max + (at / side) * (2 * max)
  return {
    west: edge(column, LONGITUDE_MAX),
    south: edge(row, LATITUDE_MAX),
    east: edge(column + 1, LONGITUDE_MAX),
    north: edge(row + 1, LATITUDE_MAX),
  }
}

/** Tell whether a place can be kept. */
export function isPlace({ longitude, latitude }: Place): boolean {
  return Math.abs(longitude) <= LONGITUDE_MAX && Math.abs(latitude) <= LATITUDE_MAX
}

/** Turn a place into its score. */
export function toGeoScore(place: Place): number {
  const { column, row } = cellAt(place, STEPS)
  return interleave(column, row)
}

/** Turn a score back into a place: the middle of its cell. */
export function fromGeoScore(score: number): Place {
  const bits = Math.trunc(score)
  const [high, low] = [Math.floor(bits / 2 ** 26), bits % 2 ** 26]
  const row = collect(high) * 8192 + collect(low)
  const column = collect(Math.floor(high / 2)) * 8192 + collect(Math.floor(low / 2))
  const { west, south, east, north } = boxOf({ steps: STEPS, column, row })
  const clamp = (value: number, max: number) => Math.min(max, Math.max(-max, value))
  return {
    longitude: clamp((west + east) / 2, LONGITUDE_MAX),
    latitude: clamp((south + north) / 2, LATITUDE_MAX),
  }
}

const alphabet = '0123456789bcdefghjkmnpqrstuvwxyz'

/** Write a score as a geohash of 11 characters; the last is always 0, as there are but 52 bits.
 *  @source redis 7.2 geo.c geohashCommand */
export function toGeohash(score: number): Bin {
  const { column, row } = cellAt(fromGeoScore(score), STEPS, 90)
  const bits = interleave(column, row)
  let text = ''
  for (let i = 1; i <= 10; i++) text += alphabet[Math.floor(bits / 2 ** (52 - i * 5)) % 32]
  return `${text}0`
}

const toRadians = (degrees: number) => degrees * (Math.PI / 180)
const toDegrees = (radians: number) => radians / (Math.PI / 180)

function latitudeDistance(from: number, to: number): number {
  return RADIUS_M * Math.abs(toRadians(to) - toRadians(from))
}

/** Compute the distance of two places in meters. */
export function distanceBetween(from: Place, to: Place): number {
  const v = Math.sin((toRadians(to.longitude) - toRadians(from.longitude)) / 2)
  if (v === 0) return latitudeDistance(from.latitude, to.latitude)
  const [fromRadians, toRadians_] = [toRadians(from.latitude), toRadians(to.latitude)]
  const u = Math.sin((toRadians_ - fromRadians) / 2)
  const a = u * u + Math.cos(fromRadians) * Math.cos(toRadians_) * v * v
  return 2 * RADIUS_M * Math.asin(Math.sqrt(a))
}

/** Where to search: around a place, within a circle or a rectangle, in meters. */
export type Area = { readonly center: Place } & (
  | { readonly radiusM: number }
  | { readonly widthM: number; readonly heightM: number }
)

/** Measure how far a place is from the middle of an area.
 *  @returns meters; undefined when the place is outside */
export function distanceWithin(area: Area, place: Place): number | undefined {
  const { center } = area
  if ('radiusM' in area) {
    const distanceM = distanceBetween(center, place)
    return distanceM > area.radiusM ? undefined : distanceM
  }
  if (latitudeDistance(place.latitude, center.latitude) > area.heightM / 2) return undefined
  const sideways = distanceBetween(place, { longitude: center.longitude, latitude: place.latitude })
  return sideways > area.widthM / 2 ? undefined : distanceBetween(center, place)
}

/** The box around an area, as wide as it is at its wider end. */
function boundsOf(area: Area): Box {
  const { longitude, latitude } = area.center
  const [width, height] = 'radiusM' in area ? [area.radiusM, area.radiusM] : [area.widthM / 2, area.heightM / 2]
  const north = toDegrees(height / RADIUS_M)
  const away = latitude < 0 ? latitude - north : latitude + north
  const east = toDegrees(width / RADIUS_M / Math.cos(toRadians(away)))
  return { west: longitude - east, south: latitude - north, east: longitude + east, north: latitude + north }
}

function stepsFor(radiusM: number, latitude: number): number {
  if (radiusM === 0) return STEPS
  let steps = 1
  for (let size = radiusM; size < MERCATOR_MAX_M; size *= 2) steps++
  steps -= 2
  if (Math.abs(latitude) > 66) steps -= Math.abs(latitude) > 80 ? 2 : 1
  return Math.min(STEPS, Math.max(1, steps))
}

function neighbour({ steps, column, row }: Cell, east: number, north: number): Cell {
  const side = 2 ** steps
  const move = (at: number, by: number) => (by === 0 ? at : (at + by + side) % side)
  return { steps, column: move(column, east), row: move(row, north) }
}

/** Where the neighbours of a cell are, in the order in which they are searched. */
const directions = [
  [0, 0],
  [0, 1],
  [0, -1],
  [1, 0],
  [-1, 0],
  [1, 1],
  [-1, 1],
  [1, -1],
  [-1, -1],
] as const

/** Find the ranges of scores that the places of an area are in, each from a score up to one that is not in it.
 *  @returns at most nine, in the order in which Redis searches them */
export function scoreRanges(area: Area): readonly (readonly [from: number, to: number])[] {
  const { center } = area
  const bounds = boundsOf(area)
  const radiusM = 'radiusM' in area ? area.radiusM : Math.sqrt((area.widthM / 2) ** 2 + (area.heightM / 2) ** 2)
  let steps = stepsFor(radiusM, center.latitude)
  let cell = cellAt(center, steps)
  const reaches =
    boxOf(neighbour(cell, 0, 1)).north >= bounds.north &&
    boxOf(neighbour(cell, 0, -1)).south <= bounds.south &&
    boxOf(neighbour(cell, 1, 0)).east >= bounds.east &&
    boxOf(neighbour(cell, -1, 0)).west <= bounds.west
  if (!reaches && steps > 1) cell = cellAt(center, --steps)
  const box = boxOf(cell)
  const useless = ([east, north]: (typeof directions)[number]) =>
    steps >= 2 &&
    ((north < 0 && box.south < bounds.south) ||
      (north > 0 && box.north > bounds.north) ||
      (east < 0 && box.west < bounds.west) ||
      (east > 0 && box.east > bounds.east))
  const ranges: [number, number][] = []
  const size = 2 ** (52 - 2 * steps)
  for (const direction of directions) {
    if (useless(direction)) continue
    const { column, row } = neighbour(cell, direction[0], direction[1])
    const from = interleave(column, row) * size
    // Of a large area both neighbours on one line may be the same cell.
    if (ranges.at(-1)?.[0] !== from) ranges.push([from, from + size])
  }
  return ranges
}
