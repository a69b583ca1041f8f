/** Mutants: the real code with one guard removed. The simulator must find each; one that survives says that a property
 *  has gone blind. Each is a replacement of source text, bundled with everything that the properties run; the text must
 *  be there exactly once, so that no mutant can rot. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Plugin } from 'esbuild'
import { root } from '../tidy/source.ts'
import { bundleProperties } from './bundle.ts'
import { lakeMutants } from './lake-mutants.ts'
import type { PropertyName, runSeed } from './run.ts'

/** One removed guard. */
export interface Mutant {
  readonly name: string
  /** The source, from the root. */
  readonly file: string
  readonly find: string
  readonly put: string
  readonly property: PropertyName
}

const shard = (file: string) => `core/shard/${file}.ts`

/** The guards of the group commit. */
const groupCommit: readonly Omit<Mutant, 'property'>[] = [
  {
    name: 'reply before commit',
    file: shard('shard'),
    find: 'const answers = jobs.map((job) => this.runJob(tx, job))',
    put: `const answers = jobs.map((job) => this.runJob(tx, job))
      for (const [i, job] of jobs.entries()) job.resolve(answers[i])`,
  },
  {
    name: 'memory kept after a failed commit',
    file: shard('shard'),
    find: 'this.state = undefined\n      this.counters',
    put: 'this.counters',
  },
  {
    name: 'calls without their savepoint',
    file: shard('shard'),
    find: 'savepoint ? this.sql.transact(work) : work()',
    put: 'work()',
  },
  {
    name: 'redo dropped before rows are drained',
    file: shard('state'),
    find: 'if (left === 0 && this.log.dropRedo(this.sealedSeq))',
    put: 'if (this.log.dropRedo(this.sealedSeq))',
  },
  {
    name: 'redo of newer rows dropped with a drain',
    file: shard('state'),
    find: 'this.log.dropRedo(this.sealedSeq)',
    put: 'this.log.dropRedo(this.log.seq)',
  },
  { name: 'redo not replayed', file: shard('state'), find: '    this.replay()\n', put: '' },
  {
    name: 'log trimmed under its redo',
    file: shard('log'),
    find: 'redo == null ? this.base : Math.min(Number(redo), this.base)',
    put: 'this.base',
  },
  {
    name: 'log not rolled back with a failed call',
    file: shard('state'),
    find: '    this.log.rollback(mark.log)\n',
    put: '',
  },
  {
    name: 'undo does not restore the generation',
    file: shard('buffer'),
    find: '    entry.generation = generation\n    // It was',
    put: '    // It was',
  },
  {
    name: 'undo forgets rows that were settled and evicted',
    file: shard('buffer'),
    find: 'else if (generation !== 0) this.restore(entry)',
    put: '',
  },
  {
    name: 'own rows settled without a savepoint',
    file: shard('tx'),
    find: 'if (hasWritten && state.isDirtySince(begun, buffer, fromSlot, toSlot)) this.beforeSqlWrite()',
    put: '',
  },
  {
    name: 'SQL written without a savepoint',
    file: shard('tx'),
    find: '    if (this.savepoint) return\n',
    put: '    return\n',
  },
  {
    name: 'dirty rows evicted',
    file: shard('buffer'),
    find: 'if (entry.generation === 0) continue',
    put: 'if (entry.generation >= 0) continue',
  },
  {
    name: 'sealed rows not settled for SQL',
    file: shard('buffer'),
    find: 'let i = this.firstSealed(fromSlot)',
    put: 'let i = sealed.length',
  },
  {
    name: 'truncate leaves cached rows',
    file: shard('buffer'),
    find: `    this.young = new RowMap(this.identity)
    this.old = new RowMap(this.identity)
    this.youngBytes = 0
    this.journal.onUndo`,
    put: '    this.journal.onUndo',
  },
  {
    name: 'calls looked at ahead are not undone',
    file: shard('shard'),
    find: '        if (undo) throw undone\n',
    put: '',
  },
  {
    name: 'undo does not bring payloads back',
    file: shard('buffer'),
    find: '      entry.row = before\n      entry.generation = generation\n      entry.sizeBytes = sizeBytes\n',
    put: '',
  },
  {
    name: 'a stopped call answered as it is',
    file: shard('shard'),
    find: 'if (!(stopped instanceof ColdRows)) return job.resolve(',
    put: 'if (!(stopped instanceof ColdRows && job.done === undefined)) return job.resolve(',
  },
]

/** The guards of followers. */
const follower: readonly Omit<Mutant, 'property'>[] = [
  {
    name: 'bookmark saved before delivery',
    file: 'core/cdc/follow.ts',
    find: 'if (!progress.delivered && changes.length > 0) await deliver',
    put: 'await bookmark.save(next)\n  if (!progress.delivered && changes.length > 0) await deliver',
  },
  {
    name: 'failed delivery not repeated',
    file: 'core/cdc/follow.ts',
    find: `if (!progress.delivered && changes.length > 0) await deliver({ changes, next })
  progress.delivered = true`,
    put: `const first = !progress.delivered
  progress.delivered = true
  if (first && changes.length > 0) await deliver({ changes, next })`,
  },
  {
    name: 'trimmed history skipped in silence',
    file: shard('log'),
    find: 'if (seq < this.floor || seq > this.base)',
    put: 'if (seq > this.base)',
  },
]

