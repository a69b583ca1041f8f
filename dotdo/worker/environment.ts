/** What a Worker of dotdo is given: the bindings of wrangler.jsonc, and what it makes of them. */

import { Failure } from '@dotdo/core/errors'
import { createWorkersFabric, type ObjectNamespace, type R2Binding, type ShardBindings } from '@dotdo/core/host/workers'
import { SHARD_COUNT_MAX } from '@dotdo/core/limits'
import type { Fabric, ShardOptions } from '@dotdo/core/shard'
import { checkPassword } from '../serve/credentials.ts'

/** The bindings. */
export interface Environment extends ShardBindings {
  /** One object a tunnel. */
  readonly GATEWAYS: ObjectNamespace
  /** The bucket of the lake; without it there is none. */
  readonly LAKE?: R2Binding
  /** One object a database that has a lake. */
  readonly LAKE_SERVICE?: ObjectNamespace
  /** Another bucket, which policies name as `archive` in `cold`. */
  readonly LAKE_ARCHIVE?: R2Binding
  /** Where other readers of the tables find the bucket: s3://bucket, or s3://bucket/prefix to use a part of it. Default
   *  s3://dotdo-lake. Metadata names files by it, so it stays what it was. */
  readonly DOTDO_LAKE?: string
  /** The same of the other bucket. Default s3://dotdo-archive. */
  readonly DOTDO_LAKE_ARCHIVE?: string
  /** The S3 endpoint that clients of /iceberg are told of: https://<account>.r2.cloudflarestorage.com */
  readonly DOTDO_LAKE_ENDPOINT?: string
  /** How often a database's shards are looked at, such as 30s. Default 1m. */
  readonly DOTDO_LAKE_POLL?: string
  /** A secret: the password of the user `default`. Without it only requests to a loopback name are served. */
  readonly DOTDO_PASSWORD?: string
  /** Shards of a database that is first met in use. Default 1. */
  readonly DOTDO_SHARDS?: string | number
}

/** Tell how databases are made that are first met in use.
 *  @throws invalid when DOTDO_SHARDS is no number of shards */
export function defaultsOf({ DOTDO_SHARDS = 1 }: Pick<Environment, 'DOTDO_SHARDS'>): ShardOptions {
  const count = Number(DOTDO_SHARDS)
  if (!Number.isInteger(count) || count < 1 || count > SHARD_COUNT_MAX) {
    throw new Failure('invalid', `DOTDO_SHARDS: ${DOTDO_SHARDS} is not a whole number from 1 to ${SHARD_COUNT_MAX}`)
  }
  return { partitioner: 'crc16', count }
}

/** Open the fabric, for one request or for one Durable Object. */
export function fabricOf(environment: Environment): Fabric {
  return createWorkersFabric(environment, { defaults: defaultsOf(environment) })
}

/** Make the check of the password; undefined when there is none. */
export function authenticateOf({ DOTDO_PASSWORD }: Pick<Environment, 'DOTDO_PASSWORD'>) {
  return DOTDO_PASSWORD ? checkPassword(DOTDO_PASSWORD) : undefined
}

/** Say that something is a bug of ours, where the Worker's owner reads it: in its logs. */
export function logBug(error: unknown): void {
  console.error('a bug of dotdo; the request was answered with an error', error)
}
