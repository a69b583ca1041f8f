/** Checks the rules that SCHEMA.md names; says what is wrong, and changes nothing. */
import { FSX_CHUNK_BYTES, FSX_CHUNKS_MAX, FSX_INLINE_BYTES_MAX } from '@dotdo/core/limits'
import { ROOT_INO } from '../tables.ts'
import { type Files, findInode, flush } from './volume.ts'

/** One rule that rows break. */
export interface Finding {
  /** The number of the rule in SCHEMA.md. */
  readonly rule: number
  readonly message: string
}

const dir = '(mode & 61440) = 16384'
const file = '(mode & 61440) = 32768'
const body = `id / ${FSX_CHUNKS_MAX}`

/** Each rule as a query for rows that break it: the number of one, and what is wrong with it. */
const rules: readonly (readonly [rule: number, query: string])[] = [
  [
    1,
    `select ${ROOT_INO}, 'the root is no directory' where not exists
    (select 1 from fs_inodes where ino = ${ROOT_INO} and ${dir} and parent = ${ROOT_INO})`,
  ],
  [
    2,
    `select e.ino, 'name ' || e.name || ' in ' || e.parent || ' leads nowhere' from fs_entries e
    left join fs_inodes i on i.ino = e.ino where i.ino is null`,
  ],
  [
    3,
    `select e.parent, 'has the name ' || e.name || ' and is no directory' from fs_entries e
    left join fs_inodes i on i.ino = e.parent and (i.mode & 61440) = 16384 where i.ino is null`,
  ],
  [
    4,
    `select e.ino, 'is of another type than its name ' || e.name from fs_entries e
    join fs_inodes i on i.ino = e.ino where e.kind <> (i.mode & 61440)`,
  ],
  [
    5,
    `select ino, 'has nlink ' || nlink || ' and ' || n || ' names' from (select i.ino, i.nlink,
    (select count(*) from fs_entries e where e.ino = i.ino) as n from fs_inodes i where not (${dir}))
    where nlink <> n`,
  ],
  [
    6,
    `select ino, 'has nlink ' || nlink || ' and ' || n || ' directories in it' from (select i.ino, i.nlink,
    (select count(*) from fs_entries e where e.parent = i.ino and e.kind = 16384) as n from fs_inodes i where ${dir})
    where nlink <> n + 2`,
  ],
  [
    7,
    `select i.ino, 'is a directory that ' || (select count(*) from fs_entries e where e.ino = i.ino and
    e.parent = i.parent) || ' names of its parent lead to' from fs_inodes i where ${dir} and i.ino <> ${ROOT_INO} and
    (select count(*) from fs_entries e where e.ino = i.ino) <> 1 or
    ${dir} and i.ino <> ${ROOT_INO} and not exists
    (select 1 from fs_entries e where e.ino = i.ino and e.parent = i.parent)`,
  ],
  [
    8,
    `select ino, 'has no name and is no orphan' from fs_inodes where nlink = 0 and ino not in
    (select ino from fs_orphans)`,
  ],
  [
    9,
    `select o.ino, 'is an orphan that has a name, or is gone' from fs_orphans o left join fs_inodes i
    on i.ino = o.ino where i.ino is null or i.nlink > 0`,
  ],
  [
    10,
    `select ino, 'has ' || stored || ' bytes inline as it says, and ' || coalesce(length(data), 0)
    from fs_inodes where body is null and stored <> coalesce(length(data), 0)
    or body is null and (length(data) > size or length(data) > ${FSX_INLINE_BYTES_MAX})
    or body is not null and data is not null`,
  ],
  [
    11,
    `select i.ino, 'has ' || i.stored || ' bytes in chunks as it says, and ' || coalesce(c.n, 0) from fs_inodes i
    left join (select ${body} as body, sum(length(data)) as n from fs_chunks group by 1) c on c.body = i.body
    where i.body is not null and i.stored <> coalesce(c.n, 0)`,
  ],
  [
    12,
    `select c.id, 'is a chunk of no file, or past its end' from fs_chunks c
    left join fs_inodes i on i.body = ${body.replace('id', 'c.id')} where i.ino is null
    or length(c.data) > ${FSX_CHUNK_BYTES} or length(c.data) = 0
    or (c.id % ${FSX_CHUNKS_MAX}) * ${FSX_CHUNK_BYTES} + length(c.data) > i.size`,
  ],
  [
    13,
    `select ino, 'has what its type has not' from fs_inodes where (link is not null) <> ((mode & 61440) = 40960)
    or (parent is not null) <> (${dir}) or (${dir}) and (size > 0 or data is not null or body is not null)
    or not (${dir} or ${file} or (mode & 61440) = 40960) or size < stored`,
  ],
  [
    14,
    `select x.ino, 'is gone and has attribute ' || x.name from fs_xattrs x left join fs_inodes i on i.ino = x.ino
    where i.ino is null`,
  ],
  [
    15,
    `select max(ino), 'is past the counter of inodes' from fs_inodes having
    max(ino) >= coalesce((select value from fs_meta where name = 'next_ino'), 2)`,
  ],
]

const reachable = `with recursive tree (ino) as (select ${ROOT_INO} union
  select e.ino from tree t join fs_entries e on e.parent = t.ino where e.kind = 16384)
  select ino, 'is a directory that no path leads to' from fs_inodes where ${dir} and ino not in (select ino from tree)`

/** Check a whole filesystem.
 *  @returns what is wrong, 100 findings a rule at most; empty when nothing is
 *  @cost looks at every row */
export function fsck(files: Files): Finding[] {
  flush(files)
  const findings: Finding[] = []
  for (const [rule, query] of [...rules, [16, reachable] as const]) {
    for (const [ino, what] of files.tx.raw(`select * from (${query}) limit 100`)) {
      findings.push({ rule, message: `${ino} ${what}` })
    }
  }
  return [...findings, ...checkMemory(files)]
}

/** What memory knows must be what the tables say. */
function checkMemory(files: Files): Finding[] {
  const { tx, volume } = files
  const findings: Finding[] = []
  const wrong = (message: string) => findings.push({ rule: 17, message })
  let count = 0
  for (const [parent, { names, complete }] of volume.directories) {
    count += names.size
    const rows = tx.raw('select name, ino, kind from fs_entries where parent = ?', parent)
    const stored = new Map(rows.map(([name, ino, kind]) => [String(name), `${ino} ${kind}`]))
    for (const [name, { ino, kind }] of names) {
      if (stored.get(name) !== `${ino} ${kind}`) wrong(`${parent} has no name ${name} of ${ino} but in memory`)
    }
    if (complete && stored.size !== names.size) wrong(`${parent} has ${stored.size} names, in memory ${names.size}`)
  }
  if (count !== volume.entryCount) wrong(`${count} names are in memory, counted as ${volume.entryCount}`)
  for (const [path, chain] of volume.paths) {
    const dead = chain.find((ino) => findInode(files, ino) === undefined)
    if (dead !== undefined) wrong(`path ${path} leads through ${dead}, which is gone`)
  }
  const { usage } = volume
  const [row] = tx.raw('select coalesce(sum(stored), 0), count(*) from fs_inodes')
  if (usage !== undefined && (usage.bytes !== row?.[0] || usage.inodes !== row?.[1])) {
    wrong(`usage is counted as ${usage.bytes} bytes in ${usage.inodes} inodes, and is ${row?.join(' in ')}`)
  }
  return findings
}
