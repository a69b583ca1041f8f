/** Places and lengths as the geo commands take and answer them. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { formatPlain } from '../engine/doubles.ts'
import { isPlace, type Place } from '../engine/geo.ts'
import type { Value } from '../value.ts'
import { toScore } from './sorted-sets.ts'

/** Parse a longitude and a latitude.
 *  @throws invalid */
export function toPlace(longitude: Bin, latitude: Bin): Place {
  const place = { longitude: toScore(longitude), latitude: toScore(latitude) }
  if (isPlace(place)) return place
  const shown = [place.longitude, place.latitude].map((degrees) => {
    return Number.isFinite(degrees) ? plainly(degrees) : degrees > 0 ? 'inf' : '-inf'
  })
  throw new Failure('invalid', `ERR invalid longitude,latitude pair ${shown.join(',')}`)
}

/** As C's %f: toFixed gives up at 1e21. */
function plainly(degrees: number): string {
  return Math.abs(degrees) < 1e21 ? degrees.toFixed(6) : `${BigInt(degrees)}.000000`
}

const unitsM: { readonly [name: string]: number } = { m: 1, km: 1000, ft: 0.3048, mi: 1609.34 }

/** Parse a unit of length.
 *  @returns how many meters it has */
export function toUnit(argument: Bin): number {
  const name = argument.toLowerCase()
  if (Object.hasOwn(unitsM, name)) return unitsM[name] as number
  throw new Failure('invalid', 'ERR unsupported unit provided. please use M, KM, FT, MI')
}

/** Write a place as two coordinates. */
export function placeReply({ longitude, latitude }: Place): Value {
  return [longitude, latitude].map((degrees) => ({ double: degrees, text: formatPlain(degrees) }))
}
