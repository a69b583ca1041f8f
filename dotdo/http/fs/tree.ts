/** MKCOL, DELETE, COPY and MOVE.
 *
 *  1. MOVE is one rename; what it replaces goes in the same transaction, unless that is a tree of many files.
 *  2. A copied file, with its properties, is there at once and whole; a copied tree comes file by file.
 *  @source RFC 4918 sections 9.3, 9.6, 9.8, 9.9 */
import { Failure } from '@dotdo/core/errors'
import { FSX_COPY_BYTES } from '@dotdo/core/limits'
import type { FsxStep } from '@dotdo/fsx/program'
import { type Check, errnoOf, isDirectory, pathAbove, refuseWeb, type Surveyed } from '@dotdo/fsx/web'
import type { Context } from 'hono'
import { bodyBytes } from '../body.ts'
import { checkOf, depthOf, overwriteOf } from './headers.ts'
import { namesIn, surveyed } from './list.ts'
import { hrefOf, type Target, targetOfHeader, under } from './target.ts'
import { openFor, type Way, type Ways } from './way.ts'

/** Files that one transaction copies, if they are not too long: a longer one would keep others waiting. */
const batchFilesMax = 100

/** Whether it is a directory, and no link to one. */
const isTree = ({ inode, link }: Surveyed) => isDirectory(inode) && link === undefined

/** Make a directory; the root is made with the filesystem. */
export async function answerMkcol(context: Context, ways: Ways, target: Target): Promise<Response> {
  const { database, path } = target
  if ((await bodyBytes(context)).length > 0) {
    throw new Failure('unsupported', 'MKCOL takes no body', { web: 'body' })
  }
  const check = checkOf(context, target, [{ path, names: true, deep: false }])
  if (path === '/' && (await ways.find(database)) !== undefined) {
    throw new Failure('exists', `the filesystem ${database} is there`, { errno: 'EEXIST' })
  }
  const way = await openFor(ways, target, check)
  if (path === '/') await way.call('stat', { path, follow: true })
  else await way.guard(check, [{ name: 'mkdir', args: { path, mode: 0o777 } }])
  return context.body(null, 201, { Location: hrefOf(database, path, true) })
}

/** Find a file.
 *  @returns undefined when nothing is there */