/** The guards of routing and moving. */
const moving: readonly Omit<Mutant, 'property'>[] = [
  {
    name: 'no ownership check',
    file: shard('shard'),
    find: 'program === systemProgram ? undefined : tx.state.ownership.refuse(call)',
    put: 'undefined',
  },
  {
    name: 'no fence',
    file: shard('move'),
    find: "await ask(ports, from, { name: 'fence', args: { epoch: state.epoch, slots: [...slots], to } })",
    put: 'void [from, slots, to]',
  },
  {
    name: 'fence not durable',
    file: shard('system'),
    find: 'keep(tx, tx.state.ownership.fence(epoch, slots, to))',
    put: `const fenced = tx.state.ownership.fence(epoch, slots, to)
    if (fenced !== undefined) tx.state.ownership = new Ownership(fenced)`,
  },
  {
    name: 'activation without copy',
    file: shard('move'),
    find: "state.tables.length > 0 ? 'copy' : 'activate'",
    put: "'activate'",
  },
  {
    name: 'target serves before activation',
    file: shard('ownership'),
    find: 'return { ...data, awaiting: { epoch, slots } }',
    put: 'return { ...data, slots: [...data.slots, ...slots], awaiting: { epoch, slots } }',
  },
  {
    name: 'scatter without the epoch check',
    file: shard('ownership'),
    find: 'return epoch >= data.epoch && data',
    put: 'return data',
  },
  {
    name: 'scatter while rows are on their way',
    file: shard('ownership'),
    find: ' && data.awaiting === undefined && data.leaving === undefined',
    put: '',
  },
  {
    name: 'scatter not sent anew as a whole',
    file: shard('router'),
    find: 'for (const scatter of scatters) if (scatter !== undefined) again.push(...this.spread(scatter))',
    put: 'again = items.filter(wantsRetry)',
  },
  {
    name: 'rows imported whenever they come',
    file: shard('system'),
    find: `    tx.state.ownership.admit(
      epoch,
      rows.map((row) => slotOf(target, row)),
    )
`,
    put: '',
  },
  {
    name: 'a late assignment believed',
    file: shard('ownership'),
    find: 'if (this.data !== undefined) return undefined',
    put: '',
  },
  {
    name: 'calls that met no answer sent again',
    file: shard('router'),
    find: "(reply.code === 'moved' || reply.code === 'unassigned')",
    put: "(reply.code === 'moved' || reply.code === 'unassigned' || reply.code === 'unavailable')",
  },
  {
    name: 'a second move begins beside the first',
    file: shard('catalog'),
    find: '    if (entry.move !== undefined) throw moveUnderWay(entry)\n    if (move.epoch',
    put: '    if (move.epoch',
  },
  {
    name: 'an older state of a move kept',
    file: shard('catalog'),
    find: 'if (move.version > known.version) put',
    put: 'put',
  },
]

/** Every mutant. */
export const mutants: readonly Mutant[] = [
  ...groupCommit.map((one) => ({ ...one, property: 'group-commit' as const })),
  ...follower.map((one) => ({ ...one, property: 'follower' as const })),
  ...moving.map((one) => ({ ...one, property: 'moving' as const })),
  ...lakeMutants.map((one) => ({ ...one, property: 'lake' as const })),
]

function replacing({ file, find, put }: Mutant): Plugin {
  return {
    name: 'mutant',
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        if (path !== join(root, file)) return undefined
        const parts = (await readFile(path, 'utf8')).split(find)
        if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${find}`)
        return { contents: parts.join(put), loader: 'ts' }
      })
    },
  }
}

/** Bundle the properties over mutated code.
 *  @throws Error when the text to replace is not there exactly once */
export async function loadMutant(mutant: Mutant): Promise<{ runSeed: typeof runSeed }> {
  const { url, inputs } = await bundleProperties(mutant.name.replaceAll(/\W+/g, '-'), [replacing(mutant)])
  if (!inputs.includes(mutant.file)) throw new Error(`no property runs ${mutant.file}`)
  return import(url)
}

/** Look for a seed at which a mutant shows.
 *  @returns the first, and what it shows; undefined when the mutant survives */
export async function catchMutant(mutant: Mutant, seeds: number): Promise<{ seed: number; what: string } | undefined> {
  const { runSeed } = await loadMutant(mutant)
  for (let seed = 0; seed < seeds; seed++) {
    const finding = await runSeed(mutant.property, seed)
    if (finding !== undefined) return { seed, what: String(finding.error).split('\n')[0] as string }
  }
  return undefined
}
