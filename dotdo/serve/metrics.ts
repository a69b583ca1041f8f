/** What a server counts, for Prometheus. Node only: it counts a process. */
import type { StoreStats } from '@dotdo/core/host/node'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'

/** A number with its labels. */
export type Sample = readonly [labels: Record<string, string>, value: number]

/** A metric that is read when it is asked for. */
export interface MetricOptions {
  readonly name: string
  readonly help: string
  readonly labelNames?: readonly string[]
  /** @returns every sample there is now */
  read(): readonly Sample[] | Promise<readonly Sample[]>
}

/** Add a number that goes up and down. */
export function addGauge(registry: Registry, { name, help, labelNames = [], read }: MetricOptions): void {
  new Gauge({
    name,
    help,
    labelNames,
    registers: [registry],
    async collect() {
      const samples = await read()
      this.reset()
      for (const [labels, value] of samples) this.set(labels, value)
    },
  })
}

/** Add a number that only goes up, kept elsewhere. */
export function addCounter(registry: Registry, { name, help, labelNames = [], read }: MetricOptions): void {
  new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    async collect() {
      const samples = await read()
      this.reset()
      for (const [labels, value] of samples) this.inc(labels, value)
    },
  })
}

/** Make the registry of a server, with what Node knows of its process: CPU, memory, event loop, garbage collection. */
export function createRegistry(): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}

/** Count what the shards do, by the thread they are on. */
export function addShardMetrics(registry: Registry, stats: () => Promise<readonly StoreStats[]>): void {
  const add = (name: keyof StoreStats, to: typeof addCounter, metric: { name: string; help: string }) =>
    to(registry, {
      ...metric,
      labelNames: ['thread'],
      read: async () => (await stats()).map((thread, index) => [{ thread: String(index) }, thread[name]]),
    })
  add('openShards', addGauge, { name: 'dotdo_shards_open', help: 'Shards whose files are open now.' })
  add('groups', addCounter, { name: 'dotdo_shard_groups_total', help: 'Groups of calls that were committed.' })
  add('failedGroups', addCounter, { name: 'dotdo_shard_failed_groups_total', help: 'Groups whose commit failed.' })
  add('calls', addCounter, { name: 'dotdo_shard_calls_total', help: 'Calls that shards ran.' })
  add('changes', addCounter, { name: 'dotdo_shard_changes_total', help: 'Changes logged.' })
}
