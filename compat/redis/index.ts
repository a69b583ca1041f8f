/** @dotdo/redis: everything ioredis exports, with the clients that find their data in this process.
 *  CommonJS gets the class, as from ioredis (Node reads the export named module.exports). */
export * from 'ioredis'
export {
  Cluster,
  type ClusterNode,
  type DataOptions,
  type DotdoOptions,
  Redis,
  Redis as default,
  Redis as 'module.exports',
  type RedisOptions,
} from './client.ts'
