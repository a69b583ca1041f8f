/** Checks the rules that SCHEMA.md names; says what is wrong, and changes nothing. */
import { FSX_CHUNK_BYTES, FSX_CHUNKS_MAX, FSX_INLINE_BYTES_MAX } from '@dotdo/core/limits'
import { LAYER_INOS, OBJECT_PIECES, ROOT_INO } from '../tables.ts'
import { chunkLengths, findChunk } from './bodies.ts'
import { settle } from './layers.ts'
import { shardOfName } from './part.ts'
import { entriesOf, inodesOf } from './seen.ts'
import { type Files, findInode, MAIN, openFiles, type View, type Volume } from './volume.ts'

/** One rule that rows break. */
export interface Finding {
  /** The number of the rule in SCHEMA.md. */
  readonly rule: number
  readonly message: string
}

const dir = '(mode & 61440) = 16384'
const file = '(mode & 61440) = 32768'

/** Each rule as a query for rows that break it, in what a filesystem or a snapshot sees (`inodes`, `entries`,
 *  `orphans`): the number of one, and what is wrong with it. */
const rules: readonly (readonly [rule: number, query: string])[] = [
  [
    1,
    `select ${ROOT_INO}, 'the root is no directory' where not exists
    (select 1 from inodes where ino = ${ROOT_INO} and ${dir} and parent = ${ROOT_INO})`,
  ],
  [
    2,
    `select e.ino, 'name ' || e.name || ' in ' || e.parent || ' leads nowhere' from entries e
    left join inodes i on i.ino = e.ino where i.ino is null`,
  ],
  [
    3,
    `select e.parent, 'has the name ' || e.name || ' and is no directory' from entries e
    left join inodes i on i.ino = e.parent and (i.mode & 61440) = 16384 where i.ino is null`,
  ],
  [
    4,
    `select e.ino, 'is of another type than its name ' || e.name from entries e
    join inodes i on i.ino = e.ino where e.kind <> (i.mode & 61440)`,
  ],
  [
    5,
    `select i.ino, 'has nlink ' || nlink || ' and ' || coalesce(n, 0) || ' names' from inodes i left join
    (select ino, count(*) as n from entries group by ino) c on c.ino = i.ino
    where not (${dir}) and nlink <> coalesce(n, 0)`,
  ],
  [
    6,
    `select i.ino, 'has nlink ' || nlink || ' and ' || coalesce(n, 0) || ' directories in it' from inodes i left join
    (select parent, count(*) as n from entries where kind = 16384 group by parent) c on c.parent = i.ino
    where ${dir} and (nlink > 0 or n > 0) and nlink <> coalesce(n, 0) + 2`,
  ],
  [
    7,
    `select i.ino, 'is a directory that ' || coalesce(n, 0) || ' names lead to' from inodes i left join
    (select ino, count(*) as n, min(parent) as above from entries where kind = 16384 group by ino) c on c.ino = i.ino
    where ${dir} and i.ino <> ${ROOT_INO} and (nlink > 0 or n > 0) and (n is not 1 or above is not i.parent)`,
  ],
  [
    8,
    `select ino, 'has no name and is no orphan' from inodes where nlink = 0 and ino not in
    (select ino from orphans)`,
  ],
  [
    9,
    `select o.ino, 'is an orphan that has a name, or is gone' from orphans o left join inodes i
    on i.ino = o.ino where i.ino is null or i.nlink > 0`,
  ],
  [
    10,
    `select ino, 'has ' || stored || ' bytes inline as it says, and ' || coalesce(inline, 0)
    from inodes where body is null and stored <> coalesce(inline, 0)
    or body is null and (inline > size or inline > ${FSX_INLINE_BYTES_MAX})
    or body is not null and inline is not null`,
  ],
  [
    13,
    `select ino, 'has what its type has not' from inodes where (link is not null) <> ((mode & 61440) = 40960)
    or (${dir}) and parent is null or (${dir}) and (size > 0 or inline is not null or body is not null)
    or not (${dir} or ${file} or (mode & 61440) = 40960) or body is null and size < stored`,
  ],
]

const reachable = `with recursive tree (ino) as (select ${ROOT_INO} union
  select e.ino from tree t join entries e on e.parent = t.ino where e.kind = 16384)
  select ino, 'is a directory that no path leads to' from inodes
  where ${dir} and nlink > 0 and ino not in (select ino from tree)`

const inoOf = (column: string) => `${column} % ${LAYER_INOS}`
const layerOf = (column: string) => `${column} / ${LAYER_INOS}`
const known = '(select layer from fs_layers union select 0)'

