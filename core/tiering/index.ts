/** @dotdo/core/tiering: where cold data goes. */
export type { BesideLake } from './objects/beside.ts'
export { type CountedStore, counted, type StoreCounts } from './objects/counted.ts'
export { memoryObjects } from './objects/memory.ts'
export * from './objects/port.ts'
export { prefixed } from './objects/prefixed.ts'
export { type RetryCounts, type RetryingStore, type RetryOptions, withRetries } from './objects/retry.ts'
export { type Fetch, type FetchAnswer, type S3Options, s3Objects } from './objects/s3.ts'
export { type WriteOptions, writeChunks } from './objects/write.ts'
