/** `dotdo tier`: how databases flow into the lake, and what is to be done about it. */
import { Failure } from '@dotdo/core/errors'
import type { PolicyOptions, TierStatus } from '@dotdo/core/tiering/tier'
import { type Command, Option } from 'commander'
import type { CliHost } from './index.ts'
import { addServerOptions, ask, type ServerOptions, type ServerRequest } from './server.ts'
import { showTier } from './tier-show.ts'

const help = `
A policy keeps a collection's newest rows in an Iceberg table of its name, and every change in the table \`changes\`:

  dotdo tier set default keys --hot-for 7d          payloads leave SQLite a week after they were written
  dotdo tier set default keys --no-changes          only the newest state
  dotdo tier set default keys --cold-after 90d --cold-store archive
  dotdo tier status default                         how far each shard has come

Durations are written 90s, 15m, 12h, 7d; sizes 64kb, 8mb, 1gb.
`

/** Work in the lake takes as long as it takes: this is longer than any of it. */
const workMsMax = 3_600_000

interface TierOptions extends ServerOptions {
  readonly json?: true
}

interface SetOptions extends TierOptions {
  readonly mirror: boolean
  readonly changes: boolean
  readonly hotFor?: string
  readonly maxHotRows?: string
  readonly maxHotBytes?: string
  readonly flushEvery?: string
  readonly flushBytes?: string
  readonly coldAfter?: string
  readonly coldStore?: string
}

const path = (...parts: readonly string[]) => parts.map(encodeURIComponent).join('/')

/** Ask for something of a database's tiering, and show how it is then. */
async function change(options: TierOptions, rest: readonly string[], request: ServerRequest): Promise<void> {
  const [database = '', ...more] = rest
  const signal = AbortSignal.timeout(workMsMax)
  const status = await ask<TierStatus>(options, path('databases', database, 'tier', ...more), { signal, ...request })
  const text = options.json ? JSON.stringify(status) : showTier(status, Date.now())
  process.stdout.write(`${text}\n`)
}

function policyOf(options: SetOptions): PolicyOptions {
  const { mirror, changes, hotFor, maxHotRows, maxHotBytes, flushEvery, flushBytes, coldAfter, coldStore } = options
  if ((coldAfter === undefined) !== (coldStore === undefined)) {
    throw new Failure('invalid', '--cold-after and --cold-store go together')
  }
  if (maxHotRows !== undefined && !/^\d{1,15}$/.test(maxHotRows)) {
    throw new Failure('invalid', `--max-hot-rows: ${maxHotRows} is not a whole number`)
  }
  return {
    mirror,
    changes,
    ...(hotFor !== undefined && { hotFor }),
    ...(maxHotRows !== undefined && { maxHotRows: Number(maxHotRows) }),
    ...(maxHotBytes !== undefined && { maxHotBytes }),
    ...(flushEvery !== undefined && { flushEvery }),
    ...(flushBytes !== undefined && { flushBytes }),
    ...(coldAfter !== undefined && coldStore !== undefined && { cold: { after: coldAfter, store: coldStore } }),
  }
}

function add(parent: Command, usage: string, description: string): Command {
  const command = addServerOptions(parent.command(usage).description(description))
  return command.addOption(new Option('--json', 'the state as one JSON object'))
}

function addSet(tier: Command): void {
  add(tier, 'set <database> <collection>', 'Set the policy of a collection; what is not given is as by default.')
    .addOption(new Option('--no-mirror', 'do not keep the newest state of every row'))
    .addOption(new Option('--no-changes', 'do not keep every change'))
    .addOption(new Option('--hot-for <duration>', 'payloads leave SQLite this long after they were written'))
    .addOption(new Option('--max-hot-rows <count>', 'rows of a shard that keep their payload'))
    .addOption(new Option('--max-hot-bytes <size>', 'bytes of payloads that a shard keeps'))
    .addOption(new Option('--flush-every <duration>', 'changes are written out after this time (default 15m)'))
    .addOption(new Option('--flush-bytes <size>', 'or when there are so many (default 8mb)'))
    .addOption(new Option('--cold-after <duration>', 'files this old move to another store'))
    .addOption(new Option('--cold-store <name>', 'which one: a name of `stores` in the configuration file'))
    .action((database: string, collection: string, options: SetOptions) => {
      return change(options, [database, collection], { method: 'PUT', json: policyOf(options) })
    })
}

/** Add the command. */
export function addTier(program: Command, _: CliHost): void {
  const tier = program.command('tier').description('Show and change how databases flow into the lake.')
  tier.addHelpText('after', help)
  add(tier, 'status <database>', 'Show state, policies, tables, and how far each shard has come.').action(
    (database: string, options: TierOptions) => change(options, [database], {}),
  )
  addSet(tier)
  add(tier, 'remove <database> <collection>', 'End the tiering of a collection; what is in the lake stays.').action(
    (database: string, collection: string, options: TierOptions) => {
      return change(options, [database, collection], { method: 'DELETE' })
    },
  )
  for (const [name, description] of [
    ['pause', 'Write nothing more to the lake until it is resumed.'],
    ['resume', 'Go on.'],
    ['flush', 'Write and commit now; ends when it is committed.'],
  ] as const) {
    add(tier, `${name} <database>`, description).action((database: string, options: TierOptions) => {
      return change(options, [database, name], { method: 'POST', json: {} })
    })
  }
  for (const [name, argument, description] of [
    ['backfill', 'collection', 'Write every row of a collection anew.'],
    ['compact', 'table', 'Make few large files of many small ones now.'],
    ['maintain', 'table', 'Expire snapshots, and remove what nothing refers to, now.'],
  ] as const) {
    add(tier, `${name} <database> <${argument}>`, description).action(
      (database: string, what: string, options: TierOptions) => {
        return change(options, [database, name], { method: 'POST', json: { [argument]: what } })
      },
    )
  }
}