/** Rules of the tables as a whole. */
const physical: readonly (readonly [rule: number, query: string])[] = [
  [
    12,
    `select id, 'is a chunk of no file, is empty, or too long' from fs_chunks where id / ${FSX_CHUNKS_MAX} not in
    (select body from fs_inodes where body is not null union select base from fs_bodies)
    or length(data) > ${FSX_CHUNK_BYTES} or (length(data) = 0) <> (piece is not null)
    or (bytes is null) <> (piece is null) or bytes = 0`,
  ],
  [
    14,
    `select x.ino, 'is gone and has attribute ' || x.name from fs_xattrs x left join fs_inodes i on i.ino = x.ino
    where i.ino is null or i.mode = 0`,
  ],
  [
    15,
    `select * from (select max(${inoOf('ino')}) as last, 'is past the counter of inodes' from fs_inodes)
    where last >= coalesce((select value from fs_meta where name = 'next_ino'), 2)`,
  ],
  [18, `select ino, 'is in a layer that is not there' from fs_inodes where ${layerOf('ino')} not in ${known}`],
  [18, `select parent, 'is in a layer that is not there' from fs_entries where ${layerOf('parent')} not in ${known}`],
  [18, `select ino, 'is in a layer that is not there' from fs_xattrs where ${layerOf('ino')} not in ${known}`],
  [18, `select ino, 'is in a layer that is not there' from fs_orphans where ${layerOf('ino')} not in ${known}`],
  [
    19,
    `select l.layer, 'is a layer on one that is not there, or is above it' from fs_layers l where l.parent is not null
    and (l.parent >= l.layer or l.parent not in (select layer from fs_layers))`,
  ],
  [
    20,
    `select l.layer, 'is a layer that is shown nowhere, and no two stand on it' from fs_layers l where
    l.layer not in (select layer from fs_heads union select layer from fs_snapshots)
    and (select count(*) from fs_layers u where u.parent = l.layer) < 2`,
  ],
  [
    21,
    `select h.layer, 'is a layer that changes, and something stands on it' from fs_heads h where h.layer in
    (select parent from fs_layers where parent is not null union select layer from fs_snapshots)`,
  ],
  [
    22,
    `select body, 'is a body on one that is none, or that no file has' from fs_bodies where base >= body or body not in
    (select body from fs_inodes where body is not null union select base from fs_bodies)`,
  ],
]

const objectOf = (piece: string) => `${piece} / ${OBJECT_PIECES}`

/** Rules of what is in the store, as far as the tables tell. */
const stored: readonly (readonly [rule: number, query: string])[] = [
  [
    23,
    `select c.id, 'has a piece that is not there, or is shorter' from fs_chunks c left join fs_pieces p
    on p.piece = c.piece where c.piece is not null and (p.piece is null or p.bytes < c.bytes)`,
  ],
  [
    24,
    `select p.piece, 'is a piece of no live object, or reaches past its end' from fs_pieces p left join fs_objects o
    on o.object = ${objectOf('p.piece')} where o.object is null or o.state <> 'live' or p.at + p.stored > o.bytes
    or p.stored > p.bytes or length(p.hash) <> 32`,
  ],
  [
    26,
    `select object, 'is lent, and is no live object' from fs_loans where object not in
    (select object from fs_objects where state = 'live')`,
  ],
  [
    25,
    `select * from (select max(object) as last, 'is past the counter of objects' from fs_objects)
    where last >= coalesce((select value from fs_meta where name = 'next_object'), 1)`,
  ],
]

/** Check all filesystems of a shard, and all their snapshots.
 *  @returns what is wrong, 100 findings a rule at most; empty when nothing is
 *  @cost looks at every row, once for each snapshot and fork that sees it */
export function fsck(files: Files): Finding[] {
  const { tx } = files
  settle(files)
  const findings: Finding[] = []
  const check = (rule: number, query: string, where = '') => {
    for (const [ino, what] of tx.raw(query)) findings.push({ rule, message: `${ino} ${what}${where}` })
  }
  for (const [rule, query] of [...physical, ...stored]) check(rule, `select * from (${query}) limit 100`)
  if (findings.length > 0) return findings
  const views: View[] = [{}]
  for (const [name] of tx.raw('select name from fs_heads where name <> ?', MAIN)) views.push({ fork: String(name) })
  for (const [fork, id] of tx.raw('select head, id from fs_snapshots')) {
    views.push({ fork: String(fork), snapshot: Number(id) })
  }
  for (const view of views) {
    const seen = openFiles(tx, view)
    const { fork, snapshot } = view
    const where = fork === undefined ? '' : `, in ${fork}${snapshot === undefined ? '' : ` as of snapshot ${snapshot}`}`
    for (const [rule, query] of [...rules, [16, reachable] as const]) {
      check(rule, `${tablesOf(seen.volume)}${query.replace(/^with recursive /, ', ')} limit 100`, where)
    }
    findings.push(...checkContent(seen, where), ...checkMemory(seen), ...checkRoot(seen))
  }
  return findings
}

