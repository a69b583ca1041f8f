/** PROPFIND and PROPPATCH.
 *
 *  1. Properties that clients set are extended attributes, `dav:{namespace}name`, whose value is the element as XML.
 *  2. A directory's list is sent as it is read, so that its length does not matter; of everything below, only so much
 *     is told as fits memory, and more is refused with `propfind-finite-depth`.
 *  @source RFC 4918 sections 9.1, 9.2 */
import { Failure } from '@dotdo/core/errors'
import {
  FSX_WEB_DEEP_BYTES_MAX,
  FSX_WEB_DEEP_FILES_MAX,
  FSX_WEB_PROPERTIES_MAX,
  FSX_XATTR_NAME_BYTES_MAX,
  FSX_XATTR_VALUE_BYTES_MAX,
} from '@dotdo/core/limits'
import { isDirectory, PROPERTY_PREFIX, type Surveyed } from '@dotdo/fsx/web'
import type { Element } from '@xmldom/xmldom'
import type { Context } from 'hono'
import { answerCondition } from './errors.ts'
import { checkOf, depthOf } from './headers.ts'
import { namesIn, surveyed } from './list.ts'
import { isCostly, isLive, type Live, liveNames, showLive } from './live.ts'
import { hrefOf, type Target, under } from './target.ts'
import type { Way } from './way.ts'
import { childOf, childrenOf, DAV, declaration, escapeXml, isDav, readXml, writeElement, xmlType } from './xml.ts'

/** The name of a property. */
interface PropertyName {
  readonly namespace: string
  readonly name: string
}

/** What a PROPFIND asks for. */
interface Wanted {
  /** `names`: only which there are. `all`: those that every file has, those that were set, and `properties`. */
  readonly kind: 'all' | 'names' | 'some'
  readonly properties: readonly PropertyName[]
}

const nameOf = ({ namespaceURI, localName }: Element): PropertyName => {
  return { namespace: namespaceURI ?? '', name: localName ?? '' }
}

const attributeOf = ({ namespace, name }: PropertyName) => `${PROPERTY_PREFIX}{${namespace}}${name}`

function propertyOf(attribute: string): PropertyName {
  const end = attribute.lastIndexOf('}')
  return { namespace: attribute.slice(PROPERTY_PREFIX.length + 1, end), name: attribute.slice(end + 1) }
}

function wantedOf(body: Element | undefined): Wanted {
  if (body === undefined) return { kind: 'all', properties: [] }
  const [prop, all, names] = ['prop', 'allprop', 'propname'].map((name) => childOf(body, name))
  const kinds = [prop, all, names].filter((one) => one !== undefined)
  if (!isDav(body, 'propfind') || kinds.length !== 1) {
    throw new Failure('invalid', 'the body is no propfind with one of prop, allprop and propname')
  }
  if (names !== undefined) return { kind: 'names', properties: [] }
  const listed = prop ?? childOf(body, 'include')
  const properties = listed === undefined ? [] : Array.from(childrenOf(listed), nameOf)
  if (properties.length > FSX_WEB_PROPERTIES_MAX) {
    throw new Failure('limit', `a propfind may name ${FSX_WEB_PROPERTIES_MAX} properties, not ${properties.length}`)
  }
  return { kind: prop === undefined ? 'all' : 'some', properties }
}

function showEmpty({ namespace, name }: PropertyName): string {
  if (namespace === DAV) return `<D:${name}/>`
  return namespace === '' ? `<${name} xmlns=""/>` : `<x:${name} xmlns:x="${escapeXml(namespace)}"/>`
}

/** Show some properties of a file.
 *  @returns XML of those it has, and of the names of those it has not */
function showProperties(wanted: Wanted, live: Live): { found: string; missing: string } {
  const attributes = new Map(live.found.properties)
  const own = [...attributes.keys()].map(propertyOf)
  if (wanted.kind === 'names') {
    const all = [...liveNames.filter((name) => showLive(name, live) !== undefined).map(davName), ...own]
    return { found: all.map(showEmpty).join(''), missing: '' }
  }
  const every = wanted.kind === 'all' ? [...liveNames.map(davName), ...own] : []
  let [found, missing] = ['', '']
  for (const property of [...every, ...wanted.properties]) {
    const { namespace, name } = property
    const value = namespace === DAV ? showLive(name, live) : undefined
    const stored = value === undefined ? attributes.get(attributeOf(property)) : undefined
    if (value !== undefined) found += `<D:${name}>${value}</D:${name}>`
    else if (stored !== undefined) found += new TextDecoder().decode(stored)
    else if (!every.includes(property)) missing += showEmpty(property)
  }
  return { found, missing }
}

const davName = (name: string): PropertyName => ({ namespace: DAV, name })

const propstat = (properties: string, status: string, more = '') =>
  `<D:propstat><D:prop>${properties}</D:prop><D:status>HTTP/1.1 ${status}</D:status>${more}</D:propstat>`

function showFile(wanted: Wanted, live: Live): string {
  const { database, path, found: file } = live
  const { found, missing } = showProperties(wanted, live)
  const parts = [
    found === '' && missing !== '' ? '' : propstat(found, '200 OK'),
    missing === '' ? '' : propstat(missing, '404 Not Found'),
  ]
  const href = escapeXml(hrefOf(database, path, isDirectory(file.inode)))
  return `<D:response><D:href>${href}</D:href>${parts.join('')}</D:response>\n`
}

interface Finding {
  readonly way: Way
  readonly database: string
  readonly wanted: Wanted
  readonly nowMs: number
}

