/** Tiering: hot rows into Iceberg tables, and back. docs/lake.md tells how. */
export { type TierJobs, type TierJobTools, tierJobs } from './jobs.ts'
export { Lake } from './lake.ts'
export type { LakeOptions } from './lake-options.ts'
export { parseDuration, parsePolicy, parseSize } from './policy.ts'
export * from './port.ts'
export { type Positions, readPositions, samePosition } from './positions.ts'
export { type TierCalls, tierProgram } from './program.ts'