function tablesOf(volume: Volume): string {
  const { base } = volume
  const within = `ino between ${base} and ${base + LAYER_INOS - 1}`
  const orphans = `orphans as (select ino - ${base} as ino from fs_orphans where ${within})`
  return `with recursive ${inodesOf(volume)}, ${entriesOf(volume)}, ${orphans} `
}

/** Content must be as long as its inode says, and no chunk reach past its end. */
function checkContent(files: Files, where: string): Finding[] {
  const { tx, volume } = files
  const findings: Finding[] = []
  // What is cold is not fetched for this.
  const isZero = (body: number, index: number, from: number) => {
    const chunk = findChunk(files, body, index)
    if (chunk === undefined || chunk.piece !== null) return true
    return chunk.data.subarray(Math.max(0, from), chunk.bytes).every((byte) => byte === 0)
  }
  const select = `with ${inodesOf(volume)} select ino, body, size, stored from inodes where body is not null`
  for (const [ino, body, size, stored] of tx.raw(select) as number[][] as [number, number, number, number][]) {
    let bytes = 0
    for (const [index, length] of chunkLengths(files, body)) {
      bytes += length
      const start = index * FSX_CHUNK_BYTES
      if (start + length > size && !isZero(body, index, size - start)) {
        findings.push({ rule: 12, message: `${ino} ends before chunk ${index}${where}` })
      }
    }
    if (bytes !== stored)
      findings.push({ rule: 11, message: `${ino} stores ${bytes} bytes, and says ${stored}${where}` })
  }
  return findings
}

/** Of several shards, each has its names of the root. */
function checkRoot({ tx, volume }: Files): Finding[] {
  const { part } = volume
  if (part === undefined) return []
  const select = `with ${entriesOf(volume)} select name from entries where parent = ${ROOT_INO}`
  const strays = tx.raw(select).filter(([name]) => shardOfName(String(name), part.shards) !== part.shard)
  return strays.map(([name]) => ({ rule: 27, message: `name ${name} of the root is of another shard` }))
}

/** What memory knows must be what the tables say. */
function checkMemory(files: Files): Finding[] {
  const { tx, volume } = files
  const findings: Finding[] = []
  const wrong = (message: string) => findings.push({ rule: 17, message })
  let count = 0
  const stored = new Map<number, Map<string, string>>()
  const select = `with ${entriesOf(volume)} select parent, name, ino, kind from entries`
  for (const [parent, name, ino, kind] of volume.directories.size === 0 ? [] : tx.raw(select)) {
    const names = stored.get(Number(parent)) ?? new Map<string, string>()
    stored.set(Number(parent), names.set(String(name), `${ino} ${kind}`))
  }
  for (const [parent, { names, complete }] of volume.directories) {
    count += names.size
    const there = stored.get(parent) ?? new Map<string, string>()
    for (const [name, { ino, kind }] of names) {
      if (there.get(name) !== `${ino} ${kind}`) wrong(`${parent} has no name ${name} of ${ino} but in memory`)
    }
    if (complete && there.size !== names.size) wrong(`${parent} has ${there.size} names, in memory ${names.size}`)
  }
  if (count !== volume.entryCount) wrong(`${count} names are in memory, counted as ${volume.entryCount}`)
  for (const [path, chain] of volume.paths) {
    const dead = chain.find((ino) => findInode(files, ino) === undefined)
    if (dead !== undefined) wrong(`path ${path} leads through ${dead}, which is gone`)
  }
  const { usage } = volume
  if (usage === undefined) return findings
  const [row] = tx.raw(`with ${inodesOf(volume)} select coalesce(sum(stored), 0), count(*) from inodes`)
  if (usage.bytes !== row?.[0] || usage.inodes !== row?.[1]) {
    wrong(`usage is counted as ${usage.bytes} bytes in ${usage.inodes} inodes, and is ${row?.join(' in ')}`)
  }
  return findings
}
