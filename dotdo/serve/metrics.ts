/** What a server counts, for Prometheus. Node only: it counts a process. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'

/** A number with its labels. */
export type Sample = readonly [labels: Record<string, string>, value: number]

/** A metric that is read when it is asked for. */
export interface MetricOptions {
  readonly name: string
  readonly help: string
  readonly labelNames?: readonly string[]
  /** @returns every sample there is now */
  read(): readonly Sample[]
}

/** Add a number that goes up and down. */
export function addGauge(registry: Registry, { name, help, labelNames = [], read }: MetricOptions): void {
  new Gauge({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset()
      for (const [labels, value] of read()) this.set(labels, value)
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
    collect() {
      this.reset()
      for (const [labels, value] of read()) this.inc(labels, value)
    },
  })
}

/** Make the registry of a server, with what Node knows of its process: CPU, memory, event loop, garbage collection. */
export function createRegistry(): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}
