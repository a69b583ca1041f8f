/** Which lake a data folder belongs to. Node only.
 *
 *  1. Payloads that have left are nowhere but in their lake, and shards know them by the files there. With another
 *     lake, or none, reads of them fail; worse, shards would be taken for restored ones and written anew without them.
 *  2. So the place of the lake is kept in the data folder, and another is refused while any database has policies.
 *     Ending a policy brings its payloads back: then the lake may change. */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Failure } from '../../errors.ts'
import type { Fabric } from '../../shard/fabric.ts'
import type { LakePlace } from './lake-stores.ts'

/** What is kept: nothing secret. */
interface KeptPlace {
  readonly location: string
  readonly endpoint?: string
  readonly catalog?: string
  readonly warehouse?: string
}

const nameOf = ({ location, endpoint, catalog, warehouse }: KeptPlace): string => {
  const at = endpoint === undefined ? '' : ` at ${endpoint}`
  const tables = catalog === undefined ? '' : `, its tables in the catalog ${catalog}`
  return location + at + tables + (warehouse === undefined ? '' : ` (${warehouse})`)
}

const isUrl = (location: string) => /^[a-z][a-z0-9+.-]*:\/\//i.test(location)

function keptPlace({ location, s3, catalog }: LakePlace): KeptPlace {
  return {
    location: isUrl(location) ? location.replace(/\/+$/, '') : resolve(location),
    ...(s3?.endpoint !== undefined && { endpoint: s3.endpoint }),
    ...(catalog && { catalog: catalog.uri, ...(catalog.warehouse !== undefined && { warehouse: catalog.warehouse }) }),
  }
}

/** Hold the place of the lake against the one that the data folder's databases flow into, and keep it.
 *  @param place undefined for none
 *  @throws invalid for another one, while databases have policies */
export async function checkLakePlace(fabric: Fabric, data: string, place: LakePlace | undefined): Promise<void> {
  const path = join(data, 'lake.json')
  const before = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as KeptPlace) : undefined
  const now = place && keptPlace(place)
  if (before !== undefined && now !== undefined && nameOf(before) === nameOf(now)) return
  const [tiered] = await fabric.withPolicies('', 1)
  if (tiered !== undefined && (before !== undefined || now === undefined)) {
    const there = before === undefined ? 'a lake' : `the lake ${nameOf(before)}`
    const here = now === undefined ? 'there is none now' : `now it is ${nameOf(now)}`
    const way = 'start with that lake; to change it, end the policies first (dotdo tier remove), which brings rows back'
    const lost = `if it is lost for good, with all rows that were only there, remove ${path}`
    throw new Failure('invalid', `rows of database ${tiered.name} are in ${there}, and ${here}: ${way}; ${lost}`)
  }
  if (now === undefined) return
  const part = `${path}.part`
  writeFileSync(part, `${JSON.stringify(now)}\n`, { flush: true })
  renameSync(part, path)
  const folder = openSync(data, 'r')
  fsyncSync(folder)
  closeSync(folder)
}