/** Show files whose paths are known. */
async function showFiles(
  { way, database, wanted, nowMs }: Finding,
  files: readonly (readonly [path: string, found: Surveyed])[],
): Promise<string> {
  const locks = await way.call('listLocks', { paths: files.map(([path]) => path) })
  const asksUsage = wanted.properties.some(({ namespace, name }) => namespace === DAV && isCostly(name))
  const usage = asksUsage ? await way.call('statfs', null as never) : undefined
  const shown = files.map(([path, found], i) => {
    return showFile(wanted, { database, path, found, locks: locks[i] ?? [], nowMs, usage })
  })
  return shown.join('')
}

/** Show what is in a directory, a page at a time.
 *  @param onDirectory told of each directory in it that is no link */
async function* showInside(
  finding: Finding,
  path: string,
  onDirectory?: (path: string) => void,
): AsyncGenerator<{ text: string; count: number }> {
  const names = await namesIn(finding.way, path)
  for await (const page of surveyed(finding.way, { path, names, properties: true })) {
    const files = page.map((found) => [under(path, found.name), found] as const)
    for (const [below, { inode, link }] of files) {
      if (link === undefined && isDirectory(inode)) onDirectory?.(below)
    }
    yield { text: await showFiles(finding, files), count: files.length }
  }
}

/** Show all that is below a directory.
 *  @returns undefined when it is too much */
async function showBelow(finding: Finding, path: string): Promise<string | undefined> {
  const pieces: string[] = []
  let count = 0
  let bytes = 0
  const waiting = [path]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for await (const page of showInside(finding, next, (below) => waiting.push(below))) {
      pieces.push(page.text)
      count += page.count
      bytes += page.text.length
      if (count > FSX_WEB_DEEP_FILES_MAX || bytes > FSX_WEB_DEEP_BYTES_MAX) return undefined
    }
  }
  return pieces.join('')
}

const opening = `${declaration}<D:multistatus xmlns:D="DAV:">\n`
const closing = '</D:multistatus>\n'

function streamOf(texts: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await texts.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(value))
    },
    async cancel() {
      await texts.return(undefined)
    },
  })
}

/** Tell properties of a file, of those in a directory, or of all below it. */
export async function answerPropfind(
  context: Context,
  { way, target, nowMs }: { way: Way; target: Target; nowMs: number },
): Promise<Response> {
  const { database, path } = target
  const depth = depthOf(context, [0, 1, 'infinity'], 'infinity')
  const finding: Finding = { way, database, nowMs, wanted: wantedOf(await readXml(context)) }
  const [found] = await way.call('survey', { path, names: null, properties: true })
  const own = await showFiles(finding, [[path, found as Surveyed]])
  const headers = { 'Content-Type': xmlType }
  if (!isDirectory((found as Surveyed).inode) || depth === 0)
    return context.body(`${opening}${own}${closing}`, 207, headers)
  if (depth === 'infinity') {
    const below = await showBelow(finding, path)
    if (below === undefined) return answerCondition(context, 403, '<D:propfind-finite-depth/>')
    return context.body(`${opening}${own}${below}${closing}`, 207, headers)
  }
  async function* texts() {
    yield `${opening}${own}`
    for await (const { text } of showInside(finding, path)) yield text
    yield closing
  }
  return new Response(streamOf(texts()), { status: 207, headers })
}

/** One thing that a PROPPATCH wants. */
interface Patch {
  readonly property: PropertyName
  /** null to remove it. */
  readonly value: Uint8Array | null
}

function patchesOf(body: Element | undefined): Patch[] {
  if (body === undefined || !isDav(body, 'propertyupdate'))
    throw new Failure('invalid', 'the body is no propertyupdate')
  const patches: Patch[] = []
  for (const action of childrenOf(body)) {
    const isSet = isDav(action, 'set')
    const prop = childOf(action, 'prop')
    if (!(isSet || isDav(action, 'remove')) || prop === undefined) continue
    for (const element of childrenOf(prop)) {
      const value = isSet ? new TextEncoder().encode(writeElement(element)) : null
      patches.push({ property: nameOf(element), value })
    }
  }
  return patches
}

/** Why a property cannot be set; undefined when it can. */
function refusalOf({ property, value }: Patch): { status: string; more?: string } | undefined {
  if (property.namespace === DAV && isLive(property.name)) {
    return { status: '403 Forbidden', more: '<D:error><D:cannot-modify-protected-property/></D:error>' }
  }
  const nameBytes = new TextEncoder().encode(attributeOf(property)).length
  const isTooLong = nameBytes > FSX_XATTR_NAME_BYTES_MAX || (value?.length ?? 0) > FSX_XATTR_VALUE_BYTES_MAX
  return isTooLong ? { status: '507 Insufficient Storage' } : undefined
}

/** Set and remove properties: all of them, or none. */
export async function answerProppatch(context: Context, way: Way, target: Target): Promise<Response> {
  const { database, path, slash } = target
  const patches = patchesOf(await readXml(context))
  const refused = patches.map(refusalOf)
  const check = checkOf(context, target, [{ path, names: false, deep: false }])
  const isRefused = refused.some((one) => one !== undefined)
  const changes = patches.map(({ property, value }) => [attributeOf(property), value] as const)
  await way.guard(check, isRefused ? [] : [{ name: 'patchProperties', args: { path, changes } }])
  const shown = patches.map(({ property }, i) => {
    const why = refused[i]
    if (why !== undefined) return propstat(showEmpty(property), why.status, why.more)
    return propstat(showEmpty(property), isRefused ? '424 Failed Dependency' : '200 OK')
  })
  const href = escapeXml(hrefOf(database, path, slash))
  const response = `<D:response><D:href>${href}</D:href>${shown.join('')}</D:response>\n`
  return context.body(`${opening}${response}${closing}`, 207, { 'Content-Type': xmlType })
}
