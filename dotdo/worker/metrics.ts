/** What a Worker can say for Prometheus. A Worker has no process of its own and many isolates, so that counting in
 *  memory would give each scrape another's numbers; what the catalog knows is the same for all. */
import { DATABASES_PER_PAGE_MAX } from '@dotdo/core/limits'
import type { Fabric } from '@dotdo/core/shard'
import type { MetricsText } from '../http/metrics.ts'

/** Read the metrics.
 *  @cost a catalog call for each 1000 databases */
export async function workerMetrics(fabric: Fabric, version: string): Promise<MetricsText> {
  let databases = 0
  let shards = 0
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page = await fabric.list(after, DATABASES_PER_PAGE_MAX)
    databases += page.length
    for (const { map } of page) shards += map.count
    after = page.length < DATABASES_PER_PAGE_MAX ? undefined : page.at(-1)?.name
  }
  const gauge = (name: string, help: string, sample: string) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} gauge`,
    `${name}${sample}`,
  ]
  const lines = [
    ...gauge('dotdo_info', 'The version that answers.', `{version="${version}",host="workers"} 1`),
    ...gauge('dotdo_databases', 'Databases there are.', ` ${databases}`),
    ...gauge('dotdo_shards', 'Shards of all databases, used or not.', ` ${shards}`),
  ]
  return { contentType: 'text/plain; version=0.0.4; charset=utf-8', text: `${lines.join('\n')}\n` }
}
