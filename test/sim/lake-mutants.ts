/** Mutants of the lake: the guards of flushes, commits, evictions, rewrites and upkeep, each removed. */
import type { Mutant } from './mutants.ts'

const tier = (file: string) => `core/tiering/tier/${file}.ts`
const iceberg = (file: string) => `core/tiering/iceberg/${file}.ts`

/** The guards of the lake. */
export const lakeMutants: readonly Omit<Mutant, 'property'>[] = [
  {
    name: 'a receipt not checked against the position of the snapshot',
    file: tier('committer'),
    find: "return samePosition(reached, receipt.from) ? 'ready' : 'restored'",
    put: "return 'ready'",
  },
  {
    name: 'positions not checked at every attempt',
    file: tier('committer'),
    find: 'if (formatPositions(await readPositions(files, now)) === before) return',
    put: 'if (before !== undefined) return',
  },
  {
    name: 'settled before the commit',
    file: tier('committer'),
    find: '  const done = await commitChange(tools, table.name, change, commitIdOf(known))\n',
    put: `  for (const { shard, receipt } of known) await settle(tools, table, shard, receipt.id)
  const done = await commitChange(tools, table.name, change, commitIdOf(known))\n`,
  },
  {
    name: 'the receipt not durable',
    file: tier('state'),
    find: `  return readValue<KeptReceipt>(view, \`receipt \${table}\`)
}

/** Keep a receipt, or forget it. */
export function writePending(tx: Tx, table: string, receipt: KeptReceipt | undefined): void {
  writeValue(tx, \`receipt \${table}\`, receipt)`,
    put: `  return view.memory.get(\`receipt \${table}\`) as KeptReceipt | undefined
}

/** Keep a receipt, or forget it. */
export function writePending(tx: Tx, table: string, receipt: KeptReceipt | undefined): void {
  tx.memory.set(\`receipt \${table}\`, receipt)`,
  },
  {
    name: 'an unknown outcome taken for failure',
    file: iceberg('commit'),
    find: `if (isUnavailable && storeFault(error)?.outcome !== 'none') progress.isUnclear = true
      if (!isUnavailable && !isRequirementConflict(error)) throw error`,
    put: 'if (!isRequirementConflict(error)) throw error',
  },
  {
    name: 'a commit not looked for before it is made again',
    file: iceberg('commit'),
    find: 'if (done !== undefined) return',
    put: 'if (done !== undefined && attempt > 99) return',
  },
  {
    name: 'rows that changed after the watermark evicted',
    file: tier('evict-calls'),
    find: '    if (changed(packed)) continue\n',
    put: '',
  },
  {
    name: 'relocations not applied',
    file: tier('upkeep'),
    find: '      await tellMoves(table, rewrite, moves)\n',
    put: '',
  },
  {
    name: 'relocations told after the commit',
    file: iceberg('compact'),
    find: `      await wanted.beforeCommit?.(relocationsOf(run, wanted))
      return report(run, await commitRun(committer, name, { table: metadata, run, options: wanted }), wanted)`,
    put: `      const done = await commitRun(committer, name, { table: metadata, run, options: wanted })
      await wanted.beforeCommit?.(relocationsOf(run, wanted))
      return report(run, done, wanted)`,
  },
  {
    name: 'superseded rows not deleted',
    file: tier('committer'),
    find: 'if (at !== undefined) addAll(places, at.file, new Set([at.pos]))',
    put: '',
  },
  {
    name: 'rows that changed again during a flush not deleted',
    file: tier('flush-calls'),
    find: 'if (before?.[0] != null) tx.write(insertGone',
    put: 'if (before?.[0] === 0) tx.write(insertGone',
  },
  {
    name: 'a flush that was overtaken goes on',
    file: tier('state'),
    find: 'if (state.building === receipt) return state',
    put: 'if (receipt.length > 0) return state',
  },
  {
    name: 'orphans removed without grace',
    file: iceberg('maintain'),
    find: 'if (modifiedMs < beforeMs && !isMetadata(',
    put: 'if (modifiedMs <= clock.nowMs() && !isMetadata(',
  },
  {
    name: 'the log let go before it is committed',
    file: tier('lake-database'),
    find: "'hold', { name: 'tier', seq })",
    put: "'hold', { name: 'tier', seq: seq + 1_000 })",
  },
  {
    name: 'rows that left with their slot taken for deletes of users',
    file: tier('change-columns'),
    find: 'if (!wanted[place] || ((flags[at] as number) & changeFlags.moved) !== 0) continue',
    put: 'if (!wanted[place]) continue',
  },
  {
    name: 'rows of slots that left settled as if they were here',
    file: tier('flush-calls'),
    find: '  const left = slotsLeft(tx, table)\n',
    put: '  const left = undefined as number[] | undefined\n',
  },
  {
    name: 'what the lake has of a restored shard stays',
    file: tier('committer'),
    find: 'if (receipt.resync) await rowsOfShard(tools, metadata, { shard, paths })',
    put: '',
  },
  {
    name: 'a pending receipt taken for committed',
    file: tier('since-calls'),
    find: '    rows.remove(placesOf(tx, table.collection, row))\n',
    put: '    if (!overlay) rows.remove(placesOf(tx, table.collection, row))\n',
  },
]