async function find(way: Way, path: string): Promise<Surveyed | undefined> {
  try {
    return (await way.call('survey', { path, names: null, properties: true }))[0]
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

/** Find what has a path: a link that leads nowhere too. */
async function findName(way: Way, path: string): Promise<Surveyed | undefined> {
  const found = await find(way, path)
  if (found !== undefined) return found
  try {
    const inode = await way.call('stat', { path, follow: false })
    return { name: '', inode, link: inode.link ?? '' }
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

/** Remove a tree, a part at a time.
 *  @param more steps that go with each part */
async function removeTree(way: Way, check: Check, path: string, more: readonly FsxStep[] = []): Promise<void> {
  const steps = [{ name: 'removeTree', args: { path } }, ...more]
  // What held before the first part need not hold between the others.
  for (let next = check; ; next = { tokens: check.tokens, changes: [] }) {
    const [isGone] = await way.guard(next, steps)
    if (isGone) return
  }
}

/** Remove a file or a tree. */
export async function answerDelete(context: Context, way: Way, target: Target): Promise<Response> {
  const { path } = target
  if (path === '/') throw new Failure('forbidden', 'the root stays', { errno: 'EPERM' })
  depthOf(context, ['infinity'], 'infinity')
  const check = checkOf(context, target, [{ path, names: true, deep: true }])
  await removeTree(way, check, path, [{ name: 'forgetLocks', args: { path } }])
  return context.body(null, 204)
}

/** What is copied or moved, and where to. */
interface Transfer {
  readonly from: string
  readonly to: string
  readonly source: Surveyed
  readonly replaced: Surveyed | undefined
  readonly check: Check
}

/** The path of a name with no link on the way, so that two that are one can be told. */
async function realPathOf(way: Way, path: string): Promise<string> {
  if (path === '/') return path
  return under(await way.call('realpath', { path: pathAbove(path) }), path.slice(path.lastIndexOf('/') + 1))
}

/** Read what a COPY or MOVE wants, and refuse what cannot be. */
async function transferOf(context: Context, way: Way, target: Target): Promise<Transfer> {
  const { path: from } = target
  const header = context.req.header('Destination')
  if (header === undefined) throw new Failure('invalid', `${context.req.method} wants a Destination`)
  const { path: to } = targetOfHeader(context, header, target)
  const isMove = context.req.method === 'MOVE'
  const changes = [{ path: to, names: true, deep: true }]
  if (isMove) changes.push({ path: from, names: true, deep: true })
  const check = checkOf(context, target, changes)
  const source = await find(way, from)
  if (source === undefined) throw new Failure('not_found', `nothing is at ${from}`)
  // A link is copied as what it leads to, and nothing can be put in place of what its source leads to.
  const ledTo = await way.call('realpath', { path: from })
  const real = isMove ? await realPathOf(way, from) : ledTo
  const realTo = await realPathOf(way, to)
  const isWithin = `${realTo}/`.startsWith(real === '/' ? '/' : `${real}/`)
  // A directory alone can be copied into itself; nothing can be put in place of what it is in.
  const isShallow = !isMove && depthOf(context, [0, 'infinity'], 'infinity') === 0 && real !== realTo
  const isIn = (path: string) => `${path}/`.startsWith(realTo === '/' ? '/' : `${realTo}/`)
  if ((isWithin && !isShallow) || isIn(real) || isIn(ledTo)) {
    throw new Failure('forbidden', `${from} and ${to}: one is in the other, or they are one`, { errno: 'EPERM' })
  }
  const replaced = await findName(way, to)
  if (replaced !== undefined && !overwriteOf(context)) throw refuseWeb('precondition', to, `${to} is there`)
  return { from, to, source, replaced, check }
}

async function move(way: Way, { from, to, source, replaced, check }: Transfer): Promise<void> {
  // rename(2) leaves two names of one file alone; who moves a file here wants the first one gone.
  const isSame = replaced?.inode.ino === source.inode.ino
  const isPlain = replaced === undefined || !(isTree(source) || isTree(replaced) || isSame)
  const removal = isPlain ? [] : [{ name: 'removeTree', args: { path: to } }]
  const steps: FsxStep[] = [
    ...removal,
    { name: 'rename', args: { from, to } },
    { name: 'forgetLocks', args: { path: from } },
  ]
  try {
    await way.guard(check, steps)
  } catch (error) {
    const isLarge = ['ENOTEMPTY', 'EISDIR', 'ENOTDIR'].includes(errnoOf(error) ?? '') && removal.length > 0
    if (!isLarge) throw error
    await removeTree(way, check, to)
    await way.guard({ tokens: check.tokens, changes: check.changes }, steps.slice(1))
  }
}

/** Move a file or a tree. */
export async function answerMove(context: Context, way: Way, target: Target): Promise<Response> {
  depthOf(context, ['infinity'], 'infinity')
  const transfer = await transferOf(context, way, target)
  await move(way, transfer)
  return answerMade(context, target, transfer)
}

function answerMade(context: Context, { database }: Target, { to, source, replaced }: Transfer): Response {
  if (replaced !== undefined) return context.body(null, 204)
  return context.body(null, 201, { Location: hrefOf(database, to, isTree(source)) })
}

/** The steps that copy one entry, but not what is in it. */
function stepsOf(from: string, to: string, { inode, link, properties = [] }: Surveyed): FsxStep[] {
  if (link !== undefined) return [{ name: 'symlink', args: { target: link, path: to } }]
  const mode = inode.mode & 0o777
  const make = isTree({ name: '', inode })
    ? { name: 'mkdir', args: { path: to, mode } }
    : { name: 'copyFile', args: { from, to, exclusive: true } }
  if (properties.length === 0) return [make]
  return [make, { name: 'patchProperties', args: { path: to, changes: properties } }]
}

/** Copy one entry, a long file a piece at a time.
 *  @param finish runs the steps that make the copy, or give it its name */
async function copyOne(
  way: Way,
  { from, to, entry }: { from: string; to: string; entry: Surveyed },
  finish: (steps: readonly FsxStep[]) => Promise<unknown>,
): Promise<void> {
  const [make, ...more] = stepsOf(from, to, entry)
  if (make?.name !== 'copyFile' || entry.inode.size <= FSX_COPY_BYTES) {
    await finish(stepsOf(from, to, entry))
    return
  }
  // What is there already is removed with the last step.
  const copying = await way.call('beginCopy', { from, to, exclusive: false, replaces: true })
  try {
    for (let position = 0; position < copying.size; ) {
      position = await way.call('copyPiece', { ...copying, position })
    }
    await finish([{ name: 'endCopy', args: { ...copying, to, exclusive: true } }, ...more])
  } finally {
    for (const ino of [copying.target, copying.source]) await way.call('close', { ino })
  }
}

/** Copy what is in a directory. */
async function copyInside(way: Way, from: string, to: string): Promise<void> {
  let steps: FsxStep[] = []
  let bytes = 0
  const send = async () => {
    if (steps.length > 0) await way.call('batch', { steps })
    steps = []
    bytes = 0
  }
  const directories: string[] = []
  for await (const page of surveyed(way, { path: from, names: await namesIn(way, from), properties: true })) {
    for (const entry of page) {
      if (entry.link === undefined && entry.inode.size > FSX_COPY_BYTES) {
        const paths = { from: under(from, entry.name), to: under(to, entry.name) }
        await copyOne(way, { ...paths, entry }, (steps) => way.call('batch', { steps }))
        continue
      }
      steps.push(...stepsOf(under(from, entry.name), under(to, entry.name), entry))
      bytes += entry.inode.size
      if (isTree(entry)) directories.push(entry.name)
      if (bytes >= FSX_COPY_BYTES || steps.length >= batchFilesMax) await send()
    }
  }
  await send()
  for (const name of directories) await copyInside(way, under(from, name), under(to, name))
}

/** Copy a file or a tree. */
export async function answerCopy(context: Context, way: Way, target: Target): Promise<Response> {
  const depth = depthOf(context, [0, 'infinity'], 'infinity')
  const transfer = await transferOf(context, way, target)
  const { from, to, source, replaced, check } = transfer
  // A link is copied as what it leads to, as the client sees it.
  const { link: _, ...followed } = source
  // Before a long file is copied, what would be refused at its end is refused now.
  if (followed.inode.size > FSX_COPY_BYTES) await way.guard(check, [])
  const isOverTree = replaced !== undefined && isTree(replaced)
  if (isOverTree) await removeTree(way, check, to)
  const removal = replaced === undefined || isOverTree ? [] : [{ name: 'removeTree', args: { path: to } }]
  await copyOne(way, { from, to, entry: followed }, (steps) => {
    return isOverTree ? way.call('batch', { steps }) : way.guard(check, [...removal, ...steps])
  })
  if (isTree(followed) && depth !== 0) await copyInside(way, from, to)
  return answerMade(context, target, transfer)
}
